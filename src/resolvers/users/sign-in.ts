import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { Session } from '#generated/prisma/client.ts';
import type { SessionTransport } from '#generated/prisma/enums.ts';
import { parseEmail } from '#lib/email.ts';
import {
  ForbiddenError,
  InvalidCredentialsError,
  RateLimitedError,
  UnavailableError,
} from '#lib/errors.ts';
import type { Taken } from '#redis/rate-limit.ts';
import { showProven } from './access.ts';
import { recordAudit } from './audit.ts';
import { networkOfClient, withHash } from './credential-limits.ts';
import { lockAccount } from './locked-account.ts';
import { withAccessToken } from './refresh.ts';
import { endSessions, type OpenedSession, openSession } from './session.ts';

/** Longer than any username, before it is normalised. */
const LOGIN_LENGTH_MAX = 256;

export interface SignedIn {
  readonly userId: string;
  readonly session: Session;
  readonly accessToken: string | null;
  readonly accessTokenExpiresAt: Date | null;
  readonly refreshToken: string | null;
}

export interface SignInInput {
  /** Username or e-mail address. */
  readonly login: string;
  readonly password: string;
  readonly transport: SessionTransport;
}

interface SignInAccount {
  readonly userId: string;
  readonly hash: string | null;
  readonly changedAt: Date | null;
  readonly isKnownNetwork: boolean;
}

/**
 * A new session for whoever knows the password. Takes the same steps and the same time whether or not
 * there is such an account. Throws `InvalidCredentialsError`, `RateLimitedError`, and `ForbiddenError`
 * for COOKIE where no page that we trust asks and, with the right password only, for a disabled account.
 */
export async function signIn(ctx: Context, input: SignInInput): Promise<SignedIn> {
  requireTransport(ctx, input.transport);
  try {
    const signedIn = await withHash(ctx, () => signInByPassword(ctx, input));
    ctx.metrics.signIns.inc({ outcome: 'signed-in' });
    return signedIn;
  } catch (error) {
    ctx.metrics.signIns.inc({ outcome: outcomeOf(error) });
    throw error;
  }
}

async function signInByPassword(
  ctx: Context,
  { transport, ...input }: SignInInput,
): Promise<SignedIn> {
  const login = readLogin(input.login);
  const network = networkOfClient(ctx);
  const taken: Taken[] = [];
  const giveBack = () => Promise.all(taken.map((points) => points.giveBack()));
  try {
    taken.push(await ctx.credentialLimiter.take([{ name: 'sign-in-network', key: network }]));
    const account = await findAccount(ctx.database, login, network);
    // By the login as it was written: counted by account, a username and an address that share a limit would
    // tell that they belong together.
    const [here, everywhere] = await Promise.allSettled([
      ctx.credentialLimiter.take([{ name: 'sign-in-login-network', key: `${login} ${network}` }]),
      ctx.credentialLimiter.take([{ name: 'sign-in-login', key: login }]),
    ]);
    if (here.status === 'rejected') {
      // Or one network alone could use up what a login has everywhere, without a single password.
      if (everywhere.status === 'fulfilled') await everywhere.value.giveBack();
      throw here.reason;
    }
    taken.push(here.value);
    if (everywhere.status === 'fulfilled') taken.push(everywhere.value);
    if (everywhere.status === 'rejected' && !account?.isKnownNetwork) throw everywhere.reason;
    const { matches, needsRehash } = await ctx.passwords.verify(
      account?.hash ?? null,
      input.password,
    );
    if (account === undefined || account.hash === null || !matches) throw wrong();
    const opened = await ctx.database.transaction(async (sql) => {
      await holdAccount(sql, account);
      return openAudited(ctx, sql, account.userId, transport);
    });
    await giveBack();
    if (needsRehash) await rehash(ctx, account, input.password);
    return await handOut(ctx, opened);
  } catch (error) {
    // Nothing was learned about the password: it was no try.
    if (error instanceof UnavailableError) await giveBack();
    throw error;
  }
}

/** As accounts are stored; empty for what is no account's, so that this, too, takes the same steps. */
function readLogin(text: string): string {
  const email = parseEmail(text);
  if (email !== null) return email;
  const login = text.length > LOGIN_LENGTH_MAX ? '' : text.normalize('NFKC').trim().toLowerCase();
  return login.isWellFormed() && !login.includes('\u0000') ? login : '';
}

/** A cookie is only set for a page that we trust, on an answer that can carry one. */
export function requireTransport(ctx: Context, transport: SessionTransport): void {
  if (transport === 'COOKIE' && ctx.origin.setSessionCookie === null) {
    throw new ForbiddenError(
      'A session by cookie is opened by POST from an allowed origin, with the header x-naru-csrf',
    );
  }
}

/** Within the transaction that signs in; the caller holds the account's row lock. */
export async function openAudited(
  ctx: Context,
  sql: Sql,
  userId: string,
  transport: SessionTransport,
): Promise<OpenedSession> {
  const { client } = ctx.origin;
  const { viewer } = ctx;
  if (transport === 'COOKIE' && viewer?.proof.kind === 'session') {
    // Its cookie is overwritten: nobody could end it any more.
    await endSessions(sql, { userId: viewer.userId, reason: 'REPLACED', only: viewer.proof.id });
  }
  const opened = await openSession(sql, ctx.config, { userId, transport, client });
  const actor = { userId, sessionId: opened.session.id, ipAddress: client.ipAddress };
  await recordAudit(sql, actor, {
    action: 'SIGNED_IN',
    subject: { type: 'Session', id: opened.session.id },
    details: { transport, replacedSessions: opened.replacedSessions },
  });
  return opened;
}

/** The secrets, in the way that the transport says, once what they belong to has been committed. */
async function handOut(ctx: Context, opened: OpenedSession): Promise<SignedIn> {
  const { session, secret, refreshToken } = opened;
  const { userId } = session;
  showProven(ctx, userId, session.id);
  const none = { accessToken: null, accessTokenExpiresAt: null, refreshToken: null };
  if (secret !== null) {
    const maxAgeSeconds = ctx.config.sessionDays * 86_400;
    ctx.origin.setSessionCookie?.({ value: secret, maxAgeSeconds });
  }
  if (refreshToken === null) return { userId, session, ...none };
  return { userId, ...(await withAccessToken(ctx, session, refreshToken, session.createdAt)) };
}

async function findAccount(
  sql: Sql,
  login: string,
  network: string,
): Promise<SignInAccount | undefined> {
  const [account] = await sql.query<SignInAccount>(
    `SELECT u.id AS "userId", p.hash, p.changed_at AS "changedAt", EXISTS (
       SELECT FROM session s WHERE s.user_id = u.id AND s.network = $2) AS "isKnownNetwork"
     FROM users u LEFT JOIN password p ON p.user_id = u.id
     WHERE (u.email = $1 OR u.username = $1) AND u.deleted_at IS NULL`,
    [login, network],
    'find-sign-in',
  );
  return account;
}

/** Still the same password, and nobody disabled or deleted the account while it was hashed. */
async function holdAccount(sql: Sql, { userId, changedAt }: SignInAccount): Promise<void> {
  const account = await lockAccount(sql, userId);
  // Hashed anew, by a sign-in at the same time, it is the same password.
  if (account?.passwordChangedAt?.getTime() !== changedAt?.getTime()) throw wrong();
  if (account === null) throw wrong();
  if (account.isDisabled) throw new ForbiddenError('This account is disabled');
}

/** With today's parameters, unless the password was changed meanwhile. */
async function rehash(ctx: Context, { userId, hash }: SignInAccount, password: string) {
  try {
    const fresh = await ctx.passwords.hash(password);
    await ctx.database.query('UPDATE password SET hash = $3 WHERE user_id = $1 AND hash = $2', [
      userId,
      hash,
      fresh,
    ]);
  } catch (error) {
    // The next sign-in tries again.
    if (!(error instanceof UnavailableError)) throw error;
  }
}

function outcomeOf(error: unknown): string {
  if (error instanceof InvalidCredentialsError) return 'wrong';
  if (error instanceof RateLimitedError) return 'limited';
  if (error instanceof ForbiddenError) return 'disabled';
  return error instanceof UnavailableError ? 'unavailable' : 'failed';
}

function wrong(): InvalidCredentialsError {
  return new InvalidCredentialsError('Login and password do not match');
}
