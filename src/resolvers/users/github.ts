// Signing in with GitHub, and linking a GitHub account: out to GitHub, and back with a code. What
// came back counts only in the browser that was sent out.
import { hash } from 'node:crypto';
import { createToken, hashToken } from '#auth/tokens.ts';
import type { Viewer } from '#auth/viewer.ts';
import type { Client, Services, SessionCookie } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { deriveKey } from '#lib/derive-key.ts';
import { ForbiddenError, InvalidInputError, UnauthenticatedError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { networkOf } from '#lib/network.ts';
import { parseReturnTo, withError } from '#lib/return-to.ts';
import { seal, unseal } from '#lib/seal.ts';
import type { GitHubTokens, GitHubUser } from '#outbound/github.ts';
import { recordAudit } from './audit.ts';
import { bestEffort, clientOf, storeLink } from './github-link.ts';
import { createGitHubAccount } from './github-sign-up.ts';
import { lockAccount } from './locked-account.ts';
import { ONE_TIME_MINUTES } from './one-time-token.ts';
import { openSession } from './session.ts';

type App = Pick<
  Services,
  'config' | 'database' | 'github' | 'log' | 'metrics' | 'credentialLimiter'
>;

/** How it ended when it did not end well: what `returnTo` is told as `error`. */
type Refusal =
  | 'access_denied'
  | 'github_refused'
  | 'signup_closed'
  | 'account_disabled'
  | 'session_ended'
  | 'already_linked'
  | 'unlink_first';

interface Journey {
  readonly returnTo: string;
  readonly verifier: string;
  readonly link: { readonly userId: string; readonly sessionId: string } | null;
}

interface Payload {
  readonly returnTo: string;
  readonly verifierSealed: string;
  readonly sessionId: string | null;
}

interface Arrival {
  readonly person: GitHubUser;
  readonly tokens: GitHubTokens;
  readonly client: Client;
}

/**
 * Sends a browser to GitHub. `browserSecret` is for its cookie: without it the way back does not count.
 * To link, `viewer` must have a fresh session by cookie. Throws `NotFoundError` where there is no GitHub,
 * `InvalidInputError` for `returnTo`, `UnauthenticatedError`, `ForbiddenError`, `RateLimitedError`.
 */
export async function startGitHub(
  app: App,
  input: {
    readonly returnTo: string;
    readonly isLink: boolean;
    readonly viewer: Viewer | null;
    readonly client: Client;
  },
): Promise<{ readonly location: string; readonly browserSecret: string }> {
  const github = clientOf(app);
  const returnTo = parseReturnTo(input.returnTo, app.config.allowedOrigins);
  if (returnTo === null) {
    throw new InvalidInputError(
      'returnTo is a path here, or a URL of an allowed origin',
      'returnTo',
    );
  }
  const link = input.isLink ? requireFreshCookie(input.viewer) : null;
  // Each start leaves a row for ten minutes: nobody may leave as many as they like.
  await app.credentialLimiter.take([
    { name: 'one-time-network', key: networkOf(input.client.ipAddress) },
  ]);
  const [state, browserSecret, verifier] = [
    createToken('sessionSecret'),
    createToken('sessionSecret'),
    createToken('sessionSecret'),
  ];
  const id = newId();
  const payload: Payload = {
    returnTo,
    verifierSealed: seal(keyOf(app), verifier, id).toString('base64'),
    sessionId: link?.sessionId ?? null,
  };
  await app.database.query(
    `INSERT INTO one_time_token (id, purpose, token_hash, user_id, payload, expires_at)
     VALUES ($1, 'GITHUB_STATE', $2, $3, $4, naru_now() + $5 * interval '1 minute')`,
    [
      id,
      bindingOf(state, browserSecret),
      link?.userId ?? null,
      JSON.stringify(payload),
      ONE_TIME_MINUTES.GITHUB_STATE,
    ],
    'start-github',
  );
  const codeChallenge = hash('sha256', verifier, 'base64url');
  const redirectUri = redirectUriOf(app);
  const location = github.authorizeUrl({ state, codeChallenge, redirectUri });
  return { location, browserSecret };
}

/**
 * Where the browser goes next, and its session's cookie where it has signed in. Throws
 * `InvalidInputError` unless `state` was given to this browser and is used for the first time;
 * everything that goes wrong after that is told to `returnTo`, but for `UnavailableError`.
 */
export async function finishGitHub(
  app: App,
  input: {
    readonly callbackParameters: URLSearchParams;
    readonly browserSecret: string | null;
    /** Whoever the session cookie stands for at this moment. */
    readonly findViewer: () => Promise<Viewer | null>;
    readonly client: Client;
  },
): Promise<{ readonly location: string; readonly cookie: SessionCookie | null }> {
  const github = clientOf(app);
  const { callbackParameters, browserSecret, client } = input;
  const state = callbackParameters.get('state');
  const journey =
    state === null || browserSecret === null ? null : await arrive(app, state, browserSecret);
  if (state === null || journey === null) {
    throw new InvalidInputError(
      'This sign-in was begun in another browser, is over ten minutes old, or was used: begin again',
      'state',
    );
  }
  const { returnTo, verifier, link } = journey;
  const refuse = (refusal: Refusal) => ({ location: withError(returnTo, refusal), cookie: null });

  if (link !== null && !isSame(link, await input.findViewer())) return refuse('session_ended');
  const redirectUri = redirectUriOf(app);
  const expected = { state, verifier, redirectUri };
  const tokens = await github.exchangeCode(callbackParameters, expected);
  if (tokens === 'DENIED') return refuse('access_denied');
  if (tokens === 'REFUSED') return refuse('github_refused');
  const person = await github.getUser(tokens.accessToken);
  if (person === 'REFUSED') return refuse('github_refused');

  const arrival = { person, tokens, client };
  const outcome =
    link === null ? await signInArrival(app, arrival) : await linkArrival(app, arrival, link);
  if (typeof outcome !== 'string') return { location: returnTo, cookie: outcome };
  // Nobody will use it.
  await bestEffort(app, () => github.revokeToken(tokens.accessToken));
  return refuse(outcome);
}

/** A session for whoever the GitHub account is linked to, or for a new account. */
async function signInArrival(app: App, arrival: Arrival): Promise<SessionCookie | Refusal> {
  const { person, tokens, client } = arrival;
  const { githubId } = person;
  const isNew = (await findLinkedUser(app.database, githubId)) === null;
  // Asked before anything is locked. The answer is of no use where somebody was quicker.
  const email =
    isNew && app.config.signUp === 'open'
      ? await clientOf(app).getVerifiedEmail(tokens.accessToken)
      : null;
  return app.database.transaction(async (sql) => {
    await lockGitHubId(sql, githubId);
    const knownId = await findLinkedUser(sql, githubId);
    if (knownId === null && app.config.signUp !== 'open') return 'signup_closed';
    const userId = knownId ?? (await createGitHubAccount(sql, { person, email }));
    const account = await lockAccount(sql, userId);
    if (account === null || account.isDisabled) {
      app.metrics.signIns.inc({ outcome: 'disabled' });
      return 'account_disabled';
    }
    const linkId = await storeLink(app, sql, { userId, person, tokens });
    const { session, secret } = await openSession(sql, app.config, {
      userId,
      transport: 'COOKIE',
      client,
    });
    const actor = { userId, sessionId: session.id, ipAddress: client.ipAddress };
    if (knownId === null) {
      await recordAudit(sql, actor, {
        action: 'ACCOUNT_CREATED',
        subject: { type: 'User', id: userId },
        details: { by: 'GITHUB' },
      });
      await recordAudit(sql, actor, {
        action: 'GITHUB_LINKED',
        subject: { type: 'GitHubAccount', id: linkId },
      });
    }
    await recordAudit(sql, actor, {
      action: 'SIGNED_IN',
      subject: { type: 'Session', id: session.id },
      details: { transport: 'COOKIE', by: 'GITHUB' },
    });
    if (secret === null) throw new Error('A session by cookie has a secret');
    app.metrics.signIns.inc({ outcome: 'signed-in' });
    return { value: secret, maxAgeSeconds: app.config.sessionDays * 86_400 };
  });
}

/** Null when it is linked: the viewer goes on in the session that they have. */
async function linkArrival(
  app: App,
  { person, tokens, client }: Arrival,
  { userId, sessionId }: NonNullable<Journey['link']>,
): Promise<null | Refusal> {
  return app.database.transaction(async (sql) => {
    await lockGitHubId(sql, person.githubId);
    const account = await lockAccount(sql, userId);
    if (account === null || account.isDisabled) return 'account_disabled';
    // Under the account's lock: whoever ended the session meanwhile has ended this, too.
    const [session] = await sql.query(
      'SELECT id FROM session WHERE id = $1 AND ended_at IS NULL AND expires_at > naru_now()',
      [sessionId],
    );
    if (session === undefined) return 'session_ended';
    const ownerId = await findLinkedUser(sql, person.githubId);
    if (ownerId !== null && ownerId !== userId) return 'already_linked';
    const [linked] = await sql.query(
      'SELECT id FROM github_account WHERE user_id = $1 AND github_id <> $2',
      [userId, String(person.githubId)],
    );
    if (linked !== undefined) return 'unlink_first';
    const linkId = await storeLink(app, sql, { userId, person, tokens });
    await recordAudit(
      sql,
      { userId, sessionId, ipAddress: client.ipAddress },
      {
        action: 'GITHUB_LINKED',
        subject: { type: 'GitHubAccount', id: linkId },
        details: { isRenewed: ownerId !== null },
      },
    );
    return null;
  });
}

/** One of many who come back with the same state gets the journey; the others get null. */
async function arrive(app: App, state: string, browserSecret: string): Promise<Journey | null> {
  const [row] = await app.database.query<{ id: string; userId: string | null; payload: Payload }>(
    `UPDATE one_time_token SET used_at = naru_now()
     WHERE purpose = 'GITHUB_STATE' AND token_hash = $1 AND used_at IS NULL AND expires_at > naru_now()
     RETURNING id, user_id AS "userId", payload`,
    [bindingOf(state, browserSecret)],
    'finish-github',
  );
  if (row === undefined) return null;
  const { returnTo, verifierSealed, sessionId } = row.payload;
  const verifier = unseal(keyOf(app), Buffer.from(verifierSealed, 'base64'), row.id);
  // Begun under another SECRET_KEY.
  if (verifier === null) return null;
  const { userId } = row;
  const link = userId === null || sessionId === null ? null : { userId, sessionId };
  return { returnTo, verifier, link };
}

/** What is stored of a journey: found by whoever has both halves, and by nobody else. */
function bindingOf(state: string, browserSecret: string): Buffer<ArrayBuffer> {
  return hashToken(`${state} ${browserSecret}`);
}

function requireFreshCookie(viewer: Viewer | null): { userId: string; sessionId: string } {
  if (viewer === null) throw new UnauthenticatedError('Sign in before you link a GitHub account');
  const { userId, proof } = viewer;
  if (proof.kind !== 'session' || proof.transport !== 'COOKIE' || !proof.isFresh) {
    throw new ForbiddenError('Sign in again first: linking needs a session of the last 15 minutes');
  }
  return { userId, sessionId: proof.id };
}

function isSame(link: NonNullable<Journey['link']>, viewer: Viewer | null): boolean {
  return (
    viewer?.userId === link.userId &&
    viewer.proof.kind === 'session' &&
    viewer.proof.id === link.sessionId
  );
}

async function findLinkedUser(sql: Sql, githubId: bigint): Promise<string | null> {
  const [row] = await sql.query<{ userId: string }>(
    'SELECT user_id AS "userId" FROM github_account WHERE github_id = $1',
    [String(githubId)],
    'find-github-user',
  );
  return row?.userId ?? null;
}

/** Until the transaction ends. It comes before the account's lock, and the link's row after it. */
async function lockGitHubId(sql: Sql, githubId: bigint): Promise<void> {
  await sql.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`github ${githubId}`]);
}

function redirectUriOf({ config }: Pick<Services, 'config'>): string {
  return `${config.publicUrl}/auth/github/callback`;
}

function keyOf({ config }: Pick<Services, 'config'>): Buffer {
  return deriveKey(config.secretKey, 'github');
}
