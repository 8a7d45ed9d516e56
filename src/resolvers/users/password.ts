import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { parseEmail } from '#lib/email.ts';
import {
  ForbiddenError,
  InvalidCredentialsError,
  InvalidInputError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { requireSession, type SignedInViewer } from './access.ts';
import { actorOf, recordAudit } from './audit.ts';
import { giveBackUnlessWrong, mayMail, networkOfClient, withHash } from './credential-limits.ts';
import { revokeLink, takeLink } from './github-link.ts';
import { type LockedAccount, lockAccount, lockViewer } from './locked-account.ts';
import { canMail, queueMail } from './mail.ts';
import { occasionOf } from './mail-occasion.ts';
import { noAccountMail, passwordChangedMail, resetPasswordMail } from './mail-texts.ts';
import {
  consumeOneTimeToken,
  createOneTimeToken,
  dropOneTimeTokens,
  findOneTimeToken,
} from './one-time-token.ts';
import { endSessions } from './session.ts';
import { requireGoodPassword } from './sign-up.ts';

/**
 * Sets a new password, ends every other session, and makes what reset mails were sent before
 * worthless. Personal access tokens stay. Throws `InvalidCredentialsError` for a wrong current password.
 */
export async function changePassword(
  ctx: Context,
  input: { readonly currentPassword: string | null; readonly newPassword: string },
): Promise<{ readonly userId: string; readonly endedSessions: number }> {
  const viewer = await requireSession(ctx);
  const { user } = viewer;
  requireGoodPassword(input.newPassword, 'input.newPassword', [
    user.username,
    user.displayName,
    user.email,
  ]);
  await ctx.credentialLimiter.take([{ name: 'password-change', key: viewer.proof.id }]);
  const provenHash = await proveAgain(ctx, viewer, input.currentPassword);
  const hash = await ctx.passwords.hash(input.newPassword);
  return ctx.database.transaction(async (sql) => {
    const account = await requireUnchanged(sql, viewer, provenHash);
    const ended = await storePassword(ctx, sql, account, hash, viewer.proof.id);
    await sql.query('UPDATE session SET authenticated_at = naru_now() WHERE id = $1', [
      viewer.proof.id,
    ]);
    await recordAudit(sql, actorOf(ctx, viewer), {
      action: 'PASSWORD_CHANGED',
      subject: { type: 'User', id: user.id },
    });
    return { userId: user.id, endedSessions: ended };
  });
}

/**
 * Before what only the account's owner may do, not whoever found its screen unlocked: the password
 * again, or, where the account has none, a sign-in within the last 15 minutes. Returns the hash that
 * was proven. Throws `InvalidCredentialsError`, `RateLimitedError`, `ForbiddenError`.
 */
export function proveAgain(
  ctx: Context,
  viewer: SignedInViewer,
  password: string | null,
): Promise<string | null> {
  return withHash(ctx, () => provePassword(ctx, viewer, password));
}

async function provePassword(
  ctx: Context,
  { userId, proof }: SignedInViewer,
  password: string | null,
): Promise<string | null> {
  // By session and not by account: a thief's wrong passwords must not keep its owner from changing it.
  const taken = await ctx.credentialLimiter.take([{ name: 'password-session', key: proof.id }]);
  return giveBackUnlessWrong(taken, async () => {
    const [known] = await ctx.database.query<{ hash: string }>(
      'SELECT hash FROM password WHERE user_id = $1',
      [userId],
      'find-password',
    );
    if (known === undefined) {
      if (proof.isFresh) return null;
      throw new ForbiddenError('Sign in again first: this needs a session of the last 15 minutes');
    }
    const { matches } = await ctx.passwords.verify(known.hash, password ?? '');
    if (!matches) throw new InvalidCredentialsError('The current password is another');
    return known.hash;
  });
}

/** The account under its lock, as it was when it was proven. Throws `UnauthenticatedError` otherwise. */
export async function requireUnchanged(
  sql: Sql,
  viewer: SignedInViewer,
  provenHash: string | null,
): Promise<LockedAccount> {
  const account = await lockViewer(sql, viewer);
  if (account.passwordHash !== provenHash) {
    throw changed();
  }
  return account;
}

export function changed(): UnauthenticatedError {
  return new UnauthenticatedError('The account changed meanwhile: sign in again');
}

/**
 * Sends a link by which the mailbox's owner sets a new password. The answer and the steps are the same
 * whether or not the address has an account. Throws `ForbiddenError` where no mail is sent.
 */
export async function requestPasswordReset(
  ctx: Context,
  input: { readonly email: string },
): Promise<void> {
  if (!canMail(ctx)) throw new ForbiddenError('This server sends no mail: ask an administrator');
  const email = parseEmail(input.email);
  if (email === null) throw new InvalidInputError('This is no e-mail address', 'input.email');
  await ctx.credentialLimiter.take([{ name: 'mail-network', key: networkOfClient(ctx) }]);
  if (!(await mayMail(ctx, 'reset', email))) return;
  await ctx.database.transaction(async (sql) => {
    const [user] = await sql.query<{ id: string }>(
      'SELECT id FROM users WHERE email = $1 AND deleted_at IS NULL',
      [email],
    );
    const userId = user?.id ?? null;
    const payload = { email };
    const proof = await createOneTimeToken(sql, { purpose: 'RESET_PASSWORD', userId, payload });
    const occasion = occasionOf(ctx, email);
    const mail =
      userId === null ? noAccountMail(occasion) : resetPasswordMail({ ...occasion, ...proof });
    await queueMail(sql, ctx, mail);
  });
}

/**
 * Sets a new password by the link of a mail. Whoever was in before is out: every session, every personal
 * access token and GitHub's link end, since nobody knows who made them.
 */
export async function resetPassword(
  ctx: Context,
  input: { readonly token: string; readonly newPassword: string },
): Promise<{ readonly endedSessions: number }> {
  const { token, newPassword } = input;
  requireGoodPassword(newPassword, 'input.newPassword', []);
  return withHash(ctx, async () => {
    const taken = await ctx.credentialLimiter.take([
      { name: 'one-time-network', key: networkOfClient(ctx) },
    ]);
    return giveBackUnlessWrong(taken, () => resetByToken(ctx, token, newPassword));
  });
}

async function resetByToken(
  ctx: Context,
  token: string,
  newPassword: string,
): Promise<{ readonly endedSessions: number }> {
  const found = await findOneTimeToken<{ email: string }>(ctx.database, 'RESET_PASSWORD', token);
  if (found?.userId == null) throw worthless();
  const hash = await ctx.passwords.hash(newPassword);
  const { endedSessions, link } = await ctx.database.transaction(async (sql) => {
    // The account first, as everybody takes it; then the token, which one of many gets.
    const account = await lockAccount(sql, found.userId ?? '');
    const consumed = await consumeOneTimeToken<{ email: string }>(sql, 'RESET_PASSWORD', token);
    if (account === null || consumed === null || account.email !== consumed.payload.email) {
      throw worthless();
    }
    requireGoodPassword(newPassword, 'input.newPassword', [
      account.username,
      account.displayName,
      account.email,
    ]);
    const endedSessions = await storePassword(ctx, sql, account, hash);
    await sql.query(
      'UPDATE users SET email_verified_at = coalesce(email_verified_at, naru_now()) WHERE id = $1',
      [account.id],
    );
    const { ipAddress } = ctx.origin.client;
    const actor = { userId: account.id, sessionId: null, ipAddress };
    await recordAudit(sql, actor, {
      action: 'PASSWORD_RESET',
      subject: { type: 'User', id: account.id },
    });
    await revokeTokens(sql, account.id);
    const link = await takeLink(ctx, sql, account.id);
    if (link !== null) {
      await recordAudit(sql, actor, {
        action: 'GITHUB_UNLINKED',
        subject: { type: 'GitHubAccount', id: link.id },
      });
    }
    return { endedSessions, link };
  });
  await revokeLink(ctx, link);
  return { endedSessions };
}

/** Returns how many sessions it ended. */
async function storePassword(
  ctx: Context,
  sql: Sql,
  { id, email }: LockedAccount,
  hash: string,
  keptSession?: string,
): Promise<number> {
  const endedSessions = await replacePassword(sql, id, hash, keptSession);
  if (email !== null) await queueMail(sql, ctx, passwordChangedMail(occasionOf(ctx, email)));
  return endedSessions;
}

/** Ends the sessions but one, and makes worthless what was mailed before. Returns how many it ended. */
export async function replacePassword(
  sql: Sql,
  userId: string,
  hash: string,
  keptSession?: string,
): Promise<number> {
  await sql.query(
    `INSERT INTO password (user_id, hash) VALUES ($1, $2)
     ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = naru_now()`,
    [userId, hash],
  );
  const ended = await endSessions(sql, { userId, reason: 'PASSWORD_CHANGED', except: keptSession });
  await dropOneTimeTokens(sql, userId, ['RESET_PASSWORD', 'VERIFY_EMAIL']);
  return ended.length;
}

/** Every personal access token of an account, since nobody knows who made them. */
export async function revokeTokens(sql: Sql, userId: string): Promise<void> {
  await sql.query(
    `UPDATE personal_access_token SET revoked_at = naru_now()
     WHERE user_id = $1 AND revoked_at IS NULL`,
    [userId],
  );
}

function worthless(): InvalidCredentialsError {
  return new InvalidCredentialsError('The token is unknown, used or expired: ask for another');
}
