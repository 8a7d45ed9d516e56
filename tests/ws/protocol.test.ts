import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  openBareSocket,
  openEventStream,
  openSocket,
  post,
  until,
} from '../support/graphql-client.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';

let naru: TestNaru;
let token: string;
const lines: Record<string, unknown>[] = [];

beforeAll(async () => {
  naru = await startNaru({
    logTo: (line) => lines.push(line),
    server: { socketTimes: { initTimeoutMs: 200, unsentForMs: 300, closeTimeoutMs: 2_000 } },
  });
  token = await naru.tokenFor('alice');
});
afterAll(() => naru?.close());

const LIVE = 'subscription { webhookMessageReceived { __typename } }';
const VERSION = '{ serverInfo { version } }';

async function metric(name: string): Promise<number> {
  const { values } = (await naru.app.metrics.registry.getSingleMetric(name)?.get()) ?? {
    values: [],
  };
  return values.reduce((sum, { value }) => sum + value, 0);
}

async function everythingIsFree(): Promise<void> {
  await until(
    async () => naru.app.webhookFeed.size === 0 && (await metric('naru_subscriptions')) === 0,
  );
}

const opened = async (socket: { ws: WebSocket }) => {
  await new Promise((resolve) => socket.ws.once('open', resolve));
};

describe('the ways in', () => {
  test.each([
    ['unknown', { authorization: `Bearer naru_pat_${'A'.repeat(43)}` }],
    ['misshapen', { authorization: 'Bearer x' }],
    ['absent', {}],
    ['a number', { authorization: 7 }],
  ])('a token that is %s closes with 4403', async (_what, payload) => {
    const socket = openBareSocket(naru.url);
    await opened(socket);
    socket.send({ type: 'connection_init', payload });
    expect(await socket.closed).toMatchObject({ code: 4403 });
  });

  test('a token may come in the header of the upgrade instead', async () => {
    const ws = new WebSocket(`${naru.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      headers: { authorization: `Bearer ${token}` },
    });
    await new Promise((resolve) => ws.once('open', resolve));
    const answer = new Promise((resolve) =>
      ws.once('message', (data: Buffer) => resolve(data.toString())),
    );
    ws.send('{"type":"connection_init"}');
    expect(await answer).toBe('{"type":"connection_ack"}');
    ws.close();
  });

  test('who says nothing is closed with 4408', async () => {
    const socket = openBareSocket(naru.url);
    expect(await socket.closed).toMatchObject({ code: 4408 });
  });

  test('who asks before being let in is closed with 4401', async () => {
    const socket = openBareSocket(naru.url);
    await opened(socket);
    socket.subscribe('1', { query: VERSION });
    expect(await socket.closed).toMatchObject({ code: 4401 });
  });

  test('who begins twice is closed with 4429', async () => {
    const socket = await openSocket(naru.url, token);
    socket.send({ type: 'connection_init' });
    expect(await socket.closed).toMatchObject({ code: 4429 });
  });

  test.each([
    '{',
    '7',
    'null',
    '[]',
    '{"type":"nothing"}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","id":"1","payload":{"query":7}}',
  ])('a message that is none closes with 4400: %s', async (text) => {
    const socket = await openSocket(naru.url, token);
    socket.send(text);
    expect(await socket.closed).toMatchObject({ code: 4400 });
  });

  test('an id that is in use closes with 4409', async () => {
    const socket = await openSocket(naru.url, token);
    socket.subscribe('1', { query: LIVE });
    await socket.next('1');
    socket.subscribe('1', { query: LIVE });
    expect(await socket.closed).toMatchObject({ code: 4409 });
    await everythingIsFree();
  });

  test('another protocol is refused, and one among several is found', async () => {
    const other = openBareSocket(naru.url, 'graphql-ws');
    await new Promise((resolve) => other.ws.once('close', resolve));
    expect(other.ws.protocol).not.toBe('graphql-ws');
    const several = new WebSocket(`${naru.url.replace('http', 'ws')}/graphql`, [
      'x',
      'graphql-transport-ws',
    ]);
    await new Promise((resolve) => several.once('open', resolve));
    expect(several.protocol).toBe('graphql-transport-ws');
    several.terminate();
  });

  test('an upgrade of another path is 404', async () => {
    const ws = new WebSocket(`${naru.url.replace('http', 'ws')}/webhook`);
    const status = await new Promise((resolve) => {
      ws.once('unexpected-response', (_request, response) => resolve(response.statusCode));
      ws.once('error', () => {});
    });
    expect(status).toBe(404);
  });
});

describe('operations', () => {
  test('queries and mutations are answered and completed', async () => {
    const socket = await openSocket(naru.url, token);
    socket.subscribe('q', { query: VERSION });
    expect(await socket.next('q')).toMatchObject({
      type: 'next',
      payload: { data: { serverInfo: {} } },
    });
    expect(await socket.next('q')).toEqual({ id: 'q', type: 'complete' });
    socket.ws.close();
  });

  test.each([
    ['no syntax', { query: '{' }, 'GRAPHQL_PARSE_FAILED'],
    ['an unknown field', { query: '{ nothing }' }, 'GRAPHQL_VALIDATION_FAILED'],
    ['an unknown operation', { query: `query A ${VERSION}`, operationName: 'B' }, 'INVALID_INPUT'],
    ['no operation', { query: `query A ${VERSION} query B ${VERSION}` }, 'INVALID_INPUT'],
    [
      'a wrong variable',
      {
        query: 'query ($n: Int) { webhookMessages(first: $n) { nodes { id } } }',
        variables: { n: 'x' },
      },
      'INVALID_INPUT',
    ],
    [
      'a wrong cursor',
      { query: 'subscription { webhookMessageReceived(after: "x") { __typename } }' },
      'CURSOR_INVALID',
    ],
  ])('%s is a typed error, and the socket goes on', async (_what, operation, code) => {
    const socket = await openSocket(naru.url, token);
    expect((await socket.run(operation)).errors).toMatchObject([{ extensions: { code } }]);
    expect(await socket.run({ query: VERSION })).toMatchObject({ data: { serverInfo: {} } });
    socket.ws.close();
  });

  test('variables with the key __proto__ reach nothing', async () => {
    const socket = await openSocket(naru.url, token);
    for (let n = 0; n < 4; n++) {
      socket.send(
        `{"id":"p${n}","type":"subscribe","payload":{"query":"query ($s: Boolean = true) { serverInfo { version @include(if: $s) } }","variables":{"__proto__":{"s":false}}}}`,
      );
      expect(await socket.next(`p${n}`)).toMatchObject({
        payload: { data: { serverInfo: { version: expect.any(String) } } },
      });
    }
    socket.ws.close();
  });
});

describe('leaving a quiet subscription frees everything', () => {
  test('by complete', async () => {
    const socket = await openSocket(naru.url, token);
    socket.subscribe('1', { query: LIVE });
    await socket.next('1');
    expect(naru.app.webhookFeed.size).toBe(1);
    expect(await metric('naru_subscriptions')).toBe(1);
    socket.send({ id: '1', type: 'complete' });
    await everythingIsFree();
    socket.ws.close();
  });

  test('by complete before it has begun', async () => {
    const socket = await openSocket(naru.url, token);
    socket.subscribe('1', { query: LIVE });
    socket.send({ id: '1', type: 'complete' });
    expect(await socket.run({ query: VERSION })).toMatchObject({ data: {} });
    await everythingIsFree();
    socket.ws.close();
  });

  test('by closing the socket, and by its death', async () => {
    for (const leave of ['close', 'terminate'] as const) {
      const socket = await openSocket(naru.url, token);
      socket.subscribe('1', { query: LIVE });
      socket.subscribe('2', { query: LIVE });
      await socket.next('1');
      await socket.next('2');
      socket.ws[leave]();
      await everythingIsFree();
    }
    await until(async () => (await metric('naru_websocket_connections')) === 0);
  });

  test('by leaving an event stream', async () => {
    const stream = await openEventStream(naru.url, { query: LIVE }, token);
    await stream.next();
    expect(await metric('naru_subscriptions')).toBe(1);
    stream.leave();
    await everythingIsFree();
  });
});

test('a stock client subscribes, sees a webhook, and leaves', async () => {
  const client = createClient({
    url: `${naru.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
  });
  const results = client.iterate({ query: LIVE });
  expect((await results.next()).value).toEqual({
    data: { webhookMessageReceived: { __typename: 'StreamCheckpoint' } },
  });
  await postGitHubWebhook(naru.url, {});
  expect((await results.next()).value).toEqual({
    data: { webhookMessageReceived: { __typename: 'WebhookMessageReceived' } },
  });
  await results.return?.();
  await everythingIsFree();
  await client.dispose();
});

test('a socket that does not read is closed with 1013, and another goes on', async () => {
  const big = 'x'.repeat(900_000);
  await postGitHubWebhook(naru.url, { big });
  const query = '{ webhookMessages(last: 1) { nodes { rawBody } } }';
  await until(async () => (await post(naru.url, { query }, token)).text.length > 900_000);
  const reader = await openSocket(naru.url, token);
  reader.subscribe('live', { query: LIVE });
  await reader.next('live');
  const stuck = await openSocket(naru.url, token);
  stuck.ws.pause();
  for (let n = 0; n < 20; n++) stuck.subscribe(`${n}`, { query });
  await until(() => lines.some(({ msg }) => msg === 'A socket that is not read is closed'));
  // What it had been sent before, and then the close, once it reads again.
  stuck.ws.resume();
  expect(await stuck.closed).toMatchObject({ code: 1013 });
  await postGitHubWebhook(naru.url, {});
  expect(await reader.next('live')).toMatchObject({ type: 'next' });
  reader.ws.close();
  await everythingIsFree();
});

test('a socket that never reads again is cut off', async () => {
  const stuck = await openSocket(naru.url, token);
  stuck.ws.pause();
  const query = '{ webhookMessages(last: 2) { nodes { rawBody } } }';
  for (let n = 0; n < 20; n++) stuck.subscribe(`${n}`, { query });
  await until(async () => (await metric('naru_websocket_connections')) === 0);
  stuck.ws.terminate();
});

test('nothing of this was a fault of ours', () => {
  expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
});
