// GraphQL over server-sent events down to the lines on the wire, which browsers depend on.
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bearer, openEventStream, post, until } from '../support/graphql-client.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';
import { addSource, postRaw } from '../support/webhooks.ts';

let naru: TestNaru;
let token: string;
const lines: Record<string, unknown>[] = [];

beforeAll(async () => {
  naru = await startNaru({
    logTo: (line) => lines.push(line),
    server: { streamTimes: { keepAliveMs: 50, unreadForMs: 300 } },
  });
  await addSource(naru.app, 'open');
  token = await naru.tokenFor('alice');
});
afterAll(() => naru?.close());

const LIVE = `subscription ($after: Cursor) { webhookMessageReceived(after: $after) {
  ... on StreamItem { cursor } ... on WebhookMessageReceived { message { rawBody } } } }`;
const VERSION = '{ serverInfo { version } }';

interface Wire {
  readonly status: number;
  readonly headers: Headers;
  /** The next block between empty lines, or what is left; null at the end. */
  next(): Promise<string | null>;
  leave(): void;
}

async function open(
  method: 'GET' | 'POST',
  query: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Wire> {
  const leaving = new AbortController();
  const search = method === 'GET' ? `?${new URLSearchParams({ query })}` : '';
  const response = await fetch(`${naru.url}/graphql${search}`, {
    method,
    ...(method === 'POST' && { body: JSON.stringify({ query }) }),
    headers: {
      accept: 'text/event-stream',
      ...(method === 'POST' && { 'content-type': 'application/json' }),
      ...bearer(token),
      ...headers,
    },
    signal: leaving.signal,
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    status: response.status,
    headers: response.headers,
    async next() {
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end !== -1) {
          const block = text.slice(0, end);
          text = text.slice(end + 2);
          return block;
        }
        const chunk = await reader?.read();
        if (chunk === undefined || chunk.done) {
          const rest = text === '' ? null : text;
          text = '';
          return rest;
        }
        text += chunk.value;
      }
    },
    leave: () => leaving.abort(),
  };
}

/** The next block that is no comment. */
async function nextEvent(wire: Wire): Promise<string | null> {
  for (;;) {
    const block = await wire.next();
    if (block !== ':') return block;
  }
}

const send = (body: string) => postRaw(naru.url, { path: '/webhook/open', body });
const idOf = (event: string | null) => /^id: (\S+)$/m.exec(event ?? '')?.[1] ?? '';
const dataOf = (event: string | null) =>
  JSON.parse(/^data: (.*)$/m.exec(event ?? '')?.[1] ?? 'null');
const everythingIsFree = () => until(() => naru.app.webhookFeed.size === 0);

describe.each(['GET', 'POST'] as const)('by %s', (method) => {
  test('each result is an event whose id is its cursor', async () => {
    const wire = await open(method, LIVE);
    expect(wire.status).toBe(200);
    expect(wire.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(wire.headers.get('cache-control')).toBe('no-store');
    expect(wire.headers.get('x-request-id')).toBeTruthy();
    const first = await nextEvent(wire);
    const { cursor } = dataOf(first).data.webhookMessageReceived;
    expect(first).toBe(
      `id: ${cursor}\nevent: next\ndata: {"data":{"webhookMessageReceived":{"cursor":"${cursor}"}}}`,
    );
    await send('1');
    const second = await nextEvent(wire);
    expect(idOf(second)).toBe(dataOf(second).data.webhookMessageReceived.cursor);
    expect(idOf(second)).not.toBe(cursor);
    wire.leave();
    await everythingIsFree();
  });

  test('Last-Event-ID goes on behind that event, whatever `after` says', async () => {
    const wire = await open(method, LIVE);
    const start = idOf(await nextEvent(wire));
    await send('a');
    const seen = idOf(await nextEvent(wire));
    wire.leave();
    await send('b');
    const query = LIVE.replace('$after)', `"${start}")`).replace('($after: Cursor)', '');
    const again = await open(method, query, { 'last-event-id': seen });
    expect(idOf(await nextEvent(again))).toBe(seen);
    expect(dataOf(await nextEvent(again)).data.webhookMessageReceived.message.rawBody).toBe('b');
    again.leave();
    // Empty is what a browser sends that has received nothing yet.
    const fresh = await open(method, query, { 'last-event-id': '' });
    expect(idOf(await nextEvent(fresh))).toBe(start);
    fresh.leave();
    await everythingIsFree();
  });

  test('a place that cannot be resumed is the last event, without an id', async () => {
    const wire = await open(method, LIVE, { 'last-event-id': 'nonsense' });
    expect(wire.status).toBe(200);
    const event = await nextEvent(wire);
    expect(event).toMatch(/^event: next\ndata: /);
    expect(dataOf(event)).toMatchObject({ errors: [{ extensions: { code: 'CURSOR_INVALID' } }] });
    expect(await nextEvent(wire)).toBe('event: complete\ndata:');
    expect(await nextEvent(wire)).toBeNull();
  });

  test('a query is one event and complete', async () => {
    const wire = await open(method, VERSION);
    expect(await nextEvent(wire)).toMatch(/^event: next\ndata: \{"data":\{"serverInfo":/);
    expect(await nextEvent(wire)).toBe('event: complete\ndata:');
    expect(await nextEvent(wire)).toBeNull();
  });

  test.each([
    ['no syntax', '{', 400, 'GRAPHQL_PARSE_FAILED'],
    ['an unknown field', '{ nothing }', 400, 'GRAPHQL_VALIDATION_FAILED'],
    ['several operations', `query A ${VERSION} query B ${VERSION}`, 400, 'INVALID_INPUT'],
  ])('%s is refused before a stream begins', async (_what, query, status, code) => {
    const wire = await open(method, query);
    expect(wire.status).toBe(status);
    expect(wire.headers.get('content-type')).toMatch(/^application\/graphql-response\+json/);
    expect(JSON.parse((await wire.next()) ?? '')).toMatchObject({
      errors: [{ extensions: { code } }],
    });
  });
});

test('a mutation by GET is refused with 405', async () => {
  const query = 'mutation { revokePersonalAccessToken(input: { id: "x" }) { __typename } }';
  const wire = await open('GET', query);
  expect(wire.status).toBe(405);
  expect(wire.headers.get('allow')).toBe('POST');
});

test('who takes JSON too gets JSON for what is one answer', async () => {
  const accept = 'text/event-stream, application/json';
  const answer = await post(naru.url, { query: VERSION }, token, { accept });
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
});

test('a quiet stream carries comments', async () => {
  const wire = await open('GET', LIVE);
  await nextEvent(wire);
  expect([await wire.next(), await wire.next()]).toEqual([':', ':']);
  wire.leave();
  await everythingIsFree();
});

test('who reads nothing is cut off, and another goes on', async () => {
  const reader = await open('POST', LIVE);
  const start = idOf(await nextEvent(reader));
  const stuck = request(`${naru.url}/graphql?${new URLSearchParams({ query: LIVE })}`, {
    headers: { accept: 'text/event-stream', 'last-event-id': start, ...bearer(token) },
  });
  stuck.on('error', () => {});
  // Never read from: the kernel's buffers fill, then ours, and then nothing more is taken.
  const cut = new Promise<void>((resolve) => {
    stuck.on('response', (response) => {
      response.pause();
      response.on('error', () => {});
      response.on('close', resolve);
      stuck.socket?.once('close', () => resolve());
    });
  });
  stuck.end();
  const big = 'x'.repeat(1_000_000);
  for (let n = 0; n < 12; n += 1) {
    await send(big);
    expect(dataOf(await nextEvent(reader)).data.webhookMessageReceived.message.rawBody).toBe(big);
  }
  await until(async () => (await naru.app.metrics.subscriptions.get()).values[0]?.value === 1);
  await postGitHubWebhook(naru.url, {});
  expect(idOf(await nextEvent(reader))).not.toBe('');
  reader.leave();
  stuck.destroy();
  await cut;
  await everythingIsFree();
});

test('who leaves before the operation has begun leaves nothing behind', async () => {
  for (let n = 0; n < 20; n += 1) {
    const outgoing = request(`${naru.url}/graphql?${new URLSearchParams({ query: LIVE })}`, {
      headers: { accept: 'text/event-stream', ...bearer(token) },
    });
    outgoing.on('error', () => {});
    outgoing.end();
    await new Promise((resolve) => outgoing.once('finish', resolve));
    outgoing.destroy();
  }
  const last = await openEventStream(naru.url, { query: LIVE }, token);
  await last.next();
  last.leave();
  await everythingIsFree();
  expect((await naru.app.metrics.subscriptions.get()).values[0]?.value).toBe(0);
});

test('nothing of this was a fault of ours', () => {
  expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
});
