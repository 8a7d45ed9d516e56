// Who may reach which group of routes. Requests come from several addresses of this machine, and from what a
// proxy that is trusted says.
import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { bearer } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';

const OPERATIONS_TOKEN = 'operations-token-of-the-tests';

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Where on this machine the connection comes from. */
  readonly localAddress?: string;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly json: unknown;
}

function ask(naru: TestNaru, path: string, asked: Asked = {}): Promise<Answer> {
  const { hostname, port } = new URL(naru.url);
  const { method = 'GET', headers = {}, body, localAddress } = asked;
  return new Promise((resolve, reject) => {
    const options = { hostname, port, path, method, headers, agent: false };
    const outgoing = request(
      { ...options, ...(localAddress !== undefined && { localAddress }) },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (data: string) => {
          text += data;
        });
        response.on('end', () => {
          const isJson = response.headers['content-type']?.includes('json') ?? false;
          const json: unknown = isJson ? JSON.parse(text || 'null') : null;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, json });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

const QUERY = JSON.stringify({ query: '{ serverInfo { version } }' });
const JSON_POST = { method: 'POST', headers: { 'content-type': 'application/json' } } as const;

function askGraphQL(naru: TestNaru, headers: Readonly<Record<string, string>>): Promise<Answer> {
  return ask(naru, '/graphql', {
    ...JSON_POST,
    headers: { ...JSON_POST.headers, ...headers },
    body: QUERY,
  });
}

/** 101 where a socket opens, else the status of the refusal. */
async function upgrade(
  naru: TestNaru,
  headers: Readonly<Record<string, string>>,
  options: { readonly localAddress?: string } = {},
): Promise<number> {
  const url = `${naru.url.replace(/^http/, 'ws')}/graphql`;
  const socket = new WebSocket(url, 'graphql-transport-ws', { headers, ...options });
  return new Promise((resolve) => {
    socket.on('error', () => {});
    socket.once('open', () => {
      socket.once('close', () => resolve(101));
      socket.close();
    });
    socket.once('unexpected-response', (_request, response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
  });
}

describe('without a proxy', () => {
  let naru: TestNaru;
  const lines: Record<string, unknown>[] = [];
  beforeAll(async () => {
    naru = await startNaru({
      runsJobs: false,
      logTo: (line) => lines.push(line),
      settings: {
        API_ALLOW: '10.0.0.0/8,127.0.0.0/8',
        API_DENY: '127.0.0.9,::1',
        INGRESS_ALLOW: '127.0.0.3',
        OPERATIONS_ALLOW: '127.0.0.4/31',
        OPERATIONS_TOKEN,
      },
    });
  });
  afterAll(() => naru?.close());

  test('an allow-list is not bypassed by a forwarded header', async () => {
    const asked = { localAddress: '127.0.0.9' };
    for (const name of [
      'x-forwarded-for',
      'forwarded',
      'x-real-ip',
      'x-client-ip',
      'cf-connecting-ip',
      'true-client-ip',
    ]) {
      for (const address of ['10.0.0.1', 'for=10.0.0.1', '127.0.0.1, 127.0.0.1']) {
        const headers = { [name]: address };
        expect((await ask(naru, '/account', { ...asked, headers })).status).toBe(403);
        expect(await upgrade(naru, headers, asked)).toBe(403);
      }
    }
    expect((await ask(naru, '/account', { localAddress: '127.0.0.8' })).status).toBe(200);
  });

  test('an allow-list is not bypassed by an IPv4-mapped address of IPv6, and a deny-list neither', async () => {
    const from = async (remoteAddress: string) => {
      const answer = await naru.server.fastify.inject({ url: '/account', remoteAddress });
      return [remoteAddress, answer.statusCode];
    };
    for (const address of ['127.0.0.9', '::ffff:127.0.0.9', '::ffff:7f00:9', '::FFFF:127.0.0.9']) {
      expect(await from(address)).toEqual([address, 403]);
    }
    for (const address of [
      '::ffff:11.0.0.1',
      '::a00:1',
      '::ffff:0:10.0.0.1',
      '2001:db8::1',
      '::1',
    ]) {
      expect(await from(address)).toEqual([address, 403]);
    }
    for (const address of ['10.0.0.1', '::ffff:10.0.0.1', '::ffff:a00:1', '::ffff:10.0.0.1%lo']) {
      expect(await from(address)).toEqual([address, 200]);
    }
  });

  test('what is no address is refused where a list is set', async () => {
    for (const remoteAddress of ['unknown', '10.0.0.1:80', 'localhost']) {
      const answer = await naru.server.fastify.inject({ url: '/account', remoteAddress });
      expect(answer.statusCode).toBe(403);
    }
  });

  test.each([
    ['ingress', 'POST', '/webhook', '127.0.0.3'],
    ['ingress', 'POST', '/webhook/github', '127.0.0.3'],
    ['operations', 'GET', '/metrics', '127.0.0.4'],
    ['operations', 'HEAD', '/metrics', '127.0.0.5'],
    ['api', 'GET', '/account', '127.0.0.1'],
    ['api', 'GET', '/auth/github', '127.0.0.1'],
    ['api', 'GET', '/auth/github/callback', '127.0.0.1'],
    ['api', 'GET', '/.well-known/jwks.json', '127.0.0.1'],
    ['api', 'GET', '/dev/mail', '127.0.0.1'],
    ['api', 'GET', '/graphql', '127.0.0.1'],
    ['api', 'POST', '/graphql', '127.0.0.1'],
    ['api', 'GET', '/nowhere', '127.0.0.1'],
    ['api', 'GET', '/webhook/github', '127.0.0.1'],
  ])('the group %s guards %s %s', async (group, method, path, welcome) => {
    const strangers = { ingress: '127.0.0.1', operations: '127.0.0.6', api: '127.0.0.9' };
    const stranger = strangers[group as keyof typeof strangers];
    const headers = { authorization: `Bearer ${OPERATIONS_TOKEN}` };
    const refused = await ask(naru, path, { method, headers, localAddress: stranger });
    expect(refused.status).toBe(403);
    const taken = await ask(naru, path, { method, localAddress: welcome });
    expect(taken.status).not.toBe(403);
  });

  test('no other spelling of a path leads past its group', async () => {
    for (const path of [
      '/metrics/',
      '//metrics',
      '/METRICS',
      '/%6Detrics',
      '/metrics?x',
      '/x/../metrics',
    ]) {
      const answer = await ask(naru, path, { localAddress: '127.0.0.1' });
      expect([path, [403, 404].includes(answer.status)]).toEqual([path, true]);
    }
    for (const path of [
      '/webhook/',
      '/webhook//github',
      '/webhook/%2e%2e/graphql',
      '/webhook/..',
    ]) {
      const asked = { method: 'POST', localAddress: '127.0.0.1' };
      expect([path, (await ask(naru, path, asked)).status]).toEqual([path, 403]);
    }
  });

  test('liveness and readiness are for whoever balances load, from anywhere', async () => {
    for (const path of ['/health', '/ready']) {
      expect((await ask(naru, path, { localAddress: '127.0.0.9' })).status).toBe(200);
    }
  });

  test('a refusal has the shape of its door, all usual headers, and ends the connection', async () => {
    const from = { localAddress: '127.0.0.9' };
    const headers = { ...JSON_POST.headers, 'x-request-id': 'r-1' };
    const plain = await ask(naru, '/account', { ...from, headers });
    expect(plain.json).toEqual({
      error: {
        code: 'FORBIDDEN',
        message: 'Not for the address that this came from',
        requestId: 'r-1',
      },
    });
    const graphql = await ask(naru, '/graphql', { ...from, ...JSON_POST, headers, body: QUERY });
    expect(graphql.status).toBe(403);
    expect(graphql.json).toEqual({
      errors: [
        {
          message: 'Not for the address that this came from',
          extensions: { code: 'FORBIDDEN', requestId: 'r-1' },
        },
      ],
    });
    for (const answer of [plain, graphql]) {
      expect(answer.headers).toMatchObject({
        connection: 'close',
        'x-request-id': 'r-1',
        'x-content-type-options': 'nosniff',
      });
    }
  });

  test('a refusal does not wait for the body', async () => {
    for (const path of ['/webhook/github', '/graphql']) {
      const { port } = new URL(naru.url);
      const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.9' });
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 200000\r\n\r\n{`,
      );
      const [data] = (await once(socket, 'data')) as [Buffer];
      expect(data.toString()).toMatch(/^HTTP\/1.1 403 /);
      await once(socket, 'close');
    }
  });

  test('a socket is refused at its upgrade', async () => {
    expect(await upgrade(naru, {}, { localAddress: '127.0.0.9' })).toBe(403);
    expect(await upgrade(naru, {}, { localAddress: '127.0.0.8' })).toBe(101);
    expect((await naru.app.metrics.websocketConnections.get()).values[0]?.value).toBe(0);
  });

  test('the log tells the group and the network of who was refused, and neither path nor address', async () => {
    lines.length = 0;
    const headers = { 'x-request-id': 'r-2' };
    await ask(naru, '/webhook/hooks/secret', { method: 'POST', headers });
    const told = lines.filter(({ msg }) => msg === 'An address is refused');
    expect(told).toMatchObject([
      { level: 'debug', requestId: 'r-2', group: 'ingress', network: '127.0.0.0/24' },
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/secret|127\.0\.0\.1"/);
  });
});

describe('behind proxies that are trusted', () => {
  let naru: TestNaru;
  beforeAll(async () => {
    naru = await startNaru({
      runsJobs: false,
      settings: {
        TRUSTED_PROXIES: '127.0.0.1,192.0.2.0/24',
        API_ALLOW: '10.0.0.0/8,2001:db8::/32',
        API_DENY: '10.0.0.66,10.6.0.0/16,2001:db8:6::/48',
        INGRESS_DENY: '203.0.113.0/24',
        OPERATIONS_ALLOW: '::ffff:10.9.0.0/112',
      },
    });
  });
  afterAll(() => naru?.close());

  const forwarded = (address: string) => ({ 'x-forwarded-for': address });

  test.each([
    ['10.0.0.1', true],
    ['::ffff:10.0.0.1', true],
    ['::ffff:a00:1', true],
    ['0:0:0:0:0:FFFF:0A00:0001', true],
    ['2001:db8::1', true],
    ['2001:DB8:0:0::1', true],
    ['10.0.0.66', false],
    ['::ffff:10.0.0.66', false],
    ['::ffff:a00:42', false],
    ['10.6.6.6', false],
    ['2001:db8:6::1', false],
    ['11.0.0.1', false],
    ['::a00:1', false],
    ['2001:db9::1', false],
    ['127.0.0.1', false],
    ['', false],
    ['unknown', false],
    ['10.0.0.1:4711', false],
    ['[2001:db8::1]', false],
    ['10.0.0.01', false],
  ])(
    'a client at %j is let in: %s, over HTTP, as an event stream, and by a socket',
    async (address, isLetIn) => {
      const headers = forwarded(address);
      expect((await askGraphQL(naru, headers)).status).toBe(isLetIn ? 200 : 403);
      const events = { ...headers, accept: 'text/event-stream' };
      const query = encodeURIComponent('{ serverInfo { version } }');
      const stream = await ask(naru, `/graphql?query=${query}`, { headers: events });
      expect(stream.status).toBe(isLetIn ? 200 : 403);
      expect(await upgrade(naru, headers)).toBe(isLetIn ? 101 : 403);
    },
  );

  test('over several hops the address judged is the last that no trusted proxy has', async () => {
    const hops: readonly (readonly [string, number])[] = [
      ['10.0.0.1, 192.0.2.7', 200],
      ['10.0.0.1, 192.0.2.7, 192.0.2.8', 200],
      ['203.0.113.1, 10.0.0.1, 192.0.2.8', 200],
      // What the client claims itself, to the left of where it really came from.
      ['10.0.0.1, 203.0.113.1', 403],
      ['10.0.0.1, 203.0.113.1, 192.0.2.7', 403],
      ['10.0.0.1, 10.0.0.66', 403],
      ['10.0.0.1, nonsense, 192.0.2.7', 403],
    ];
    for (const [address, status] of hops) {
      const headers = forwarded(address);
      expect([address, (await askGraphQL(naru, headers)).status]).toEqual([address, status]);
      expect([address, await upgrade(naru, headers)]).toEqual([
        address,
        status === 200 ? 101 : status,
      ]);
    }
  });

  test('what somebody beside the proxy says is not believed', async () => {
    const asked = { headers: forwarded('10.0.0.1'), localAddress: '127.0.0.2' };
    expect((await ask(naru, '/account', asked)).status).toBe(403);
    expect(await upgrade(naru, asked.headers, { localAddress: '127.0.0.2' })).toBe(403);
  });

  test('each group has its own lists', async () => {
    const statuses = async (address: string) => {
      const headers = forwarded(address);
      const hook = await ask(naru, '/webhook/nowhere', { method: 'POST', headers });
      return [
        hook.status,
        (await askGraphQL(naru, headers)).status,
        (await ask(naru, '/metrics', { headers })).status,
        (await ask(naru, '/health', { headers })).status,
      ];
    };
    expect(await statuses('10.0.0.1')).toEqual([404, 200, 403, 200]);
    expect(await statuses('10.9.0.1')).toEqual([404, 200, 200, 200]);
    expect(await statuses('203.0.113.7')).toEqual([403, 403, 403, 200]);
    expect(await statuses('::ffff:203.0.113.7')).toEqual([403, 403, 403, 200]);
    expect(await statuses('198.51.100.1')).toEqual([404, 403, 403, 200]);
    expect(await statuses('nonsense')).toEqual([403, 403, 403, 200]);
  });

  test('a viewer who is known is refused all the same', async () => {
    const token = await naru.tokenFor('oscar');
    const headers = { ...bearer(token), ...forwarded('10.0.0.66') };
    expect((await askGraphQL(naru, headers)).status).toBe(403);
    expect((await ask(naru, '/metrics', { headers })).status).toBe(403);
  });
});
