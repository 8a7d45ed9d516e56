import { createToken, hashToken } from '#auth/tokens.ts';
import type { Config } from '#config.ts';
import type { Client } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { Session } from '#generated/prisma/client.ts';
import type { SessionEnd, SessionTransport } from '#generated/prisma/enums.ts';
import { newId } from '#lib/ids.ts';
import { networkOf } from '#lib/network.ts';
import { storableText } from '#lib/storable-text.ts';

const DEVICE_CHARACTERS_MAX = 256;

/** The secrets are handed out this once: only their hashes are stored. */
export interface OpenedSession {
  readonly session: Session;
  /** The cookie's value; null with TOKENS. */
  readonly secret: string | null;
  /** The first refresh token; null with COOKIE. */
  readonly refreshToken: string | null;
  /** How many older ones it has ended. */
  readonly replacedSessions: number;
}

/**
 * A session with new secrets, whatever the client came with. The caller holds the account's row lock
 * and has looked that it may sign in, so that nothing is minted after a revocation has committed. Ends
 * the account's oldest sessions past what SESSION_POLICY allows.
 */
export async function openSession(
  sql: Sql,
  config: Pick<Config, 'sessionDays' | 'sessionsMax'>,
  input: { readonly userId: string; readonly transport: SessionTransport; readonly client: Client },
): Promise<OpenedSession> {
  const { userId, transport, client } = input;
  const secret = transport === 'COOKIE' ? createToken('sessionSecret') : null;
  const device = storableText(client.userAgent?.slice(0, DEVICE_CHARACTERS_MAX));
  const refreshToken = transport === 'TOKENS' ? createToken('refreshToken') : null;
  const [opened] = await sql.query<Session & { replacedSessions: number }>(
    OPEN,
    [
      newId(),
      userId,
      transport,
      secret === null ? null : hashToken(secret),
      device,
      client.ipAddress,
      networkOf(client.ipAddress),
      config.sessionDays,
      config.sessionsMax - 1,
      newId(),
      refreshToken === null ? null : hashToken(refreshToken),
    ],
    'open-session',
  );
  if (opened === undefined) throw new Error('A session was not stored');
  const { replacedSessions, ...session } = opened;
  return { session, secret, refreshToken, replacedSessions };
}

/** `session` as Prisma would read it. */
export const COLUMNS = `id, user_id AS "userId", transport, secret_hash AS "secretHash", device,
  ip_address AS "ipAddress", network, created_at AS "createdAt", authenticated_at AS "authenticatedAt",
  last_seen_at AS "lastSeenAt", refreshes, expires_at AS "expiresAt", ended_at AS "endedAt", end_reason AS "endReason"`;

// Those that it replaces are looked for in what was there before it: a clock that was set back cannot make it
// one of them.
const OPEN = `
  WITH opened AS (
    INSERT INTO session (id, user_id, transport, secret_hash, device, ip_address, network, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, naru_now() + $8 * interval '1 day') RETURNING *
  ), replaced AS (
    UPDATE session SET ended_at = naru_now(), end_reason = 'REPLACED' WHERE id IN (
      SELECT id FROM session WHERE user_id = $2 AND ended_at IS NULL AND expires_at > naru_now()
      ORDER BY created_at DESC, id DESC OFFSET $9) RETURNING id
  ), refreshable AS (
    INSERT INTO refresh_token (id, session_id, token_hash)
    SELECT $10, id, $11 FROM opened WHERE $11::bytea IS NOT NULL
  )
  SELECT ${COLUMNS}, (SELECT count(*)::int FROM replaced) AS "replacedSessions" FROM opened`;

/**
 * Ends live sessions of an account; returns their ids. Their next call is refused, and their sockets
 * and event streams are closed within a second on every node.
 */
export async function endSessions(
  sql: Sql,
  input: {
    readonly userId: string;
    readonly reason: SessionEnd;
    /** Only this one. */
    readonly only?: string;
    /** All but this one. */
    readonly except?: string | undefined;
  },
): Promise<string[]> {
  const rows = await sql.query<{ id: string }>(
    `UPDATE session SET ended_at = naru_now(), end_reason = $2
     WHERE user_id = $1 AND ended_at IS NULL AND expires_at > naru_now() AND ($3::uuid IS NULL OR id = $3) AND id IS DISTINCT FROM $4
     RETURNING id`,
    [input.userId, input.reason, input.only ?? null, input.except ?? null],
    'end-sessions',
  );
  return rows.map(({ id }) => id);
}
