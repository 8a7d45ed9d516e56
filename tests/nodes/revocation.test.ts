// Sessions over two API processes: what one of them ended is over on the other, and an outage ends nothing.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addAccount, passTime, run, viewerOf } from '../support/accounts.ts';
import {
  bearer,
  openBareSocket,
  openEventStream,
  openSocket,
  until,
} from '../support/graphql-client.ts';
import { refresh, tokensOf } from '../support/sessions.ts';
import { type NodesWorld, startNodes } from './world.ts';

const LIVE = { query: 'subscription { webhookMessageReceived { __typename } }' };
const VIEWER = { query: '{ viewer { username } }' };
/** Longer than it takes to look at every credential, several times. */
const OUTAGE_MS = 1_500;

let world: NodesWorld;
beforeAll(async () => {
  // Both issue for one audience, as the nodes behind one address do.
  world = await startNodes('postgres', { PUBLIC_URL: 'https://naru.test' });
});
afterAll(() => world?.close());

const urls = () => world.nodes.map(({ url }) => url) as [string, string];

async function open() {
  const account = await addAccount(world.query);
  const [first, second] = urls();
  const { login } = account;
  const victim = await tokensOf(first, { login });
  const owner = await tokensOf(second, { login });
  return { ...account, victim, owner };
}

test('both processes sign with one key', async () => {
  const [first, second] = await Promise.all(
    urls().map(async (url) => (await fetch(`${url}/.well-known/jwks.json`)).text()),
  );
  expect(first).toBe(second);
  expect(JSON.parse(first ?? '').keys).toHaveLength(1);
});

test('50 refreshes of one token at once over both are one rotation, with one successor', async () => {
  const { victim, login, userId } = await open();
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => refresh(urls()[index % 2] ?? '', victim.refreshToken)),
  );
  expect(answers.map(({ __typename }) => __typename)).toEqual(Array(50).fill('SessionRefreshed'));
  const successors = new Set(answers.map(({ refreshToken }) => refreshToken));
  expect(successors.size).toBe(1);
  const rows = await world.query(
    `SELECT r.id FROM refresh_token r JOIN session s ON s.id = r.session_id
     WHERE s.user_id = $1 AND r.parent_id IS NOT NULL`,
    [userId],
  );
  expect(rows).toHaveLength(1);
  for (const url of urls()) expect(await viewerOf(url, answers[0]?.accessToken ?? '')).toBe(login);
});

test('what one process ends is refused by the other’s next call and closed there', async () => {
  const { victim, owner } = await open();
  const [first, second] = urls();
  const sockets = [
    await openSocket(first, victim.accessToken),
    await openSocket(second, victim.accessToken),
  ];
  const stream = await openEventStream(second, LIVE, victim.accessToken);
  await stream.next();
  expect(await run(first, 'revokeSession', { id: victim.sessionId }, owner.accessToken)).toBe(
    'SessionRevoked',
  );
  expect(await viewerOf(second, victim.accessToken)).toBeNull();
  for (const socket of sockets) expect((await socket.closed).code).toBe(4401);
  expect(await stream.next()).toBeNull();
});

test('a token that comes a second time to the other process, after its grace, ends the session on both', async () => {
  const { victim, login } = await open();
  const [first, second] = urls();
  const next = await refresh(first, victim.refreshToken);
  const socket = await openSocket(first, next.accessToken);
  await passTime(world.query, 11);
  expect((await refresh(second, victim.refreshToken)).__typename).toBe('UnauthenticatedError');
  expect((await socket.closed).code).toBe(4401);
  expect((await refresh(first, next.refreshToken)).__typename).toBe('UnauthenticatedError');
  await world.query('DELETE FROM clock_offset');
  // The other session of the account is another family.
  expect(await viewerOf(second, (await tokensOf(second, { login })).accessToken)).toBe(login);
});

test('while PostgreSQL is away nothing is closed and nobody is let in; after it all goes on, and ends as it should', async () => {
  const { victim, owner, login } = await open();
  const [first, second] = urls();
  const socket = await openSocket(second, victim.accessToken);
  let isClosed = false;
  void socket.closed.then(() => {
    isClosed = true;
  });
  await world.postgres.kill();
  const killedAt = performance.now();
  const late = openBareSocket(first);
  await new Promise((resolve) => late.ws.once('open', resolve));
  late.send({ type: 'connection_init', payload: bearer(victim.accessToken) });
  expect((await late.closed).code).toBe(1013);
  expect(await run(second, 'refreshSession', { refreshToken: victim.refreshToken })).toBe(
    'UnavailableError',
  );
  await until(() => performance.now() - killedAt > OUTAGE_MS);
  expect(isClosed).toBe(false);
  await world.postgres.restart();
  await until(async () => (await viewerOf(second, victim.accessToken)) === login);
  await until(async () => (await viewerOf(first, owner.accessToken)) === login);
  expect((await socket.run(VIEWER)).data.viewer.username).toBe(login);
  expect(await run(first, 'revokeSession', { id: victim.sessionId }, owner.accessToken)).toBe(
    'SessionRevoked',
  );
  expect((await socket.closed).code).toBe(4401);
});

test('a process that dies while it refreshes costs nobody the session: the other one answers', async () => {
  const [first, second] = world.nodes;
  for (let round = 0; round < 2; round += 1) {
    const { victim, login } = await open();
    const answered = refresh(first.url, victim.refreshToken).catch(() => null);
    await first.kill();
    await answered;
    const again = await refresh(second.url, victim.refreshToken);
    expect(again.__typename).toBe('SessionRefreshed');
    expect((await refresh(second.url, again.refreshToken)).__typename).toBe('SessionRefreshed');
    expect(await viewerOf(second.url, again.accessToken)).toBe(login);
    await first.start();
  }
});
