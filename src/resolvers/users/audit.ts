import { createHash, randomBytes } from 'node:crypto';
import type { Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { newId } from '#lib/ids.ts';

/** Everything that changes who may do what. Closed: a new action is a change of the contract. */
export const AUDIT_ACTIONS = {
  SIGNED_UP: 'Somebody made an account for themselves.',
  ACCOUNT_CREATED:
    'An account was made for somebody: by invitation, GitHub, or on the command line.',
  SIGNED_IN: 'A session began.',
  SIGNED_OUT: 'The account ended its own session, or all of them.',
  SESSION_REVOKED: 'A session was ended from another one.',
  REFRESH_REUSED: 'A refresh token came a second time, so its session was ended.',
  PASSWORD_CHANGED: 'The account changed its password.',
  PASSWORD_RESET: 'The password was set by a link from a mail, or on the command line.',
  EMAIL_CHANGED: 'The account has another e-mail address.',
  ROLES_CHANGED: 'The account has other roles.',
  ACCOUNT_DISABLED: 'The account may no longer sign in.',
  ACCOUNT_ENABLED: 'The account may sign in again.',
  ACCOUNT_DELETED: 'The account was deleted.',
  TOKEN_CREATED: 'A personal access token was made.',
  TOKEN_REVOKED: 'A personal access token was revoked.',
  GITHUB_LINKED: 'A GitHub account was linked.',
  GITHUB_UNLINKED: 'A GitHub account was unlinked.',
  GITHUB_LINK_BROKEN: 'GitHub no longer takes the token of a linked account.',
  SIGNING_KEY_ROTATED: 'Access tokens are signed with a new key from now on.',
  INVITATION_CREATED: 'Somebody was invited.',
  WEBHOOK_SOURCE_CREATED: 'A webhook source was made.',
  WEBHOOK_SOURCE_UPDATED: 'How a webhook source verifies, or what it takes, was changed.',
  WEBHOOK_SOURCE_DELETED: 'A webhook source was deleted; what it took stays.',
  WEBHOOK_SECRET_ROTATED: 'A webhook source has a new secret, and an end is set to the others.',
  WEBHOOK_SOURCE_GRANTED: 'An account or a role may read what a webhook source takes.',
  WEBHOOK_SOURCE_GRANT_REVOKED:
    'An account or a role may read a webhook source by grant no longer.',
  ROOM_PARTICIPANT_REMOVED: 'A participant was let out of a room by another.',
  ROOM_PARTICIPANT_BANNED: 'A participant was banned from a room.',
  ROOM_PARTICIPANT_UNBANNED: 'A ban from a room was lifted.',
  ROOM_PARTICIPANT_MUTED: 'A participant of a room was muted.',
  ROOM_PARTICIPANT_UNMUTED: 'A mute in a room was lifted.',
  ROOM_PARTICIPANT_ROLE_CHANGED: 'A participant of a room has another role.',
  MESSAGE_DELETED: 'A message was deleted by somebody other than its author.',
  REPORT_RESOLVED:
    'A moderator of a room, or an operator where nobody in it could, settled the report of a message.',
} as const;

export type AuditAction = keyof typeof AUDIT_ACTIONS;

/** Whether the text names an action of this version. */
export function isAuditAction(text: string): text is AuditAction {
  return Object.hasOwn(AUDIT_ACTIONS, text);
}

/** Who acts. A session without a user is one whose holder is in doubt. */
export interface AuditActor {
  readonly userId: string | null;
  readonly sessionId: string | null;
  readonly ipAddress: string | null;
}

/** Whoever asks; with a personal access token there is no session. */
export function actorOf(
  { origin }: Context,
  { userId, proof }: Pick<Viewer, 'userId' | 'proof'>,
): AuditActor {
  const sessionId = proof.kind === 'session' ? proof.id : null;
  return { userId, sessionId, ipAddress: origin.client.ipAddress };
}

/** The server itself, and its command line. */
export const SYSTEM_ACTOR: AuditActor = { userId: null, sessionId: null, ipAddress: null };

export interface AuditSubject {
  readonly type:
    | 'User'
    | 'Session'
    | 'PersonalAccessToken'
    | 'GitHubAccount'
    | 'SigningKey'
    | 'Invitation'
    | 'WebhookSource'
    | 'Room'
    | 'ChatMessage'
    | 'MessageReport';
  /** Null where it has no UUID: name a signing key in the details. */
  readonly id: string | null;
}

/**
 * Ids, enum values and counts. Nothing personal and nothing that a client wrote (no name, no e-mail
 * address): an entry outlives the account that it tells of, and nobody can change it.
 */
export type AuditDetails = Readonly<
  Record<string, string | number | boolean | readonly string[] | null>
>;

/** Written in the caller's transaction: there is an entry if, and only if, the effect is there. */
export async function recordAudit(
  sql: Sql,
  by: AuditActor,
  entry: {
    readonly action: AuditAction;
    readonly subject: AuditSubject;
    readonly details?: AuditDetails;
  },
): Promise<void> {
  const { action, subject, details = {} } = entry;
  const ipSalt = by.ipAddress === null ? null : randomBytes(16);
  await sql.query(
    `INSERT INTO audit_entry
       (id, action, actor_id, session_id, ip_address, subject_type, subject_id, details, ip_salt, ip_digest)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      newId(),
      action,
      by.userId,
      by.sessionId,
      by.ipAddress,
      subject.type,
      subject.id,
      JSON.stringify(details),
      ipSalt,
      ipSalt === null || by.ipAddress === null ? null : digestOf(ipSalt, by.ipAddress),
    ],
    'record-audit',
  );
}

/**
 * What the chain covers in place of an address, so that the address can be erased with its account and
 * the chain stays whole.
 */
export function digestOf(salt: Uint8Array, ipAddress: string): Buffer<ArrayBuffer> {
  return createHash('sha256').update(salt).update(ipAddress).digest() as Buffer<ArrayBuffer>;
}

/**
 * Takes away from where somebody acted, and from where something was done to them by nobody known: that
 * may be them. That it was done, and what, stays.
 */
export async function eraseAuditAddresses(sql: Sql, actorId: string): Promise<void> {
  await sql.query(
    `UPDATE audit_entry SET ip_address = NULL, ip_salt = NULL
     WHERE actor_id = $1 OR (actor_id IS NULL AND subject_id = $1)`,
    [actorId],
  );
}
