// What the access log tells of each request, and what it must not.
import { once } from 'node:events';
import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { EmbeddedServer } from '../../embedded/server.ts';
import { bearer, openSocket, post, until } from '../support/graphql-client.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';
import { startTestRedis } from '../support/servers.ts';
import { cookieOf, pageHeaders, tokensOf } from '../support/sessions.ts';

type Line = Record<string, unknown>;

const BEHIND_PROXY = { TRUSTED_PROXIES: '127.0.0.1' };
const QUERY = '{ serverInfo { version } }';

function answeredIn(lines: readonly Line[]): Line[] {
  return lines.filter(({ msg }) => msg === 'answered');
}

/** The line is written when the connection has taken the answer: a moment after the client has it. */
async function lineOf(lines: readonly Line[], requestId: string): Promise<Line> {
  const find = () => answeredIn(lines).find((line) => line['requestId'] === requestId);
  await until(() => find() !== undefined);
  return find() ?? {};
}

describe('a line', () => {
  let naru: TestNaru;
  const lines: Line[] = [];
  beforeAll(async () => {
    naru = await startNaru({
      settings: { ...BEHIND_PROXY, LOG_LEVEL: 'info', ACCESS_LOG_SAMPLE: '1' },
      logTo: (line) => lines.push(line),
    });
  });
  afterAll(() => naru?.close());
  beforeEach(() => {
    lines.length = 0;
  });

  let count = 0;
  const named = () => {
    count += 1;
    return { 'x-request-id': `line-${count}` };
  };
  const lineFor = async (headers: Record<string, string>) =>
    lineOf(lines, headers['x-request-id'] ?? '');
  const ask = async (operation: unknown, token: string | null, given: Line = {}) => {
    const headers = { ...named(), ...given } as Record<string, string>;
    await post(naru.url, operation, token, headers);
    return lineFor(headers);
  };

  test('says what was asked, what came of it, for whom, and where its time went', async () => {
    const line = await ask({ query: QUERY }, null, { 'x-forwarded-for': '203.0.113.7' });
    expect(line).toEqual({
      level: 'info',
      time: expect.any(String),
      msg: 'answered',
      requestId: 'line-1',
      method: 'POST',
      route: '/graphql',
      statusCode: 200,
      bytes: expect.any(Number),
      seconds: expect.any(Number),
      phaseSeconds: {
        receive: expect.any(Number),
        authenticate: expect.any(Number),
        prepare: expect.any(Number),
        execute: expect.any(Number),
        send: expect.any(Number),
      },
      operation: { kind: 'query', name: 'none' },
      viewer: { kind: 'guest' },
      network: '203.0.113.0/24',
    });
    const phases = Object.values(line['phaseSeconds'] as Record<string, number>);
    expect(phases.every((seconds) => seconds >= 0)).toBe(true);
    const all = phases.reduce((sum, seconds) => sum + seconds, 0);
    expect(all).toBeCloseTo(line['seconds'] as number, 4);
  });

  test('has the user’s id where somebody asks, and nothing else of them', async () => {
    const { rows } = await naru.app.database.pool.query(
      `SELECT id FROM users WHERE username = 'alice'`,
    );
    const userId: unknown = rows[0]?.id;
    const byToken = await ask({ query: QUERY }, await naru.tokenFor('alice'));
    expect(byToken['viewer']).toEqual({ kind: 'token', userId });
    const { accessToken } = await tokensOf(naru.url);
    expect((await ask({ query: QUERY }, accessToken))['viewer']).toEqual({
      kind: 'session',
      userId,
    });
    const byCookie = await ask({ query: QUERY }, null, pageHeaders(await cookieOf(naru.url)));
    expect(byCookie['viewer']).toEqual({ kind: 'session', userId });
    expect(JSON.stringify(lines)).not.toMatch(/alice/i);
  });

  test('calls an operation that the client named "other", and one without a name "none"', async () => {
    const operations: readonly (readonly [Line, unknown])[] = [
      [{ query: QUERY }, { kind: 'query', name: 'none' }],
      [
        { query: `query Bird ${QUERY}`, operationName: 'Bird' },
        { kind: 'query', name: 'other' },
      ],
      [{ query: 'mutation { signOut { __typename } }' }, { kind: 'mutation', name: 'none' }],
      [{ query: '{ nothing }' }, { kind: 'none', name: 'none' }],
      [
        { query: '{', operationName: 'Bird' },
        { kind: 'none', name: 'other' },
      ],
    ];
    for (const [operation, told] of operations) {
      expect([operation, (await ask(operation, null))['operation']]).toEqual([operation, told]);
    }
    expect(JSON.stringify(lines)).not.toContain('Bird');
  });

  test('names the pattern of a route, never the path', async () => {
    const paths: readonly (readonly [string, string, string, number])[] = [
      ['GET', '/health?token=x', '/health', 200],
      ['POST', '/webhook/hooks/kept-to-myself', '/webhook/*', 404],
      ['GET', '/nowhere/kept-to-myself', 'none', 404],
      ['GET', '/%ZZkept-to-myself', 'none', 400],
      ['HEAD', '/account', '/account', 200],
      ['OPTIONS', '/graphql', 'none', 404],
    ];
    for (const [method, path, route, statusCode] of paths) {
      const headers = named();
      await fetch(`${naru.url}${path}`, { method, headers });
      expect([path, await lineFor(headers)]).toMatchObject([path, { method, route, statusCode }]);
    }
    expect(JSON.stringify(lines)).not.toContain('kept-to-myself');
  });

  test('of a webhook has its phases, and no viewer', async () => {
    const headers = named();
    expect((await postGitHubWebhook(naru.url, { zen: 'x' }, headers)).status).toBe(202);
    const line = await lineFor(headers);
    expect(line).toMatchObject({ route: '/webhook/*', statusCode: 202 });
    expect(Object.keys(line['phaseSeconds'] as object)).toEqual(['receive', 'execute', 'send']);
    expect(line).not.toHaveProperty('viewer');
    expect(line).not.toHaveProperty('operation');
  });

  test('of an event stream comes when it ends, and says so where the client left', async () => {
    const token = await naru.tokenFor('alice');
    const headers = named();
    const leaving = new AbortController();
    const query = 'subscription { webhookMessageReceived { __typename } }';
    const stream = await fetch(`${naru.url}/graphql?query=${encodeURIComponent(query)}`, {
      headers: { ...headers, accept: 'text/event-stream', ...bearer(token) },
      signal: leaving.signal,
    });
    await stream.body?.getReader().read();
    expect(answeredIn(lines).filter((line) => line['route'] === '/graphql')).toEqual([]);
    leaving.abort();
    expect(await lineFor(headers)).toMatchObject({
      statusCode: 200,
      aborted: true,
      operation: { kind: 'subscription', name: 'none' },
      viewer: { kind: 'token' },
    });
  });

  test('of a client that left before it was answered has no status', async () => {
    const headers = { ...named(), 'content-type': 'application/json', 'content-length': '100' };
    const { hostname, port } = new URL(naru.url);
    const outgoing = request({ hostname, port, path: '/graphql', method: 'POST', headers });
    outgoing.on('error', () => {});
    const arrived = once(naru.server.fastify.server, 'request');
    outgoing.write('{');
    await arrived;
    outgoing.destroy();
    const line = await lineFor(headers);
    expect(line).toMatchObject({ aborted: true, statusCode: null, network: '127.0.0.0/24' });
  });

  test('of an operation of a socket is its own, and a subscription’s comes when it begins', async () => {
    const socket = await openSocket(naru.url, await naru.tokenFor('alice'));
    await socket.run({ query: `query Bird ${QUERY}`, operationName: 'Bird' });
    const query = 'subscription { webhookMessageReceived { __typename } }';
    socket.subscribe('live', { query });
    await socket.next('live');
    const line = {
      level: 'info',
      time: expect.any(String),
      msg: 'ran',
      requestId: expect.any(String),
      operation: { kind: 'query', name: 'other' },
      outcome: 'ok',
      seconds: expect.any(Number),
      viewer: { kind: 'token', userId: expect.any(String) },
      network: '127.0.0.0/24',
    };
    expect(lines.filter(({ msg }) => msg === 'ran')).toEqual([
      line,
      { ...line, operation: { kind: 'subscription', name: 'none' } },
    ]);
    expect(JSON.stringify(lines)).not.toContain('Bird');
    socket.ws.close();
    await socket.closed;
  });

  test('holds nothing of a secret, wherever a client puts it, nor its whole address', async () => {
    const bird = 'kanarienvogel';
    const secrets = {
      authorization: `Bearer ${bird}`,
      cookie: `__Host-naru=${bird}; ${bird}=1`,
      'x-api-key': bird,
      'x-naru-csrf': bird,
      'user-agent': bird,
      referer: `https://${bird}.example/${bird}`,
      'idempotency-key': bird,
      'x-forwarded-host': `${bird}.example`,
    };
    const address = { 'x-forwarded-for': '203.0.113.77' };
    const paths = [
      `/graphql?query={${bird}}&operationName=${bird}&access_token=${bird}`,
      `/auth/github/callback?code=${bird}&state=${bird}`,
      `/${bird}?${bird}`,
      `/webhook/${bird}?token=${bird}`,
      `/%ZZ${bird}`,
      `/metrics?token=${bird}`,
    ];
    const before = lines.length;
    for (const path of paths) {
      for (const headers of [{ ...secrets, ...address }, address]) {
        for (const method of ['GET', 'POST']) {
          await fetch(`${naru.url}${path}`, { method, headers, redirect: 'manual' });
        }
      }
    }
    const operation = {
      query: `query ${bird} { ${bird}: serverInfo { version } viewer(id: "${bird}") { id } }`,
      operationName: bird,
      variables: { [bird]: bird },
      extensions: { [bird]: bird },
    };
    await post(naru.url, operation, null, address);
    await post(naru.url, { query: `query ${bird} ${QUERY}`, operationName: bird }, null, address);
    await post(naru.url, `{"${bird}`, null, address);
    const asked = paths.length * 4 + 3;
    await until(() => answeredIn(lines).length >= before + asked);
    const loud = lines.filter((line) =>
      /kanarienvogel|203\.0\.113\.77/i.test(JSON.stringify(line)),
    );
    expect(loud).toEqual([]);
  });
});

describe('sampling', () => {
  const IDS = Array.from({ length: 400 }, (_, index) => `sample-${index}`);

  async function toldBy(naru: TestNaru, lines: readonly Line[]): Promise<string[]> {
    await Promise.all(
      IDS.map((id) => fetch(`${naru.url}/health`, { headers: { 'x-request-id': id } })),
    );
    // The last to be written is known to be written: it failed.
    const headers = { 'x-request-id': 'the-last' };
    expect((await fetch(`${naru.url}/webhook/nowhere`, { method: 'POST', headers })).status).toBe(
      429,
    );
    await lineOf(lines, 'the-last');
    const ids = answeredIn(lines).map((line) => String(line['requestId']));
    return ids.filter((id) => id.startsWith('sample-')).toSorted();
  }

  async function toldWith(settings: Readonly<Record<string, string>>): Promise<string[]> {
    const lines: Line[] = [];
    const naru = await startNaru({
      runsJobs: false,
      logTo: (line) => lines.push(line),
      settings: {
        WEBHOOK_UNKNOWN_SOURCES: 'store',
        WEBHOOK_UNKNOWN_BYTES_PER_DAY: '0',
        LOG_LEVEL: 'info',
        ...settings,
      },
    });
    try {
      return await toldBy(naru, lines);
    } finally {
      await naru.close();
    }
  }

  test('takes its part of the requests, the same ones on every node, which only the nodes can tell', async () => {
    const [one, other, elsewhere] = await Promise.all([
      toldWith({ ACCESS_LOG_SAMPLE: '0.25' }),
      toldWith({ ACCESS_LOG_SAMPLE: '0.25' }),
      toldWith({ ACCESS_LOG_SAMPLE: '0.25', SECRET_KEY: 'the secret key of another organisation' }),
    ]);
    expect(one.length).toBeGreaterThan(60);
    expect(one.length).toBeLessThan(140);
    expect(other).toEqual(one);
    expect(elsewhere).not.toEqual(one);
  });
});

describe('what failed', () => {
  let redis: EmbeddedServer;
  beforeAll(async () => {
    redis = await startTestRedis();
  });
  afterAll(() => redis?.stop());

  test('is told whether sampled or not, unless nothing is', async () => {
    const start = async (sample: string) => {
      const lines: Line[] = [];
      const naru = await startNaru({
        runsJobs: false,
        logTo: (line) => lines.push(line),
        settings: {
          REDIS_URL: redis.url,
          WEBHOOK_UNKNOWN_SOURCES: 'store',
          WEBHOOK_UNKNOWN_BYTES_PER_DAY: '0',
          ACCESS_LOG_SAMPLE: sample,
        },
      });
      return { naru, lines };
    };
    const [few, none] = await Promise.all([start('0.000000001'), start('0')]);
    const unknown = (naru: TestNaru, requestId: string) =>
      fetch(`${naru.url}/webhook/nowhere`, {
        method: 'POST',
        headers: { 'x-request-id': requestId },
      });
    for (const { naru } of [few, none]) {
      expect((await fetch(`${naru.url}/health`)).status).toBe(200);
      expect((await unknown(naru, 'too-many')).status).toBe(429);
    }
    await redis.stop();
    for (const { naru } of [few, none]) {
      expect((await unknown(naru, 'away')).status).toBe(503);
    }
    expect(await lineOf(few.lines, 'away')).toMatchObject({ statusCode: 503 });
    expect(answeredIn(few.lines)).toMatchObject([
      { requestId: 'too-many', statusCode: 429, route: '/webhook/*', network: '127.0.0.0/24' },
      { requestId: 'away', statusCode: 503 },
    ]);
    expect(answeredIn(few.lines)[0]).not.toHaveProperty('phaseSeconds');
    await Promise.all([few.naru.close(), none.naru.close()]);
    expect(answeredIn(none.lines)).toEqual([]);
  });
});
