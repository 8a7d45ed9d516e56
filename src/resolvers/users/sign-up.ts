import { findPasswordFault } from '#auth/password-policy.ts';
import { hashToken } from '#auth/tokens.ts';
import type { Role } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { parseEmail } from '#lib/email.ts';
import {
  ConflictError,
  ForbiddenError,
  InvalidCredentialsError,
  InvalidInputError,
  UnavailableError,
} from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { showProven } from './access.ts';
import { recordAudit } from './audit.ts';
import { mayMail, networkOfClient, withHash } from './credential-limits.ts';
import { canMail, queueMail } from './mail.ts';
import { occasionOf } from './mail-occasion.ts';
import { alreadyRegisteredMail, signUpMail, usernameTakenMail } from './mail-texts.ts';
import {
  consumeOneTimeHash,
  consumeOneTimeToken,
  createOneTimeToken,
  findOneTimeToken,
} from './one-time-token.ts';
import { parseDisplayName, parseUsername } from './username.ts';

export type SignUpNextStep = 'VERIFY_EMAIL' | 'SIGN_IN';

export interface NewAccount {
  readonly username: string;
  readonly displayName: string;
  readonly email: string | null;
  readonly isEmailVerified: boolean;
  readonly passwordHash: string | null;
  readonly avatarUrl?: string | null;
  readonly roles: readonly Role[];
}

interface SignUpPayload {
  readonly email: string;
  readonly username: string;
  readonly displayName: string;
  readonly passwordHash: string;
  /** The hash of an invitation's token, in hex; null where none is wanted. */
  readonly invitationHash: string | null;
}

/**
 * Asks for an account. Where mail is sent nothing is made yet: whoever opens the mail, and knows the
 * password, finishes it by `verifyEmail`, so nobody can prepare an account for somebody else's
 * address; and only that mailbox is told whether the address or name is taken. Without mail the
 * account is made at once, and `ConflictError` says that a name or address is taken.
 */
export async function signUp(
  ctx: Context,
  input: {
    readonly email: string;
    readonly username: string;
    readonly displayName: string;
    readonly password: string;
    readonly invitation: string | null;
  },
): Promise<SignUpNextStep> {
  if (ctx.config.signUp === 'closed') {
    throw new ForbiddenError('Accounts are made by an administrator here');
  }
  const email = parseEmailField(input.email, 'input.email');
  const username = parseUsername(input.username, 'input.username');
  const displayName = parseDisplayName(input.displayName, 'input.displayName');
  requireGoodPassword(input.password, 'input.password', [email, username, displayName]);
  return withHash(ctx, async () => {
    const taken = await ctx.credentialLimiter.take([
      { name: 'sign-up-network', key: networkOfClient(ctx) },
    ]);
    try {
      const invitationHash = await findInvitation(ctx, input.invitation);
      const passwordHash = await ctx.passwords.hash(input.password);
      const wanted = { email, username, displayName, passwordHash, invitationHash };
      return await ctx.database.transaction(async (sql) => {
        if (canMail(ctx)) return askForProof(ctx, sql, wanted);
        await makeAccount(ctx, sql, wanted, { isEmailVerified: false });
        return 'SIGN_IN';
      });
    } catch (error) {
      if (error instanceof UnavailableError) await taken.giveBack();
      throw error;
    }
  });
}

/** The same statements whether the address and the name are free or not; only the mail differs. */
async function askForProof(ctx: Context, sql: Sql, wanted: SignUpPayload): Promise<SignUpNextStep> {
  const { email, username } = wanted;
  const [taken] = await sql.query<{ isEmail: boolean; isUsername: boolean }>(
    `SELECT EXISTS (SELECT FROM users WHERE email = $1) AS "isEmail",
       EXISTS (SELECT FROM users WHERE username = $2) AS "isUsername"`,
    [email, username],
  );
  const proof = await createOneTimeToken(sql, {
    purpose: 'SIGN_UP',
    userId: null,
    payload: wanted,
  });
  if (!(await mayMail(ctx, 'sign-up', email))) return 'VERIFY_EMAIL';
  const occasion = occasionOf(ctx, email);
  const refusal = taken?.isUsername ? usernameTakenMail(occasion) : null;
  const mail = taken?.isEmail ? alreadyRegisteredMail(occasion) : refusal;
  await queueMail(sql, ctx, mail ?? signUpMail({ ...occasion, ...proof }));
  return 'VERIFY_EMAIL';
}

/**
 * Makes the account that was asked for. Throws `InvalidCredentialsError` unless the token counts and
 * the password is the one of `signUp`; `ConflictError` where somebody was quicker with the name.
 */
export async function finishSignUp(
  ctx: Context,
  input: { readonly token: string; readonly password: string },
): Promise<string> {
  const asked = await findOneTimeToken<SignUpPayload>(ctx.database, 'SIGN_UP', input.token);
  const { matches } = await ctx.passwords.verify(
    asked?.payload.passwordHash ?? null,
    input.password,
  );
  if (asked === null || !matches) {
    throw new InvalidCredentialsError(
      'Token and password do not match, or the token no longer counts',
    );
  }
  return ctx.database.transaction(async (sql) => {
    const consumed = await consumeOneTimeToken<SignUpPayload>(sql, 'SIGN_UP', input.token);
    if (consumed === null) throw new InvalidCredentialsError('The token was used already');
    const userId = await makeAccount(ctx, sql, consumed.payload, { isEmailVerified: true });
    showProven(ctx, userId);
    return userId;
  });
}

/** An invitation counts once an account comes of it, and not for each time that one is asked for. */
async function makeAccount(
  ctx: Context,
  sql: Sql,
  wanted: SignUpPayload,
  { isEmailVerified }: { readonly isEmailVerified: boolean },
): Promise<string> {
  const { invitationHash } = wanted;
  const invitation =
    invitationHash === null ? null : await consumeOneTimeHash(sql, 'INVITATION', invitationHash);
  if (invitationHash !== null && invitation === null) {
    throw new ConflictError('The invitation was used meanwhile, or has expired');
  }
  const userId = await createAccount(sql, { ...wanted, isEmailVerified, roles: ['USER'] });
  if (userId === null) throw new ConflictError('The username or e-mail address is taken');
  const actor = { userId, sessionId: null, ipAddress: ctx.origin.client.ipAddress };
  await recordAudit(sql, actor, {
    action: 'SIGNED_UP',
    subject: { type: 'User', id: userId },
    details: { invitationId: invitation?.id ?? null },
  });
  return userId;
}

/** Null where the username or the address is taken. */
export async function createAccount(sql: Sql, account: NewAccount): Promise<string | null> {
  const { username, displayName, email, isEmailVerified, passwordHash, avatarUrl, roles } = account;
  const [user] = await sql.query<{ id: string }>(
    `INSERT INTO users (id, username, display_name, email, email_verified_at, avatar_url, roles)
     VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN naru_now() END, $6, $7::role[])
     ON CONFLICT DO NOTHING RETURNING id`,
    [newId(), username, displayName, email, isEmailVerified, avatarUrl ?? null, roles],
  );
  if (user === undefined) return null;
  if (passwordHash !== null) {
    await sql.query('INSERT INTO password (user_id, hash) VALUES ($1, $2)', [
      user.id,
      passwordHash,
    ]);
  }
  return user.id;
}

/** Throws `InvalidInputError` that says what is wrong with it. */
export function requireGoodPassword(
  password: string,
  field: string,
  context: readonly (string | null)[],
): void {
  const fault = findPasswordFault(
    password,
    context.filter((word) => word !== null),
  );
  if (fault !== null) throw new InvalidInputError(fault, field);
}

/** Throws `InvalidInputError`. */
export function parseEmailField(text: string, field: string): string {
  const email = parseEmail(text);
  if (email === null) throw new InvalidInputError('This is no e-mail address', field);
  return email;
}

/** Null where the server wants none. Throws `InvalidInputError` for one that does not count. */
async function findInvitation(
  { config, database }: Context,
  invitation: string | null,
): Promise<string | null> {
  if (config.signUp !== 'invite') return null;
  if (
    invitation === null ||
    (await findOneTimeToken(database, 'INVITATION', invitation)) === null
  ) {
    throw new InvalidInputError('The invitation is unknown, used or expired', 'input.invitation');
  }
  return hashToken(invitation).toString('hex');
}
