// Rotating refresh tokens, and how long sessions last. The clock is the database's, moved by hand.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { addAccount, passTime, type TestAccount, viewerOf } from '../support/accounts.ts';
import { openEventStream, openSocket, post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { cookieOf, pageHeaders, refresh, signIn, tokensOf } from '../support/sessions.ts';

/** Two nodes on one database, so that nothing can be right by what one process remembers. */
let naru: TestNaru;
let other: TestNaru;

beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
  other = await startNaru({ runsJobs: false, database: naru.database });
});
afterAll(async () => {
  await other?.close();
  await naru?.close();
});
afterEach(() => naru.app.database.query('DELETE FROM clock_offset'));

const query = <Row extends object>(text: string, values: readonly unknown[] = []) =>
  naru.app.database.query<Row>(text, values);
const pass = (seconds: number) => passTime(query, seconds);
const LIVE = { query: 'subscription { webhookMessageReceived { __typename } }' };
const HOUR = 3_600;
const DAY = 24 * HOUR;

async function open(to: TestNaru = naru) {
  const account = await addAccount(query);
  return { ...account, ...(await tokensOf(to.url, { login: account.login })) };
}

async function sessionsOf({ userId }: TestAccount) {
  return query<{ id: string; end_reason: string | null; tokens: number; last_seen_at: Date }>(
    `SELECT s.id, s.end_reason, s.last_seen_at, count(r.id)::int AS tokens
     FROM session s LEFT JOIN refresh_token r ON r.session_id = s.id
     WHERE s.user_id = $1 GROUP BY s.id ORDER BY s.created_at, s.id`,
    [userId],
  );
}

const isRefused = async (refreshToken: string, to: TestNaru = naru) =>
  (await refresh(to.url, refreshToken)).__typename === 'UnauthenticatedError';

describe('one refresh token', () => {
  test('by 50 at once over two nodes is exchanged once, and all 50 get the same successor', async () => {
    const account = await open();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        refresh((index % 2 ? naru : other).url, account.refreshToken),
      ),
    );
    expect(new Set(answers.map(({ __typename }) => __typename))).toEqual(
      new Set(['SessionRefreshed']),
    );
    expect(new Set(answers.map(({ refreshToken }) => refreshToken)).size).toBe(1);
    // The first one, and one successor.
    expect((await sessionsOf(account)).map(({ tokens }) => tokens)).toEqual([2]);
    for (const { accessToken } of answers) {
      expect(await viewerOf(other.url, accessToken)).toBe(account.login);
    }
  });

  test('again within 10 s gets the same successor, from the other node, too', async () => {
    const { refreshToken } = await open();
    const first = await refresh(naru.url, refreshToken);
    await pass(9);
    expect((await refresh(other.url, refreshToken)).refreshToken).toBe(first.refreshToken);
  });

  test('again within 10 s, once its successor was used, is refused, and the session lives', async () => {
    const account = await open();
    const second = await refresh(naru.url, account.refreshToken);
    const third = await refresh(naru.url, second.refreshToken);
    expect(await isRefused(account.refreshToken, other)).toBe(true);
    expect(await viewerOf(naru.url, third.accessToken)).toBe(account.login);
    expect((await refresh(other.url, third.refreshToken)).__typename).toBe('SessionRefreshed');
  });

  test('again after 10 s ends its session: nothing of it counts, what is live is closed, and the audit log says so', async () => {
    const account = await open();
    const bystander = await tokensOf(naru.url, { login: account.login });
    const second = await refresh(naru.url, account.refreshToken);
    const third = await refresh(naru.url, second.refreshToken);
    const sockets = await Promise.all(
      [naru, other].map(({ url }) => openSocket(url, third.accessToken)),
    );
    const stream = await openEventStream(other.url, LIVE, third.accessToken);
    await stream.next();
    await pass(11);

    expect(await isRefused(account.refreshToken)).toBe(true);
    for (const { refreshToken } of [second, third]) {
      expect(await isRefused(refreshToken, other)).toBe(true);
    }
    for (const { accessToken } of [account, second, third]) {
      for (const { url } of [naru, other]) expect(await viewerOf(url, accessToken)).toBeNull();
    }
    for (const socket of sockets) expect((await socket.closed).code).toBe(4401);
    expect(await stream.next()).toBeNull();
    const [ended, live] = await sessionsOf(account);
    expect([ended?.end_reason, live?.end_reason]).toEqual(['REFRESH_REUSED', null]);
    expect(await viewerOf(naru.url, bystander.accessToken)).toBe(account.login);
    expect(
      await query(
        `SELECT action, actor_id, session_id, subject_id FROM audit_entry
         WHERE action = 'REFRESH_REUSED' AND subject_id = $1`,
        [account.userId],
      ),
    ).toEqual([
      {
        action: 'REFRESH_REUSED',
        actor_id: null,
        session_id: ended?.id,
        subject_id: account.userId,
      },
    ]);
  });

  test('again after 10 s by 50 at once ends its session once', async () => {
    const account = await open();
    await refresh(naru.url, account.refreshToken);
    await pass(11);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        isRefused(account.refreshToken, index % 2 ? naru : other),
      ),
    );
    expect(answers).not.toContain(false);
    const entries = await query(
      `SELECT id FROM audit_entry WHERE action = 'REFRESH_REUSED' AND subject_id = $1`,
      [account.userId],
    );
    expect(entries).toHaveLength(1);
  });

  test('again after 10 s ends the session also when its successor was never used', async () => {
    const account = await open();
    const { refreshToken, accessToken } = await refresh(naru.url, account.refreshToken);
    await pass(11);
    expect(await isRefused(account.refreshToken)).toBe(true);
    expect(await isRefused(refreshToken)).toBe(true);
    expect(await viewerOf(naru.url, accessToken)).toBeNull();
  });

  test.each([
    ['of another shape', 'naru_rt_short'],
    ['that is unknown', `naru_rt_${'A'.repeat(43)}`],
    ['with other unused bits at its tail', null],
    ['that is empty', ''],
  ])('%s is refused', async (_name, given) => {
    const { refreshToken } = await open();
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const tail = letters[letters.indexOf(refreshToken.at(-1) ?? '') ^ 1];
    expect(await isRefused(given ?? refreshToken.slice(0, -1) + tail)).toBe(true);
    expect(await isRefused(refreshToken)).toBe(false);
  });

  test('is no credential of a request, and an access or personal access token no refresh token', async () => {
    const { refreshToken, accessToken } = await open();
    const token = await naru.tokenFor('alice');
    expect(await viewerOf(naru.url, refreshToken)).toBeNull();
    for (const text of [accessToken, token]) expect(await isRefused(text)).toBe(true);
    expect(await isRefused(refreshToken)).toBe(false);
  });

  test('is nowhere in the database as it is, and neither is its successor once its grace is over', async () => {
    const { refreshToken } = await open();
    const next = await refresh(naru.url, refreshToken);
    const rows = await query('SELECT r::text AS text FROM refresh_token r');
    const bytes = (text: string) => Buffer.from(text).toString('hex');
    for (const secret of [refreshToken, next.refreshToken]) {
      expect(JSON.stringify(rows)).not.toContain(secret);
      expect(JSON.stringify(rows)).not.toContain(bytes(secret));
    }
  });
});

describe('SESSION_DAYS is absolute', () => {
  test('however often it is refreshed, the session ends then, and so does the newest access token', async () => {
    const account = await open();
    let { refreshToken, accessToken } = account;
    for (let day = 1; day < 7; day += 1) {
      await pass(DAY);
      ({ refreshToken, accessToken } = await refresh(naru.url, refreshToken));
    }
    await pass(DAY - 60);
    const last = await refresh(naru.url, refreshToken);
    expect(last.__typename).toBe('SessionRefreshed');
    const socket = await openSocket(naru.url, last.accessToken);
    await pass(61);
    expect(await viewerOf(naru.url, last.accessToken)).toBeNull();
    expect(await isRefused(last.refreshToken)).toBe(true);
    // The session's end and not the token's: coming back with another token would not help.
    expect((await socket.closed).code).toBe(4401);
    expect(await viewerOf(naru.url, accessToken)).toBeNull();
  });

  test('a cookie used every day ends then, too', async () => {
    const { login } = await addAccount(query);
    const cookie = await cookieOf(naru.url, { login });
    const ask = () =>
      post(naru.url, { query: '{ viewer { username } }' }, null, pageHeaders(cookie));
    for (let day = 0; day < 7; day += 1) {
      expect((await ask()).result.data.viewer.username).toBe(login);
      await pass(DAY);
    }
    expect((await ask()).result.data.viewer).toBeNull();
  });
});

describe('SESSION_IDLE_HOURS', () => {
  test('a session that nobody used for so long is over, by refresh and by cookie', async () => {
    const account = await open();
    const cookie = await cookieOf(naru.url, { login: account.login });
    await pass(72 * HOUR + 60);
    expect(await isRefused(account.refreshToken)).toBe(true);
    const { result } = await post(
      naru.url,
      { query: '{ viewer { username } }' },
      null,
      pageHeaders(cookie),
    );
    expect(result.data.viewer).toBeNull();
  });

  test('each use counts from anew, also an access token’s', async () => {
    const account = await open();
    await pass(71 * HOUR);
    const { refreshToken, accessToken } = await refresh(naru.url, account.refreshToken);
    await pass(600);
    expect(await viewerOf(naru.url, accessToken)).toBe(account.login);
    await pass(72 * HOUR - 300);
    expect((await refresh(naru.url, refreshToken)).__typename).toBe('SessionRefreshed');
  });

  test('lastSeenAt moves once a minute at most', async () => {
    const account = await open();
    const seen = async () => Number((await sessionsOf(account))[0]?.last_seen_at);
    const before = await seen();
    await pass(50);
    for (let index = 0; index < 5; index += 1) await viewerOf(naru.url, account.accessToken);
    expect(await seen()).toBe(before);
    await pass(11);
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        viewerOf((index % 2 ? naru : other).url, account.accessToken),
      ),
    );
    const after = await seen();
    expect(after).toBeGreaterThan(before);
    await viewerOf(other.url, account.accessToken);
    expect(await seen()).toBe(after);
  });
});

describe.each([
  ['single', 1],
  ['multi:3', 3],
])('SESSION_POLICY=%s', (policy, limit) => {
  let nodes: TestNaru[];
  beforeAll(async () => {
    const settings = { SESSION_POLICY: policy };
    nodes = await Promise.all(
      [1, 2].map(() => startNaru({ runsJobs: false, settings, database: naru.database })),
    );
  });
  afterAll(() => Promise.all(nodes.map((node) => node.close())));

  test('never more than that many live, by sign-ins one after another: the newest stay', async () => {
    const { login } = await addAccount(query);
    const all = [];
    for (let index = 0; index < limit + 2; index += 1) {
      all.push(await tokensOf(nodes[index % 2]?.url ?? '', { login }));
    }
    const live = await Promise.all(all.map(({ accessToken }) => viewerOf(naru.url, accessToken)));
    expect(live.map((name) => name !== null)).toEqual(
      all.map((_, index) => index >= all.length - limit),
    );
    expect(await isRefused(all[0]?.refreshToken ?? '')).toBe(true);
  });

  test('never more than that many live, by 8 sign-ins at once over two nodes', async () => {
    const account = await addAccount(query);
    const { login } = account;
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        index % 4 === 0
          ? signIn(nodes[index % 2]?.url ?? '', { login, transport: 'COOKIE' }, pageHeaders())
          : signIn(nodes[index % 2]?.url ?? '', { login }),
      ),
    );
    expect(new Set(all.map(({ result }) => result.data.signIn.__typename))).toEqual(
      new Set(['SignedIn']),
    );
    const sessions = await sessionsOf(account);
    expect(sessions).toHaveLength(8);
    expect(sessions.filter(({ end_reason }) => end_reason === null)).toHaveLength(limit);
    const reasons = new Set(sessions.map(({ end_reason }) => end_reason));
    expect(reasons).toEqual(new Set([null, 'REPLACED']));
  });

  test('the new session lives although the clock was set back', async () => {
    const { login } = await addAccount(query);
    await pass(HOUR);
    for (let index = 0; index < limit; index += 1) await tokensOf(nodes[0]?.url ?? '', { login });
    await query('DELETE FROM clock_offset');
    const { accessToken } = await tokensOf(nodes[0]?.url ?? '', { login });
    expect(await viewerOf(naru.url, accessToken)).toBe(login);
  });

  test('what a newer sign-in ended is closed with 4401', async () => {
    const { login } = await addAccount(query);
    const { accessToken } = await tokensOf(nodes[0]?.url ?? '', { login });
    const socket = await openSocket(nodes[1]?.url ?? '', accessToken);
    for (let index = 0; index < limit; index += 1) await tokensOf(nodes[0]?.url ?? '', { login });
    expect((await socket.closed).code).toBe(4401);
  });
});

test('a session fixed before signing in is replaced: the cookie is a new one each time', async () => {
  const { login } = await addAccount(query);
  const planted = `__Host-naru=${'A'.repeat(43)}`;
  const answer = await signIn(
    naru.url,
    { login, password: SEED_PASSWORD, transport: 'COOKIE' },
    pageHeaders(planted),
  );
  const [line = ''] = answer.headers.getSetCookie().slice(-1);
  expect(line).toMatch(/^(__Host-)?naru=[A-Za-z0-9_-]{43};/);
  expect(line).not.toContain('A'.repeat(43));
  expect(await cookieOf(naru.url, { login })).not.toBe(await cookieOf(naru.url, { login }));
});
