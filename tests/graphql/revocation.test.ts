// What is live ends with the credentials behind it, on every node, whoever ended them and wherever.
import { createClient } from 'graphql-ws';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Credential } from '#auth/credential.ts';
import { createOneTimeToken } from '#resolvers/users/one-time-token.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { addAccount, passTime, run, type TestAccount, viewerOf } from '../support/accounts.ts';
import {
  bearer,
  type EventStream,
  openBareSocket,
  openEventStream,
  openSocket,
  post,
  until,
} from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { cookieOf, pageHeaders, refresh, tokensOf } from '../support/sessions.ts';
import { addSource, postRaw } from '../support/webhooks.ts';

const NEW_PASSWORD = 'another landing by the sea';
const LIVE = {
  query: `subscription { webhookMessageReceived {
    __typename ... on WebhookMessageReceived { message { rawBody } } } }`,
};

let naru: TestNaru;
let other: TestNaru;
let admin: string;

beforeAll(async () => {
  naru = await startNaru();
  other = await startNaru({ runsJobs: false, database: naru.database });
  await addSource(naru.app, 'open', { role: 'USER' });
  admin = await naru.tokenFor('admin');
});
afterAll(async () => {
  await other?.close();
  await naru?.close();
});
afterEach(() => naru.app.database.query('DELETE FROM clock_offset'));

const query = <Row extends object>(text: string, values: readonly unknown[] = []) =>
  naru.app.database.query<Row>(text, values);

/** Something live: a socket or a stream, and how it ended. */
interface Live {
  /** The close code of a socket; null for a stream that ended. */
  readonly ended: Promise<number | null>;
}

async function socketBy(url: string, token: string): Promise<Live> {
  const { closed } = await openSocket(url, token);
  return { ended: closed.then(({ code }) => code) };
}

async function busySocketBy(url: string, token: string): Promise<Live> {
  const socket = await openSocket(url, token);
  socket.subscribe('live', LIVE);
  await socket.next('live');
  return { ended: socket.closed.then(({ code }) => code) };
}

async function endOf(stream: EventStream): Promise<null> {
  for (;;) if ((await stream.next()) === null) return null;
}

async function streamBy(url: string, token: string): Promise<Live> {
  const stream = await openEventStream(url, LIVE, token);
  await stream.next();
  return { ended: endOf(stream) };
}

const pageOf = (url: string, cookie: string) => ({
  cookie,
  'sec-fetch-site': 'same-origin',
  origin: url,
});

async function pageSocketBy(url: string, cookie: string): Promise<Live> {
  const ws = new WebSocket(`${url.replace(/^http/, 'ws')}/graphql`, 'graphql-transport-ws', {
    headers: pageOf(url, cookie),
  });
  const ended = new Promise<number>((resolve) => ws.on('close', resolve));
  await new Promise((resolve) => ws.once('open', resolve));
  ws.send(JSON.stringify({ type: 'connection_init' }));
  await new Promise((resolve) => ws.once('message', resolve));
  return { ended };
}

/** As EventSource opens it: by GET, with nothing but the cookie. */
async function pageStreamBy(url: string, cookie: string): Promise<Live> {
  const response = await fetch(`${url}/graphql?${new URLSearchParams(LIVE)}`, {
    headers: { accept: 'text/event-stream', ...pageOf(url, cookie) },
  });
  expect(response.status).toBe(200);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  await reader?.read();
  const ended = (async () => {
    let text = '';
    for (;;) {
      const chunk = await reader?.read();
      if (chunk === undefined || chunk.done) break;
      text += chunk.value;
    }
    // That would tell an EventSource that all is over, and a client not to come back and hear why.
    expect(text).not.toContain('complete');
    return null;
  })();
  return { ended };
}

const LIVE_BY_TOKEN = [socketBy, busySocketBy, streamBy] as const;
const LIVE_BY_COOKIE = [pageSocketBy, pageStreamBy] as const;

/** One of each on each node. */
function openAll(
  ways: readonly ((url: string, secret: string) => Promise<Live>)[],
  secret: string,
): Promise<Live[]> {
  return Promise.all([naru, other].flatMap(({ url }) => ways.map((open) => open(url, secret))));
}

async function expectEnded(all: readonly Live[], code: number): Promise<void> {
  for (const outcome of await Promise.all(all.map(({ ended }) => ended))) {
    expect([code, null]).toContain(outcome);
  }
}

async function resetPassword({ userId, login }: TestAccount): Promise<string> {
  const { token } = await createOneTimeToken(naru.app.database, {
    purpose: 'RESET_PASSWORD',
    userId,
    payload: { email: `${login}@example.com` },
  });
  return run(naru.url, 'resetPassword', { token, newPassword: NEW_PASSWORD });
}

interface Owned extends TestAccount {
  /** Of another session of the account. */
  readonly owner: string;
  readonly sessionId: string;
}

type Revoke = (owned: Owned) => Promise<string>;
const disableUser: Revoke = ({ id }) => run(naru.url, 'disableUser', { userId: id }, admin);
const deleteAccount: Revoke = ({ owner }) =>
  run(naru.url, 'deleteAccount', { password: SEED_PASSWORD }, owner);
const ENDS_SESSIONS: readonly (readonly [string, Revoke])[] = [
  [
    'revokeSession',
    ({ owner, sessionId }) => run(naru.url, 'revokeSession', { id: sessionId }, owner),
  ],
  ['signOut everywhere', ({ owner }) => run(naru.url, 'signOut', { everywhere: true }, owner)],
  [
    'changePassword',
    ({ owner }) =>
      run(
        naru.url,
        'changePassword',
        { currentPassword: SEED_PASSWORD, newPassword: NEW_PASSWORD },
        owner,
      ),
  ],
  ['resetPassword', resetPassword],
  ['disableUser', disableUser],
  ['deleteAccount', deleteAccount],
];

describe.each(ENDS_SESSIONS)('%s', (_name, revoke) => {
  test('closes a session’s sockets with 4401 and ends its streams, on both nodes', async () => {
    const account = await addAccount(query);
    const owner = await tokensOf(naru.url, { login: account.login });
    const tokens = await tokensOf(other.url, { login: account.login });
    const all = await openAll(LIVE_BY_TOKEN, tokens.accessToken);
    const { sessionId } = tokens;
    expect(await revoke({ ...account, owner: owner.accessToken, sessionId })).not.toMatch(/Error/);
    await expectEnded(all, 4401);
    for (const { url } of [naru, other]) {
      expect(await viewerOf(url, tokens.accessToken)).toBeNull();
    }
  });

  test('does the same to those of a cookie, also to an EventSource', async () => {
    const account = await addAccount(query);
    const owner = await tokensOf(naru.url, { login: account.login });
    const cookie = await cookieOf(other.url, { login: account.login });
    const all = await openAll(LIVE_BY_COOKIE, cookie);
    const { result } = await post(
      naru.url,
      { query: '{ viewer { sessions { nodes { id isCurrent } } } }' },
      null,
      pageHeaders(cookie),
    );
    const { nodes } = result.data.viewer.sessions;
    const sessionId = nodes.find(({ isCurrent }: { isCurrent: boolean }) => isCurrent).id;
    expect(await revoke({ ...account, owner: owner.accessToken, sessionId })).not.toMatch(/Error/);
    await expectEnded(all, 4401);
  });
});

test('signing out closes what the session itself has open, and nothing of another', async () => {
  const { login } = await addAccount(query);
  const [left, stays] = [await tokensOf(naru.url, { login }), await tokensOf(naru.url, { login })];
  const socket = await openSocket(other.url, stays.accessToken);
  const all = await openAll(LIVE_BY_TOKEN, left.accessToken);
  expect(await run(naru.url, 'signOut', {}, left.accessToken)).toBe('SignedOut');
  await expectEnded(all, 4401);
  expect((await socket.run({ query: '{ viewer { username } }' })).data.viewer.username).toBe(login);
  socket.ws.close();
});

describe('a personal access token’s sockets and streams', () => {
  async function open() {
    const account = await addAccount(query);
    const { accessToken: owner, sessionId } = await tokensOf(naru.url, { login: account.login });
    const { result } = await post(
      naru.url,
      {
        query: `mutation { createPersonalAccessToken(input: {
          name: "x", scopes: ["viewer:read", "webhooks:read"], expiresInDays: 1
        }) { ... on PersonalAccessTokenCreated { token personalAccessToken { id } } } }`,
      },
      owner,
    );
    const { token, personalAccessToken } = result.data.createPersonalAccessToken;
    return { ...account, owner, sessionId, token, tokenId: personalAccessToken.id };
  }

  test.each<[string, (owned: Owned & { tokenId: string }) => Promise<string>]>([
    [
      'revokePersonalAccessToken',
      ({ owner, tokenId }) => run(naru.url, 'revokePersonalAccessToken', { id: tokenId }, owner),
    ],
    ['resetPassword', resetPassword],
    ['disableUser', disableUser],
    ['deleteAccount', deleteAccount],
  ])('end with %s', async (_name, revoke) => {
    const owned = await open();
    const all = await openAll(LIVE_BY_TOKEN, owned.token);
    expect(await revoke(owned)).not.toMatch(/Error/);
    await expectEnded(all, 4401);
  });

  test('end when its time is over', async () => {
    const owned = await open();
    const all = await openAll(LIVE_BY_TOKEN, owned.token);
    await passTime(query, 86_401);
    await expectEnded(all, 4401);
  });

  test('stay when sessions end', async () => {
    const owned = await open();
    const socket = await openSocket(other.url, owned.token);
    const session = await openSocket(other.url, owned.owner);
    expect(await run(naru.url, 'signOut', { everywhere: true }, owned.owner)).toBe('SignedOut');
    expect((await session.closed).code).toBe(4401);
    const { data } = await socket.run({ query: '{ viewer { username } }' });
    expect(data.viewer.username).toBe(owned.login);
    socket.ws.close();
  });
});

test('between the end of a session and its socket’s, nothing is handed out', async () => {
  const { login } = await addAccount(query);
  const [owner, victim] = [
    await tokensOf(naru.url, { login }),
    await tokensOf(naru.url, { login }),
  ];
  const [watching, watched] = await Promise.all(
    [owner, victim].map(async ({ accessToken }) => {
      const socket = await openSocket(other.url, accessToken);
      socket.subscribe('live', LIVE);
      await socket.next('live');
      return socket;
    }),
  );
  if (watching === undefined || watched === undefined) throw new Error('Two were opened');
  const frames: string[] = [];
  watched.ws.on('message', (data: Buffer) => frames.push(data.toString()));
  await run(naru.url, 'revokeSession', { id: victim.sessionId }, owner.accessToken);
  watched.subscribe('late', { query: '{ viewer { username } }' });
  await postRaw(naru.url, {
    path: '/webhook/open',
    body: '{"secret":"later"}',
    headers: { 'content-type': 'application/json' },
  });
  expect((await watching.next('live')).payload.data.webhookMessageReceived.__typename).toBe(
    'WebhookMessageReceived',
  );
  expect((await watched.closed).code).toBe(4401);
  expect(frames.join()).not.toContain('later');
  expect(frames.join()).not.toContain(login);
  watching.ws.close();
});

describe('an access token whose time is over', () => {
  test('closes its sockets with 4403 and ends its streams; a newer one of the session is taken', async () => {
    const { login } = await addAccount(query);
    const tokens = await tokensOf(naru.url, { login });
    const all = await openAll(LIVE_BY_TOKEN, tokens.accessToken);
    await passTime(query, 14 * 60);
    const next = await refresh(other.url, tokens.refreshToken);
    const stays = await openSocket(other.url, next.accessToken);
    await passTime(query, 61);
    await expectEnded(all, 4403);
    expect(await viewerOf(naru.url, tokens.accessToken)).toBeNull();
    expect((await stays.run({ query: '{ viewer { username } }' })).data.viewer.username).toBe(
      login,
    );
    stays.ws.close();
  });

  test('closes with 4401 where its session has ended, too: there is nothing to refresh', async () => {
    const { login } = await addAccount(query);
    const [owner, victim] = [
      await tokensOf(naru.url, { login }),
      await tokensOf(naru.url, { login }),
    ];
    const socket = await openSocket(naru.url, victim.accessToken);
    await query(
      `WITH moved AS (INSERT INTO clock_offset ("offset") VALUES (interval '16 minutes'))
       UPDATE session SET ended_at = now(), end_reason = 'REVOKED' WHERE id = $1`,
      [Buffer.from(victim.sessionId, 'base64url').toString().replace(/^.*:/, '')],
    );
    expect((await socket.closed).code).toBe(4401);
    expect(owner.sessionId).not.toBe(victim.sessionId);
  });

  test('is refused at connection_init with 4403', async () => {
    const { login } = await addAccount(query);
    const { accessToken } = await tokensOf(naru.url, { login });
    await passTime(query, 15 * 60 + 1);
    const socket = openBareSocket(naru.url);
    await new Promise((resolve) => socket.ws.once('open', resolve));
    socket.send({ type: 'connection_init', payload: bearer(accessToken) });
    expect((await socket.closed).code).toBe(4403);
  });
});

describe('a stock graphql-ws client', () => {
  test('comes back from 4403 with what it refreshed, and its subscription goes on', async () => {
    const { login } = await addAccount(query);
    let tokens: { accessToken: string; refreshToken: string } = await tokensOf(naru.url, { login });
    const closed: number[] = [];
    let connections = 0;
    const client = createClient({
      url: `${other.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryWait: async () => {},
      connectionParams: async () => {
        if (connections > 0) tokens = await refresh(naru.url, tokens.refreshToken);
        connections += 1;
        return bearer(tokens.accessToken);
      },
      on: { closed: (event) => closed.push((event as CloseEvent).code) },
    });
    const results = client.iterate(LIVE);
    await results.next();
    await passTime(query, 15 * 60 + 1);
    // The checkpoint with which the subscription begins again.
    expect((await results.next()).value).toMatchObject({
      data: { webhookMessageReceived: { __typename: 'StreamCheckpoint' } },
    });
    expect([closed, connections]).toEqual([[4403], 2]);
    await client.dispose();
  });

  test('stops at 4401', async () => {
    const { login } = await addAccount(query);
    const { accessToken } = await tokensOf(naru.url, { login });
    let connections = 0;
    const client = createClient({
      url: `${other.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryWait: async () => {},
      connectionParams: () => {
        connections += 1;
        return bearer(accessToken);
      },
    });
    const results = client.iterate(LIVE);
    await results.next();
    const end = results.next();
    await run(naru.url, 'signOut', {}, accessToken);
    await expect(end).rejects.toMatchObject({ code: 4401 });
    expect(connections).toBe(1);
  });
});

describe('the watch over credentials', () => {
  /** Counts how often each is asked for, and may make one wait. */
  function observe(gate: (key: string) => Promise<void> = async () => {}) {
    const { app } = other;
    const { authenticate, findEnded } = app;
    const asked = new Map<string, number>();
    const note = (credential: Credential) => {
      const key = credential.kind === 'access' ? credential.sessionId : credential.hash;
      asked.set(key, (asked.get(key) ?? 0) + 1);
      return key;
    };
    Object.assign(app, {
      authenticate: async (credential: Credential) => {
        await gate(note(credential));
        return authenticate(credential);
      },
      findEnded: (credentials: readonly Credential[]) => {
        for (const credential of credentials) note(credential);
        return findEnded(credentials);
      },
    });
    return { asked, restore: () => Object.assign(app, { authenticate, findEnded }) };
  }

  const sockets = async () => (await other.app.metrics.websocketConnections.get()).values[0]?.value;
  const uuidOf = (globalId: string) =>
    Buffer.from(globalId, 'base64url').toString().replace(/^.*:/, '');

  /** Others are looked at three times, and this one never. */
  async function expectForgotten(asked: ReadonlyMap<string, number>, key: string): Promise<void> {
    const control = await tokensOf(other.url);
    const socket = await openSocket(other.url, control.accessToken);
    const controlKey = uuidOf(control.sessionId);
    const before = asked.get(key);
    const from = asked.get(controlKey) ?? 0;
    await until(() => (asked.get(controlKey) ?? 0) >= from + 3);
    expect(asked.get(key)).toBe(before);
    socket.ws.close();
    await socket.closed;
  }

  test('keeps nothing of 100 sockets and 20 streams that were opened and left', async () => {
    const { asked, restore } = observe();
    const { accessToken, sessionId } = await tokensOf(other.url);
    const open = await sockets();
    const all = await Promise.all(
      Array.from({ length: 100 }, () => openSocket(other.url, accessToken)),
    );
    const streams = await Promise.all(
      Array.from({ length: 20 }, () => openEventStream(other.url, LIVE, accessToken)),
    );
    await Promise.all(streams.map((stream) => stream.next()));
    for (const { ws } of all.slice(50)) ws.close();
    for (const { ws } of all.slice(0, 50)) ws.terminate();
    for (const stream of streams) stream.leave();
    await until(async () => (await sockets()) === open);
    await until(async () => (await openFeeds()) === 0);
    await expectForgotten(asked, uuidOf(sessionId));
    restore();
  });

  test('keeps nothing of a socket that left while it was asked who it is', async () => {
    const { accessToken, sessionId } = await tokensOf(other.url);
    const key = uuidOf(sessionId);
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const { asked, restore } = observe(async (wanted) => {
      if (wanted === key) await held;
    });
    const open = await sockets();
    const leaving = Array.from({ length: 10 }, () => openBareSocket(other.url));
    for (const socket of leaving) {
      await new Promise((resolve) => socket.ws.once('open', resolve));
      socket.send({ type: 'connection_init', payload: bearer(accessToken) });
    }
    await until(() => asked.get(key) === leaving.length);
    for (const { ws } of leaving) ws.terminate();
    await until(async () => (await sockets()) === open);
    letGo();
    await expectForgotten(asked, key);
    restore();
  });

  async function openFeeds(): Promise<number> {
    const { values } = await other.app.metrics.subscriptions.get();
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  test('counts what is open as use: the session does not idle out, but SESSION_DAYS ends it', async () => {
    const { login, userId } = await addAccount(query);
    const cookie = await cookieOf(naru.url, { login });
    const live = await pageSocketBy(other.url, cookie);
    const seen = async () => {
      const [row] = await query<{ at: Date }>(
        'SELECT last_seen_at AS at FROM session WHERE user_id = $1',
        [userId],
      );
      return Number(row?.at);
    };
    for (let step = 0; step < 2; step += 1) {
      const before = await seen();
      await passTime(query, 70 * 3_600);
      await until(async () => (await seen()) > before);
    }
    await passTime(query, 30 * 3_600);
    expect(await live.ended).toBe(4401);
  });
});
