// Signing in with GitHub, and linking a GitHub account.
import type { Viewer } from '#auth/viewer.ts';
import type { Client, Services, SessionCookie } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { withError } from '#lib/return-to.ts';
import type { GitHubTokens, GitHubUser } from '#outbound/github.ts';
import { recordAudit } from './audit.ts';
import { arrive, type Journey, redirectUriOf } from './github-journey.ts';
import { bestEffort, clientOf, storeLink } from './github-link.ts';
import { createGitHubAccount } from './github-sign-up.ts';
import { lockAccount } from './locked-account.ts';
import { openSession } from './session.ts';

type App = Pick<Services, 'config' | 'database' | 'github' | 'log' | 'metrics'>;

/** How it ended when it did not end well: what `returnTo` is told as `error`. */
type Refusal =
  | 'access_denied'
  | 'github_refused'
  | 'signup_closed'
  | 'account_disabled'
  | 'session_ended'
  | 'already_linked'
  | 'unlink_first';

interface Arrival {
  readonly person: GitHubUser;
  readonly tokens: GitHubTokens;
  readonly client: Client;
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
  let isKept = false;
  try {
    const person = await github.getUser(tokens.accessToken);
    if (person === 'REFUSED') return refuse('github_refused');
    const arrival = { person, tokens, client };
    const outcome =
      link === null ? await signInArrival(app, arrival) : await linkArrival(app, arrival, link);
    isKept = typeof outcome !== 'string';
    return typeof outcome === 'string' ? refuse(outcome) : { location: returnTo, cookie: outcome };
  } finally {
    // Nobody will use it.
    if (!isKept) await bestEffort(app, () => github.revokeToken(tokens.accessToken));
  }
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
      `SELECT id FROM session WHERE id = $1 AND ended_at IS NULL AND expires_at > naru_now()
       FOR NO KEY UPDATE`,
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
