import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import {
  ConflictError,
  InvalidCredentialsError,
  InvalidInputError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { transact } from '#outbox.ts';
import { userDeleted } from '#pubsub/topics/users.ts';
import { requireSession, requireViewer, type SignedInViewer } from './access.ts';
import { actorOf, eraseAuditAddresses, recordAudit } from './audit.ts';
import { giveBackUnlessWrong, mayMail, networkOfClient, withHash } from './credential-limits.ts';
import { revokeLink, takeLink } from './github-link.ts';
import { lockViewer } from './locked-account.ts';
import { canMail, queueMail } from './mail.ts';
import { occasionOf } from './mail-occasion.ts';
import { emailChangedMail, verifyEmailMail } from './mail-texts.ts';
import {
  consumeOneTimeToken,
  createOneTimeToken,
  dropOneTimeTokens,
  findOneTimeToken,
} from './one-time-token.ts';
import { changed, proveAgain, requireUnchanged } from './password.ts';
import { finishSignUp, parseEmailField } from './sign-up.ts';
import { requireOtherAdmin } from './user-management.ts';
import { parseDisplayName } from './username.ts';

const AVATAR_URL_MAX = 2_048;
/** SQLSTATE */
const UNIQUE_VIOLATION = '23505';

/** Changes what is given and leaves the rest. Null takes the avatar away. */
export async function updateProfile(
  ctx: Context,
  input: {
    readonly displayName?: string | null | undefined;
    readonly avatarUrl?: string | null | undefined;
  },
): Promise<string> {
  const { userId } = requireViewer(await ctx.refresh());
  const displayName =
    input.displayName == null ? null : parseDisplayName(input.displayName, 'input.displayName');
  const { avatarUrl } = input;
  if (avatarUrl != null && !isImageUrl(avatarUrl)) {
    throw new InvalidInputError(
      `An avatar is an https:// URL of at most ${AVATAR_URL_MAX} characters`,
      'input.avatarUrl',
    );
  }
  await ctx.database.query(
    `UPDATE users SET display_name = coalesce($2, display_name),
       avatar_url = CASE WHEN $3 THEN $4 ELSE avatar_url END, updated_at = naru_now()
     WHERE id = $1 AND deleted_at IS NULL`,
    [userId, displayName, avatarUrl !== undefined, avatarUrl ?? null],
  );
  return userId;
}

function isImageUrl(text: string): boolean {
  // URLs may be written with what their parser drops or escapes: other people's may do otherwise.
  if (text.length > AVATAR_URL_MAX || /[\s\p{C}\\]/u.test(text)) return false;
  const url = URL.parse(text);
  return url?.protocol === 'https:' && url.username === '' && url.password === '';
}

/**
 * Asks for another e-mail address. Where mail is sent it counts once its mailbox has confirmed it, and
 * the answer is the same whether or not another account has it; else at once, unconfirmed.
 */
export async function changeEmail(
  ctx: Context,
  input: { readonly email: string; readonly password: string | null },
): Promise<{ readonly userId: string; readonly needsConfirmation: boolean }> {
  const viewer = await requireSession(ctx);
  const { userId } = viewer;
  const email = parseEmailField(input.email, 'input.email');
  const provenHash = await proveAgain(ctx, viewer, input.password);
  await ctx.credentialLimiter.take([{ name: 'mail-network', key: networkOfClient(ctx) }]);
  const isWithin = await mayMail(ctx, 'change', email);
  await ctx.database.transaction(async (sql) => {
    await requireUnchanged(sql, viewer, provenHash);
    if (!canMail(ctx)) return setEmail(ctx, sql, viewer, { email, isVerified: false });
    const payload = { email };
    const proof = await createOneTimeToken(sql, { purpose: 'VERIFY_EMAIL', userId, payload });
    if (isWithin)
      await queueMail(sql, ctx, verifyEmailMail({ ...occasionOf(ctx, email), ...proof }));
  });
  return { userId, needsConfirmation: canMail(ctx) };
}

/**
 * Confirms an address by the token that was mailed to it: finishes a sign-up, with the password that
 * was chosen there, or a change of address, within a session of the account. Throws
 * `InvalidCredentialsError`, `ConflictError`.
 */
export async function verifyEmail(
  ctx: Context,
  input: { readonly token: string; readonly password: string | null },
): Promise<string> {
  return withHash(ctx, async () => {
    const taken = await ctx.credentialLimiter.take([
      { name: 'one-time-network', key: networkOfClient(ctx) },
    ]);
    return giveBackUnlessWrong(taken, async () => {
      const { token, password } = input;
      const change = await findOneTimeToken(ctx.database, 'VERIFY_EMAIL', token);
      return change === null
        ? finishSignUp(ctx, { token, password: password ?? '' })
        : finishChange(ctx, token);
    });
  });
}

async function finishChange(ctx: Context, token: string): Promise<string> {
  const viewer = await requireSession(ctx);
  const { userId } = viewer;
  await ctx.database.transaction(async (sql) => {
    const account = await lockViewer(sql, viewer);
    const consumed = await consumeOneTimeToken<{ email: string }>(sql, 'VERIFY_EMAIL', token);
    // Somebody else's token is as worthless as none; rolling back leaves it for its owner.
    if (consumed?.userId !== userId) {
      throw new InvalidCredentialsError(
        'The token is unknown, used, expired, or of another account',
      );
    }
    await setEmail(ctx, sql, viewer, { email: consumed.payload.email, isVerified: true });
    if (account.email !== null && account.email !== consumed.payload.email) {
      await queueMail(sql, ctx, emailChangedMail(occasionOf(ctx, account.email)));
    }
  });
  return userId;
}

async function setEmail(
  ctx: Context,
  sql: Sql,
  viewer: SignedInViewer,
  { email, isVerified }: { readonly email: string; readonly isVerified: boolean },
): Promise<void> {
  const { userId } = viewer;
  const [other] = await sql.query('SELECT id FROM users WHERE email = $1 AND id <> $2', [
    email,
    userId,
  ]);
  if (other !== undefined) throw taken();
  try {
    await sql.query(
      `UPDATE users SET email = $2, email_verified_at = CASE WHEN $3 THEN naru_now() END,
         updated_at = naru_now() WHERE id = $1`,
      [userId, email, isVerified],
    );
  } catch (error) {
    // Somebody took it since we looked.
    throw isTaken(error) ? taken() : error;
  }
  await dropOneTimeTokens(sql, userId, ['RESET_PASSWORD', 'VERIFY_EMAIL']);
  await recordAudit(sql, actorOf(ctx, viewer), {
    action: 'EMAIL_CHANGED',
    subject: { type: 'User', id: userId },
    details: { isVerified },
  });
}

function taken(): ConflictError {
  return new ConflictError('Another account has this e-mail address');
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === UNIQUE_VIOLATION;
}

/**
 * Erases the account: names, address, password, sessions, tokens and links. Its row stays as a
 * tombstone, so that what refers to it still does; other domains erase theirs when they hear of it.
 * Throws `ConflictError` for the last administrator.
 */
export async function deleteAccount(
  ctx: Context,
  input: { readonly password: string | null },
): Promise<string> {
  const viewer = await requireSession(ctx);
  const { userId } = viewer;
  const provenHash = await proveAgain(ctx, viewer, input.password);
  const link = await transact(ctx, async (sql, announce) => {
    // Only then, so that nobody else's deletion keeps administrators waiting.
    const wasAdmin = viewer.roles.has('ADMIN');
    if (wasAdmin) await requireOtherAdmin(sql, userId);
    const { roles } = await requireUnchanged(sql, viewer, provenHash);
    if (!wasAdmin && roles.includes('ADMIN')) throw changed();
    const taken = await takeLink(ctx, sql, userId);
    await eraseAccount(sql, userId);
    await recordAudit(sql, actorOf(ctx, viewer), {
      action: 'ACCOUNT_DELETED',
      subject: { type: 'User', id: userId },
    });
    await eraseAuditAddresses(sql, userId);
    await announce(userDeleted, userId, { userId });
    return taken;
  });
  await revokeLink(ctx, link);
  ctx.origin.setSessionCookie?.(null);
  return userId;
}

const ERASED = [
  'password',
  'session',
  'personal_access_token',
  'one_time_token',
  'idempotency_key',
];

async function eraseAccount(sql: Sql, userId: string): Promise<void> {
  // Also what was asked for by its address, by itself or by others: those have no account yet.
  await sql.query(
    `DELETE FROM one_time_token
     WHERE payload ->> 'email' = (SELECT email FROM users WHERE id = $1)`,
    [userId],
  );
  for (const table of ERASED) {
    await sql.query(`DELETE FROM ${table} WHERE user_id = $1`, [userId]);
  }
  const [erased] = await sql.query(
    `UPDATE users SET username = 'deleted-' || id, display_name = 'Deleted account', avatar_url = NULL,
       email = NULL, email_verified_at = NULL, roles = '{}', deleted_at = naru_now(), updated_at = naru_now()
     WHERE id = $1 AND deleted_at IS NULL RETURNING id`,
    [userId],
  );
  if (erased === undefined) throw new UnauthenticatedError('The account was deleted already');
}
