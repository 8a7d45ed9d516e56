// What ends credentials, or bounds them, besides signing out and revoking.
import { randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { newId } from '#lib/ids.ts';
import { createOneTimeToken } from '#resolvers/users/one-time-token.ts';
import { REFRESHES_MAX } from '#resolvers/users/refresh.ts';
import { pruneCredentials, pruneSuccessors } from '#resolvers/users/retention.ts';
import { setPassword } from '#resolvers/users/set-password.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { addAccount, passTime, run, type TestAccount, viewerOf } from '../support/accounts.ts';
import { post } from '../support/graphql-client.ts';
import { GOOD_PASSWORD } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { cookieOf, pageHeaders, refresh, SIGN_IN, tokensOf } from '../support/sessions.ts';

const DAY_SECONDS = 86_400;
let naru: TestNaru;

beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru?.close());
afterEach(() => query('DELETE FROM clock_offset'));

const query = <Row extends object>(text: string, values: readonly unknown[] = []) =>
  naru.app.database.query<Row>(text, values);

async function linkGitHub({ userId }: TestAccount): Promise<void> {
  await query(
    `INSERT INTO github_account (id, user_id, github_id, login, access_token_sealed)
     VALUES ($1, $2, $3, 'octocat', '')`,
    [newId(), userId, randomInt(2 ** 40)],
  );
}

async function linksAndActions({ userId }: TestAccount) {
  const links = await query('SELECT id FROM github_account WHERE user_id = $1', [userId]);
  const actions = await query<{ action: string }>(
    'SELECT action FROM audit_entry WHERE actor_id = $1 OR action = $2 ORDER BY id',
    [userId, 'GITHUB_UNLINKED'],
  );
  return { links: links.length, actions: actions.map(({ action }) => action) };
}

test('a reset by mail takes the link to GitHub along, also of a confirmed address', async () => {
  const account = await addAccount(query);
  await linkGitHub(account);
  const { token } = await createOneTimeToken(naru.app.database, {
    purpose: 'RESET_PASSWORD',
    userId: account.userId,
    payload: { email: `${account.login}@example.com` },
  });
  const input = { token, newPassword: GOOD_PASSWORD };
  expect(await run(naru.url, 'resetPassword', input)).toBe('PasswordReset');
  const { links, actions } = await linksAndActions(account);
  expect(links).toBe(0);
  expect(actions).toContain('GITHUB_UNLINKED');
});

test('so does a reset from the command line', async () => {
  const account = await addAccount(query);
  await linkGitHub(account);
  await setPassword(naru.app, { username: account.login, password: GOOD_PASSWORD });
  expect((await linksAndActions(account)).links).toBe(0);
});

test('a personal access token makes none that outlives it', async () => {
  const create = async (token: string) => {
    const { result } = await post(
      naru.url,
      {
        query: `mutation { createPersonalAccessToken(
          input: { name: "t", scopes: ["tokens:write"], expiresInDays: 366 }
        ) { ... on PersonalAccessTokenCreated { token personalAccessToken { expiresAt } } } }`,
      },
      token,
    );
    return result.data.createPersonalAccessToken;
  };
  const { accessToken } = await tokensOf(naru.url);
  const parent = await create(accessToken);
  await query(
    `UPDATE personal_access_token SET expires_at = naru_now() + interval '1 day'
     WHERE expires_at = $1`,
    [parent.personalAccessToken.expiresAt],
  );
  const child = await create(parent.token);
  const days = (Date.parse(child.personalAccessToken.expiresAt) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(0.99);
  expect(days).toBeLessThanOrEqual(1);
});

test('a session is refreshed so often and no more, and goes on until its access token ends', async () => {
  const tokens = await tokensOf(naru.url);
  await query('UPDATE session SET refreshes = $1 WHERE ended_at IS NULL', [REFRESHES_MAX - 1]);
  const last = await refresh(naru.url, tokens.refreshToken);
  expect(last.__typename).toBe('SessionRefreshed');
  expect((await refresh(naru.url, last.refreshToken)).__typename).toBe('UnauthenticatedError');
  expect(await viewerOf(naru.url, last.accessToken)).toBe('alice');
});

test('signing in by cookie ends the session whose cookie it overwrites, and no other', async () => {
  const [first, other] = [await cookieOf(naru.url), await cookieOf(naru.url)];
  const input = { login: 'bob', password: SEED_PASSWORD, transport: 'COOKIE' };
  await post(naru.url, { query: SIGN_IN, variables: { input } }, null, pageHeaders(first));
  const ask = async (cookie: string) =>
    (await post(naru.url, { query: '{ viewer { username } }' }, null, pageHeaders(cookie))).result
      .data.viewer;
  expect([await ask(first), await ask(other)]).toEqual([null, { username: 'alice' }]);
});

test('wrong passwords within one session do not keep another from changing the password', async () => {
  const { login } = await addAccount(query);
  const [thief, owner] = [await tokensOf(naru.url, { login }), await tokensOf(naru.url, { login })];
  const change = (token: string, currentPassword: string) =>
    run(naru.url, 'changePassword', { currentPassword, newPassword: GOOD_PASSWORD }, token);
  const tried = new Set<string>();
  for (let turn = 0; turn < 25; turn += 1) tried.add(await change(thief.accessToken, 'a guess'));
  expect(tried).toEqual(new Set(['InvalidCredentialsError', 'RateLimitedError']));
  expect(await change(owner.accessToken, SEED_PASSWORD)).toBe('PasswordChanged');
  expect(await viewerOf(naru.url, thief.accessToken)).toBeNull();
});

test('an EventSource whose session has ended is answered with 401, so that it stops', async () => {
  const cookie = await cookieOf(naru.url);
  await query('UPDATE session SET ended_at = naru_now() WHERE ended_at IS NULL');
  const search = new URLSearchParams({
    query: 'subscription { webhookMessageReceived { __typename } }',
  });
  const response = await fetch(`${naru.url}/graphql?${search}`, {
    headers: { accept: 'text/event-stream', cookie, 'sec-fetch-site': 'same-origin' },
  });
  expect(response.status).toBe(401);
});

test('what is worthless is removed in its time: successors, refresh tokens, sessions, one-time tokens', async () => {
  const { refreshToken } = await tokensOf(naru.url);
  const live = await refresh(naru.url, refreshToken);
  const count = async () => {
    const [row] = await query<Record<string, number>>(
      `SELECT (SELECT count(*)::int FROM refresh_token WHERE successor_sealed IS NOT NULL) AS sealed,
         (SELECT count(*)::int FROM refresh_token) AS refresh,
         (SELECT count(*)::int FROM session) AS sessions,
         (SELECT count(*)::int FROM one_time_token) AS once`,
    );
    return row;
  };
  await createOneTimeToken(naru.app.database, {
    purpose: 'INVITATION',
    userId: null,
    payload: {},
  });
  const prune = async () => {
    await pruneSuccessors(naru.app);
    await pruneCredentials(naru.app);
  };
  await query(`UPDATE session SET ended_at = NULL, end_reason = NULL, refreshes = 0`);
  const before = await count();
  await prune();
  expect(await count()).toEqual(before);
  await passTime(query, 11);
  await prune();
  expect(await count()).toEqual({ ...before, sealed: 0 });
  // Nothing that still counts was touched.
  expect((await refresh(naru.url, live.refreshToken)).__typename).toBe('SessionRefreshed');
  // Past every session's end and a day more.
  await passTime(query, 9 * DAY_SECONDS);
  await prune();
  expect(await count()).toEqual({ sealed: 0, refresh: 0, sessions: before?.['sessions'], once: 0 });
  await passTime(query, 90 * DAY_SECONDS);
  await prune();
  expect(await count()).toEqual({ sealed: 0, refresh: 0, sessions: 0, once: 0 });
});
