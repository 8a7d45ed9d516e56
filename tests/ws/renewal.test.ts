// A socket outlives the access token that opened it, for as long as its session does.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { passTime } from '../support/accounts.ts';
import { bearer, openSocket, until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { refresh, tokensOf } from '../support/sessions.ts';
import { addSource, postRaw } from '../support/webhooks.ts';

const LIVE = {
  query: `subscription { webhookMessageReceived {
    __typename ... on WebhookMessageReceived { message { rawBody } } } }`,
};
const WHO = { query: '{ viewer { username } }' };

let naru: TestNaru;

beforeAll(async () => {
  naru = await startNaru();
  await addSource(naru.app, 'open', { role: 'USER' });
});
afterAll(() => naru?.close());
afterEach(() => naru.app.database.query('DELETE FROM clock_offset'));

test('a fresh token in a ping keeps a socket and its streams past the end of the first one', async () => {
  const tokens = await tokensOf(naru.url);
  const socket = await openSocket(naru.url, tokens.accessToken);
  socket.subscribe('live', LIVE);
  await socket.next('live');
  await passTime(naru.app.database.query, 10 * 60);
  const fresh = await refresh(naru.url, tokens.refreshToken);
  socket.send({ type: 'ping', payload: bearer(fresh.accessToken) });
  await socket.next('pong');
  await passTime(naru.app.database.query, 10 * 60);
  // The first token is over, and nobody was cut off.
  expect((await socket.run(WHO)).data).toEqual({ viewer: { username: 'alice' } });
  await postRaw(naru.url, { path: '/webhook/open', body: 'after the first token' });
  const { payload } = await socket.next('live');
  expect(payload.data.webhookMessageReceived.message.rawBody).toBe('after the first token');
  await passTime(naru.app.database.query, 6 * 60);
  expect((await socket.closed).code).toBe(4403);
});

test('the session that renewed it ends it, and not the one before', async () => {
  const [first, second] = [await tokensOf(naru.url), await tokensOf(naru.url)];
  const socket = await openSocket(naru.url, first.accessToken);
  socket.send({ type: 'ping', payload: bearer(second.accessToken) });
  await socket.next('pong');
  const end = (tokens: typeof first) =>
    naru.app.database.query('UPDATE session SET ended_at = naru_now() WHERE id = $1', [
      Buffer.from(tokens.sessionId, 'base64url').toString().split(':')[1],
    ]);
  await end(first);
  expect((await socket.run(WHO)).data).toEqual({ viewer: { username: 'alice' } });
  await end(second);
  expect((await socket.closed).code).toBe(4401);
});

test.each([
  ['another account’s', async () => (await tokensOf(naru.url, { login: 'bob' })).accessToken],
  ['a worthless', async () => 'naru_pat_nobody'],
])('%s token closes it with 4403', async (_name, tokenOf) => {
  const { accessToken } = await tokensOf(naru.url);
  const socket = await openSocket(naru.url, accessToken);
  socket.send({ type: 'ping', payload: bearer(await tokenOf()) });
  expect((await socket.closed).code).toBe(4403);
});

test('a ping without a token is only answered, and one before the socket is open proves nothing', async () => {
  const { accessToken } = await tokensOf(naru.url);
  const socket = await openSocket(naru.url, accessToken);
  socket.send({ type: 'ping' });
  await socket.next('pong');
  socket.send({ type: 'ping', payload: { authorization: 1 } as object });
  await socket.next('pong');
  expect((await socket.run(WHO)).data).toEqual({ viewer: { username: 'alice' } });
  socket.ws.close();
  await until(async () => (await socket.closed).code > 0);
});
