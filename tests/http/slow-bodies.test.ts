// Slow-loris: clients that hold a connection by a byte now and then. By real sockets, with the server's
// patience made short; each test waits for what the server does, never for a time to pass.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLIENT_LIMITS } from '#server/slow-clients.ts';
import { bearer, get, post, until } from '../support/graphql-client.ts';
import { addUser, PULL } from '../support/inbox.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';

const BYTE_EVERY_MS = 20;
const KEEP_ALIVE_MS = 50;
/** Far beyond all that a server with these limits takes, and less than what any of the usual ones is. */
const BOUND_MS = 8_000;
const PATIENT = { headersMs: 60_000, bodyMs: 60_000, requestMs: 60_000, stillMs: 60_000 };

interface SlowClient {
  readonly socket: Socket;
  /** All that came back, once the server has ended the connection. Rejects where it does not in time. */
  readonly ended: Promise<{ readonly text: string; readonly ms: number }>;
}

/** Sends the beginning at once, then a byte at a time for as long as the connection lasts. */
function openSlow(url: string, beginning: string, trickle: string | null): SlowClient {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' });
  const startedAt = performance.now();
  let text = '';
  socket.setEncoding('utf8').on('data', (data: string) => {
    text += data;
  });
  // Reset, where a byte of ours was under way.
  socket.on('error', () => {});
  socket.write(beginning);
  const drip = setInterval(() => {
    if (trickle !== null && socket.writable) socket.write(trickle);
  }, BYTE_EVERY_MS);
  const ended = new Promise<{ text: string; ms: number }>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('Still open')), BOUND_MS);
    socket.once('close', () => {
      clearInterval(drip);
      clearTimeout(timer);
      resolve({ text, ms: performance.now() - startedAt });
    });
  });
  return { socket, ended };
}

const headersOf = (path: string, length: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${length}\r\n\r\n`;

const QUERY = { query: '{ serverInfo { version } }' };

/** A whole request of so many bytes, which is one piece on its way. */
const requestOf = (operation: object, bytes: number, headers: readonly string[] = []) =>
  headersOf('/graphql', [`content-length: ${bytes}`, ...headers].join('\r\n')) +
  JSON.stringify(operation).padEnd(bytes);

/** A pull that waits for as long as it may: nothing is pending. */
async function waitingPull(naru: TestNaru): Promise<string> {
  const operation = { query: PULL, variables: { input: { waitSeconds: 20 } } };
  const { token } = await addUser(naru);
  return requestOf(operation, 1_000, [`authorization: Bearer ${token}`]);
}

async function expectOthersServed(naru: TestNaru): Promise<void> {
  const { result } = await post(naru.url, { query: '{ serverInfo { version } }' });
  expect(result.data).toMatchObject({ serverInfo: {} });
  expect((await postGitHubWebhook(naru.url, { zen: 'x' })).status).toBe(202);
}

test('by default every wait has an end, and each is longer than an honest client needs', () => {
  expect(CLIENT_LIMITS).toEqual({
    headersMs: 15_000,
    bodyMs: 30_000,
    requestMs: 100_000,
    stillMs: 120_000,
    checkEveryMs: 2_000,
    connections: 20_000,
    bodyBytesAtOnce: 256 * 2 ** 20,
  });
});

describe('a slow-loris of headers', () => {
  let naru: TestNaru;
  beforeAll(async () => {
    const clientLimits = { ...PATIENT, headersMs: 800, checkEveryMs: 50 };
    naru = await startNaru({ server: { clientLimits } });
  });
  afterAll(() => naru?.close());

  test.each([
    ['that never end', 'GET /health HTTP/1.1\r\nhost: x\r\n', 'x-a: b\r\n'],
    ['within one line', 'GET /health HTTP/1.1\r\nhost: x\r\nx-a: ', 'b'],
    ['within the request line', 'GET /health', 'h'],
    ['and nothing at all', '', null],
    ['of empty lines', '\r\n', '\r\n'],
    ['of an upgrade', 'GET /graphql HTTP/1.1\r\nupgrade: websocket\r\n', 'x-a: b\r\n'],
  ])('%s is answered 408 and cut', async (_name, beginning, trickle) => {
    const slow = openSlow(naru.url, beginning, trickle);
    await expectOthersServed(naru);
    const { text } = await slow.ended;
    expect(text).toMatch(/^HTTP\/1.1 408 /);
  });

  test('is cut in the second request of a connection, too', async () => {
    const slow = openSlow(naru.url, 'GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /hea', 'l');
    const { text } = await slow.ended;
    expect(text).toMatch(/^HTTP\/1.1 200 [\s\S]*HTTP\/1.1 408 /);
  });
});

describe('a slow-loris of bodies', () => {
  let naru: TestNaru;
  beforeAll(async () => {
    const clientLimits = { ...PATIENT, bodyMs: 500 };
    const settings = { ACCESS_LOG_SAMPLE: '1' };
    naru = await startNaru({
      settings,
      logTo: (line) => lines.push(line),
      server: { clientLimits, streamTimes: { keepAliveMs: KEEP_ALIVE_MS } },
    });
  });
  afterAll(() => naru?.close());
  const lines: Record<string, unknown>[] = [];

  test.each([
    ['/graphql', 'content-length: 100000', '{', ' '],
    ['/graphql', 'content-length: 100000', '{"query":"', 'x'],
    ['/graphql', 'transfer-encoding: chunked', '1\r\n{\r\n', '1\r\n \r\n'],
    ['/graphql', 'content-length: 2', '', null],
    ['/nowhere', 'content-length: 100000', '{', ' '],
  ])('on %s with %s is answered 408 and cut', async (path, length, first, trickle) => {
    const slow = openSlow(naru.url, headersOf(path, length) + first, trickle);
    await expectOthersServed(naru);
    const { text } = await slow.ended;
    expect(text).toMatch(/^HTTP\/1.1 408 /);
  });

  test('many at once leave others as they were, and nothing behind', async () => {
    const slow = Array.from({ length: 200 }, () =>
      openSlow(naru.url, `${headersOf('/graphql', 'content-length: 100000')}{`, ' '),
    );
    await expectOthersServed(naru);
    for (const { ended } of slow) expect((await ended).text).toMatch(/^HTTP\/1.1 408 /);
    await until(() => openConnections(naru).then((count) => count < 20));
  });

  test('is one line of the access log each, without a status of ours', async () => {
    await until(() => lines.some(({ statusCode }) => statusCode === null));
    const cut = lines.filter(({ msg, aborted }) => msg === 'answered' && aborted === true);
    expect(new Set(cut.map(({ statusCode }) => statusCode))).toEqual(new Set([null]));
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('what is answered for longer than bodies may take goes on', async () => {
    const query = 'subscription { webhookMessageReceived { __typename } }';
    const body = JSON.stringify({ query });
    const token = await naru.tokenFor('alice');
    const stream = await fetch(`${naru.url}/graphql`, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        ...bearer(token),
      },
    });
    let comments = 0;
    for await (const chunk of stream.body ?? []) {
      comments += Buffer.from(chunk).toString().split(':\n\n').length - 1;
      if (comments * KEEP_ALIVE_MS > 1_000) break;
    }
    expect(comments * KEEP_ALIVE_MS).toBeGreaterThan(1_000);
  });

  test('is cut in the second request of a connection, too, and answered 408 where the first was answered', async () => {
    const slow = openSlow(naru.url, 'GET /health HTTP/1.1\r\nhost: x\r\n\r\n', null);
    await once(slow.socket, 'data');
    slow.socket.write(`${headersOf('/graphql', 'content-length: 100')}{`);
    const { text } = await slow.ended;
    expect(text).toMatch(/^HTTP\/1.1 200 [\s\S]*HTTP\/1.1 408 /);
  });

  test('behind a pull that waits is cut, and no 408 is read as the answer of the pull', async () => {
    const half = `${headersOf('/graphql', 'content-length: 100')}{`;
    const slow = openSlow(naru.url, (await waitingPull(naru)) + half, null);
    const { text } = await slow.ended;
    expect(text).toBe('');
    await expectOthersServed(naru);
  });

  test('a body that takes its time and ends within it is taken', async () => {
    const body = JSON.stringify({ query: '{ serverInfo { version } }' });
    const slow = openSlow(naru.url, headersOf('/graphql', `content-length: ${body.length}`), null);
    for (const part of [body.slice(0, 5), body.slice(5)]) slow.socket.write(part);
    const [text] = (await once(slow.socket, 'data')) as [string];
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    slow.socket.destroy();
    await slow.ended;
  });
});

describe('a slow-loris of webhooks', () => {
  let naru: TestNaru;
  beforeAll(async () => {
    const clientLimits = {
      ...PATIENT,
      bodyMs: 100,
      headersMs: 1_500,
      requestMs: 1_500,
      checkEveryMs: 50,
    };
    naru = await startNaru({ server: { clientLimits } });
  });
  afterAll(() => naru?.close());

  test.each([
    ['content-length: 100000', '{', ' '],
    ['transfer-encoding: chunked', '1\r\n{\r\n', '1\r\n \r\n'],
    ['content-length: 2', '', null],
  ])(
    'with %s has longer than other bodies, is answered 408 and stored nowhere',
    async (length, first, trickle) => {
      const outcomes = async () => (await naru.app.metrics.webhookRequests.get()).values;
      const before = await outcomes();
      const slow = openSlow(naru.url, headersOf('/webhook/github', length) + first, trickle);
      const { text, ms } = await slow.ended;
      expect(text).toMatch(/^HTTP\/1.1 408 /);
      expect(ms).toBeGreaterThan(1_000);
      expect(await outcomes()).toEqual(before);
      await expectOthersServed(naru);
    },
  );
});

describe('who does not read', () => {
  let naru: TestNaru;
  beforeAll(async () => {
    const clientLimits = { ...PATIENT, stillMs: 500 };
    naru = await startNaru({ server: { clientLimits } });
  });
  afterAll(() => naru?.close());

  test('a large answer is cut off', async () => {
    const socket = connect({ port: Number(new URL(naru.url).port), host: '127.0.0.1' });
    socket.pause();
    socket.write('GET /graphql HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n');
    await until(async () => (await openConnections(naru)) > 0);
    await until(async () => (await openConnections(naru)) === 0);
    await expectOthersServed(naru);
    socket.destroy();
  });
});

describe('connections', () => {
  test('past the limit are closed at once, and are served again when others have left', async () => {
    const lines: Record<string, unknown>[] = [];
    const naru = await startNaru({
      server: { clientLimits: { ...PATIENT, connections: 3 } },
      logTo: (line) => lines.push(line),
    });
    const held = [1, 2, 3].map(() => openSlow(naru.url, 'GET /health HTTP/1.1\r\n', null));
    await until(async () => (await openConnections(naru)) === 3);
    const more = [4, 5, 6].map(() => openSlow(naru.url, 'GET /health HTTP/1.1\r\n\r\n', null));
    for (const { ended } of more) expect((await ended).text).toBe('');
    for (const { socket } of held) socket.destroy();
    await until(async () => (await openConnections(naru)) === 0);
    expect((await fetch(`${naru.url}/health`)).status).toBe(200);
    const told = lines.filter(({ msg }) => String(msg).startsWith('Connections are refused'));
    expect(told).toMatchObject([{ level: 'warn', connections: 3 }]);
    await naru.close();
  });
});

describe('bodies at once', () => {
  const CAP = 10_000;
  const HELD = 9_000;
  const MORE = 2_000;
  let naru: TestNaru;
  beforeAll(async () => {
    // A network has a quarter.
    const clientLimits = { ...PATIENT, bodyBytesAtOnce: 4 * CAP };
    naru = await startNaru({
      settings: { WEBHOOK_BODY_BYTES_MAX: '5000', TRUSTED_PROXIES: '127.0.0.1' },
      server: { clientLimits },
    });
  });
  afterAll(() => naru?.close());

  /** All that comes back for a request on a connection of its own. */
  const ask = async (text: string) =>
    (await openSlow(naru.url, text.replace('\r\n', '\r\nconnection: close\r\n'), null).ended).text;
  const statusOf = (text: string) => Number(text.split(' ', 2)[1]);
  const statusOfMore = async () => statusOf(await ask(requestOf(QUERY, MORE)));

  /** A client that has sent one byte of many, once the server has heard of it. */
  async function hold(before = ''): Promise<SlowClient> {
    const slow = openSlow(naru.url, before + requestOf(QUERY, HELD).slice(0, 1 - HELD), null);
    await until(async () => (await statusOfMore()) === 503);
    return slow;
  }

  async function release({ socket, ended }: SlowClient): Promise<void> {
    socket.destroy();
    await ended;
    // All of it.
    await until(async () => statusOf(await ask(requestOf(QUERY, CAP))) === 200);
  }

  const refused = async () => (await naru.app.metrics.bodiesRefused.get()).values[0]?.value ?? 0;

  test('past the cap are refused unread, as each door says it, and counted', async () => {
    const held = await hold();
    const before = await refused();
    const graphql = await ask(headersOf('/graphql', `content-length: ${MORE}`));
    const webhook = await ask(headersOf('/webhook/github', `content-length: ${MORE}`));
    for (const text of [graphql, webhook]) {
      expect(text).toMatch(/^HTTP\/1.1 503 /);
      expect(text).toMatch(/\r\nretry-after: 5\r\n/i);
      expect(text).toMatch(/\r\nconnection: close\r\n/i);
    }
    const bodyOf = (text: string) => JSON.parse(text.slice(text.indexOf('\r\n\r\n')));
    expect(bodyOf(graphql)).toMatchObject({ errors: [{ extensions: { code: 'UNAVAILABLE' } }] });
    expect(bodyOf(webhook)).toMatchObject({ error: { code: 'UNAVAILABLE' } });
    expect(await refused()).toBe(before + 2);
    await release(held);
  });

  test('of one network leave room for others, until all together are at the cap', async () => {
    const requestFrom = (network: number, length: number) =>
      requestOf(QUERY, length).replace('\r\n', `\r\nx-forwarded-for: 198.51.${network}.1\r\n`);
    const moreFrom = async (network: number) => statusOf(await ask(requestFrom(network, MORE)));
    const held: SlowClient[] = [];
    for (const network of [1, 2, 3, 4]) {
      expect(await moreFrom(network)).toBe(200);
      const text = requestFrom(network, CAP);
      held.push(openSlow(naru.url, text.slice(0, text.length - CAP + 1), null));
      await until(async () => (await moreFrom(network)) === 503);
    }
    expect(await moreFrom(5)).toBe(503);
    for (const client of held) await release(client);
    expect(await moreFrom(5)).toBe(200);
  });

  test('leave others as they were: without a body, or with one that fits', async () => {
    const held = await hold();
    expect((await fetch(`${naru.url}/health`)).status).toBe(200);
    expect((await get(naru.url, QUERY)).status).toBe(200);
    await expectOthersServed(naru);
    await release(held);
  });

  test('are given back once each when they are answered, on a connection that goes on', async () => {
    const slow = openSlow(naru.url, '', null);
    for (let turn = 0; turn < 5; turn += 1) {
      slow.socket.write(requestOf(QUERY, HELD));
      const [text] = (await once(slow.socket, 'data')) as [string];
      expect(statusOf(text)).toBe(200);
    }
    expect(await statusOfMore()).toBe(200);
    // Nor is there room for more than there was.
    const held = await hold();
    slow.socket.destroy();
    await slow.ended;
    expect(await statusOfMore()).toBe(503);
    await release(held);
  });

  test('are given back once each when their clients leave', async () => {
    for (let turn = 0; turn < 3; turn += 1) await release(await hold());
    const held = await hold();
    expect(await statusOfMore()).toBe(503);
    await release(held);
  });

  test('are given back when their client leaves before it was their turn to be answered', async () => {
    const pull = await waitingPull(naru);
    await release(await hold(pull));
    const fits = requestOf(QUERY, 1_000);
    for (let turn = 0; turn < 3; turn += 1) {
      const slow = openSlow(naru.url, pull + fits.repeat(8), null);
      await until(async () => (await statusOfMore()) === 503);
      await release(slow);
    }
  });

  test('that are refused for their size count no more than what is read of them', async () => {
    const large = headersOf('/webhook/github', 'content-length: 100000');
    expect(statusOf(await ask(large))).toBe(413);
  });

  test('of unknown length count as the most that their route takes', async () => {
    const chunked = (path: string) =>
      ask(`${headersOf(path, 'transfer-encoding: chunked')}0\r\n\r\n`);
    expect(statusOf(await chunked('/webhook/github'))).toBe(401);
    expect(statusOf(await chunked('/graphql'))).toBe(503);
  });

  test('are given back when an event stream begins, which may go on for days', async () => {
    const token = await naru.tokenFor('alice');
    const operation = { query: 'subscription { webhookMessageReceived { __typename } }' };
    const headers = ['accept: text/event-stream', `authorization: Bearer ${token}`];
    const stream = openSlow(naru.url, requestOf(operation, HELD, headers), null);
    const [text] = (await once(stream.socket, 'data')) as [string];
    expect(text).toMatch(/^HTTP\/1.1 200 [\s\S]*text\/event-stream/);
    expect(await statusOfMore()).toBe(200);
    stream.socket.destroy();
    await stream.ended;
    await release(await hold());
  });
});

function openConnections({ server }: TestNaru): Promise<number> {
  return new Promise((resolve, reject) => {
    server.fastify.server.getConnections((error, count) => {
      if (error) reject(error);
      else resolve(count);
    });
  });
}
