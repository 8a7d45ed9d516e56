import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import http, { type RequestListener } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Server } from 'node:net';
import tls from 'node:tls';
import { inspect } from 'node:util';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { UnavailableError } from '#lib/errors.ts';
import { type Certificate, createCertificate } from '../../tests/support/certificate.ts';
import {
  type CallOutcome,
  createGuard,
  ForbiddenTargetError,
  type Guard,
  type GuardedOptions,
} from './guard.ts';

const NAME = 'hooks.test';
const LIMITS = { timeoutMs: 5_000, bytesMax: 1_000 };
/** Public to the guard, and nobody's: it was never given out. */
const NOBODY = '2000::1';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A server on this machine, and the names of its connections so far. */
interface Recorder {
  readonly port: number;
  readonly connections: readonly string[];
}

async function record(
  server: Server,
  host = '127.0.0.1',
  port = 0,
  connections: string[] = [],
): Promise<Recorder> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    connections.push(`${socket.remotePort}`);
    sockets.add(socket.on('error', () => undefined).on('close', () => sockets.delete(socket)));
  });
  server.listen(port, host);
  await once(server, 'listening');
  closers.push(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return { port: (server.address() as AddressInfo).port, connections };
}

const serve = (listener: RequestListener) => record(http.createServer(listener));
const serveTls = (certificate: Certificate, listener: RequestListener) =>
  record(https.createServer(certificate, listener));
/** Says so much as soon as it is connected to, and nothing more. */
const serveRaw = (...bytes: (string | Buffer)[]) =>
  record(
    net.createServer((socket) => {
      for (const part of bytes) socket.write(part);
      socket.on('data', () => undefined);
    }),
  );

const resolveTo =
  (...addresses: string[]) =>
  async (): Promise<LookupAddress[]> =>
    addresses.map((address) => ({ address, family: net.isIP(address) }));

/** Answers each question with the next of these, and then with the last one. */
function resolveInTurn(...answers: string[][]) {
  const asked: string[] = [];
  return {
    asked,
    resolve: (name: string) => {
      asked.push(name);
      return resolveTo(...(answers[Math.min(asked.length, answers.length) - 1] ?? []))();
    },
  };
}

function call(
  url: string,
  {
    guard = createGuard({ resolve: resolveTo('127.0.0.1') }),
    init = {},
    ...options
  }: Partial<GuardedOptions> & { guard?: Guard; init?: RequestInit } = {},
): Promise<Response> {
  return guard.fetchGuarded('Hooks', url, init, { ...LIMITS, ...options });
}

/** Of an origin that an operator has written down. */
function callConfigured(url: string, options: Parameters<typeof call>[1] = {}) {
  return call(url, { configuredOrigins: [new URL(url).origin], ...options });
}

async function errorOf(promise: Promise<unknown>): Promise<Error> {
  const result = await promise.catch((error: unknown) => error);
  if (!(result instanceof Error)) throw new Error('It came to an answer');
  return result;
}

const reasonOf = async (promise: Promise<unknown>) => {
  const error = await errorOf(promise);
  return error instanceof ForbiddenTargetError ? error.reason : error;
};

describe('what may not be called is not connected to', () => {
  // PORT stands for a port where somebody listens on every address that this machine answers on.
  const targets: readonly [what: string, reason: string, ...urls: string[]][] = [
    ['loopback', 'address', 'https://127.0.0.1:PORT/', 'https://127.9.9.9:PORT/'],
    ['one number', 'address', 'https://2130706433:PORT/', 'https://017700000001:PORT/'],
    ['one hexadecimal number', 'address', 'https://0x7f000001:PORT/', 'https://0x7F.1:PORT/'],
    ['octal parts', 'address', 'https://0177.0.0.01:PORT/', 'https://127.0.0.1.:PORT/'],
    ['fewer parts', 'address', 'https://127.1:PORT/', 'https://127.0.1:PORT/'],
    ['percent signs', 'address', 'https://%31%32%37.0.0.1:PORT/', 'https://127%2e0%2e0%2e1:PORT/'],
    ['wide digits', 'address', 'https://127.0.0.1:PORT/', 'https://①②⑦.⓪.⓪.①:PORT/'],
    ['dots of other scripts', 'address', 'https://127。0。0。1:PORT/', 'https://127.0。0.1:PORT/'],
    ['unspecified', 'address', 'https://0:PORT/', 'https://0.0.0.0:PORT/', 'https://[::]:PORT/'],
    ['private', 'address', 'https://10.0.0.1/', 'https://172.16.0.1/', 'https://192.168.0.1/'],
    ['shared', 'address', 'https://100.64.0.1/', 'https://100.100.100.200/'],
    ['link-local and metadata', 'address', 'https://169.254.169.254/', 'https://[fe80::1]/'],
    ['metadata as a number', 'address', 'https://2852039166/', 'https://0xa9fea9fe/'],
    ['other metadata', 'address', 'https://168.63.129.16/', 'https://[fd00:ec2::254]/'],
    ['IPv6 loopback', 'address', 'https://[::1]:PORT/', 'https://[0:0:0:0:0:0:0:1]:PORT/'],
    ['mapped', 'address', 'https://[::ffff:127.0.0.1]:PORT/', 'https://[::ffff:7f00:1]:PORT/'],
    ['compatible', 'address', 'https://[::127.0.0.1]:PORT/', 'https://[::7f00:1]:PORT/'],
    ['through NAT64', 'address', 'https://[64:ff9b::127.0.0.1]/', 'https://[64:ff9b:1::a00:1]/'],
    ['through 6to4 and Teredo', 'address', 'https://[2002:7f00:1::]/', 'https://[2001::1]/'],
    ['unique local and site-local', 'address', 'https://[fc00::1]/', 'https://[fec0::1]/'],
    ['multicast and broadcast', 'address', 'https://224.0.0.1/', 'https://255.255.255.255/'],
    ['a zone', 'url', 'https://[fe80::1%25lo]:PORT/', 'https://[::1%lo]:PORT/'],
    ['a name that leads here', 'address', 'https://localhost:PORT/', 'https://LOCALHOST:PORT/'],
    ['a trailing dot', 'host', 'https://localhost.:PORT/', 'https://hooks.test.:PORT/'],
    ['user and password', 'credentials', 'https://me@hooks.test/', 'https://:pw@127.0.0.1:PORT/'],
    ['user that looks like a host', 'credentials', 'https://hooks.test:443@127.0.0.1:PORT/'],
    ['plain HTTP', 'scheme', 'http://127.0.0.1:PORT/', 'http://hooks.test/', 'HTTP://hooks.test'],
    [
      'other schemes',
      'scheme',
      'file:///etc/passwd',
      'ftp://127.0.0.1:PORT/',
      'gopher://127.0.0.1:PORT/',
    ],
    ['schemes without a host', 'scheme', 'data:,x', 'javascript:1', 'blob:https://hooks.test/x'],
    ['no URL', 'url', '', '/hooks', '//127.0.0.1:PORT/', 'https://', 'https://1.2.3.4.5/'],
    [
      'odd ports',
      'port',
      'https://hooks.test:22/',
      'https://hooks.test:80/',
      'https://hooks.test:0/',
    ],
  ];

  test.each(targets)('%s', async (_what, reason, ...urls) => {
    const { port, connections } = await recordEverywhere();
    const ports = [443, port];
    for (const text of urls) {
      const url = text.replace('PORT', String(port));
      // The true resolver: none of these gets to one but localhost.
      expect([url, await reasonOf(call(url, { guard: createGuard(), ports }))]).toEqual([
        url,
        reason,
      ]);
    }
    await expectNobodyBefore(port, connections);
  });

  test.each([
    ['loopback', '127.0.0.1'],
    ['IPv6 loopback', '::1'],
    ['mapped loopback', '::ffff:127.0.0.1'],
    ['unspecified', '0.0.0.0'],
    ['metadata', '169.254.169.254'],
    ['a zone', 'fe80::1%lo'],
    ['what is no address', 'localhost'],
    ['public and private', NOBODY, '127.0.0.1'],
    ['private and public', '127.0.0.1', NOBODY],
    ['many public and one metadata', NOBODY, '2000::2', '2000::3', 'fd00:ec2::254'],
  ])('a name that resolves to %s', async (_what, ...addresses) => {
    const { port, connections } = await recordEverywhere();
    const guard = createGuard({ resolve: resolveTo(...addresses) });
    const url = `https://${NAME}:${port}/`;
    expect(await reasonOf(call(url, { guard, ports: [port] }))).toBe('address');
    await expectNobodyBefore(port, connections);
  });

  test('a name is resolved once: what it means afterwards is of no matter', async () => {
    const { port, connections } = await recordEverywhere();
    const { resolve, asked } = resolveInTurn([NOBODY], ['127.0.0.1']);
    const guard = createGuard({ resolve });
    const url = `https://${NAME}:${port}/`;
    const rebound = await errorOf(call(url, { guard, ports: [port], timeoutMs: 500 }));
    expect(rebound).toBeInstanceOf(UnavailableError);
    expect(asked).toEqual([NAME]);
    // And the next call judges it anew.
    expect(await reasonOf(call(url, { guard, ports: [port] }))).toBe('address');
    expect(asked).toEqual([NAME, NAME]);
    await expectNobodyBefore(port, connections);
  });

  test.each([301, 302, 303, 307, 308, 300])('where a %i leads', async (status) => {
    const inside = await recordEverywhere();
    const { port } = await serve((_request, response) => {
      response.writeHead(status, { location: `http://127.0.0.1:${inside.port}/` }).end('x');
    });
    const redirected = await errorOf(callConfigured(`http://127.0.0.1:${port}/`));
    expect(redirected).toBeInstanceOf(UnavailableError);
    await expectNobodyBefore(inside.port, inside.connections);
  });

  test('where a 304 would lead, which is an answer and leads nowhere', async () => {
    const inside = await recordEverywhere();
    const { port } = await serve((_request, response) => {
      response.writeHead(304, { location: `http://127.0.0.1:${inside.port}/` }).end();
    });
    const answer = await callConfigured(`http://127.0.0.1:${port}/`);
    expect(answer.status).toBe(304);
    await expectNobodyBefore(inside.port, inside.connections);
  });

  test.each([
    ['another scheme', 'https://127.0.0.1:PORT/'],
    ['another port', 'http://127.0.0.1:1/'],
    ['another spelling of another host', 'http://127.0.0.2:PORT/'],
    ['a name for the same host', 'http://localhost:PORT/'],
    ['another host before the sign', 'http://127.0.0.1:PORT@127.0.0.2:PORT/'],
  ])('a configured origin with %s', async (_what, text) => {
    const { port, connections } = await recordEverywhere();
    const configuredOrigins = [`http://127.0.0.1:${port}`];
    const url = text.replaceAll('PORT', String(port));
    const error = await errorOf(call(url, { configuredOrigins, ports: [port] }));
    expect(error).toBeInstanceOf(ForbiddenTargetError);
    await expectNobodyBefore(port, connections);
  });

  test.each(['0.0.0.0', '169.254.169.254', 'fe80::1', 'fd00:ec2::254', '224.0.0.1'])(
    'not even a configured name at %s',
    async (address) => {
      const guard = createGuard({ resolve: resolveTo('127.0.0.1', address) });
      const { port, connections } = await recordEverywhere();
      const url = `https://${NAME}:${port}/`;
      expect(await reasonOf(callConfigured(url, { guard }))).toBe('address');
      await expectNobodyBefore(port, connections);
    },
  );

  test.each([
    ['bot.kakao.test', null],
    ['BOT.KAKAO.TEST', null],
    ['a.b.kakao.test', null],
    ['exact.test', null],
    ['kakao.test', 'host'],
    ['faketalkakao.test', 'host'],
    ['bot.kakao.test.evil.test', 'host'],
    ['bot.kakao.test.', 'host'],
    ['sub.exact.test', 'host'],
    ['bot.kakao.test%2eevil.test', 'host'],
    ['evil.test#.kakao.test', 'host'],
    ['evil.test\\.kakao.test', 'host'],
  ])('of listed hosts: %s', async (host, reason) => {
    const guard = createGuard({ resolve: resolveTo('127.0.0.1') });
    const hosts = ['.kakao.test', 'exact.test'];
    // What is listed is refused by its address only.
    expect(await reasonOf(call(`https://${host}/`, { guard, hosts }))).toBe(reason ?? 'address');
  });
});

describe('what is called', () => {
  test('is the judged address, under the name of the URL', async () => {
    const heard: unknown[] = [];
    const { port } = await serve(({ method, url, headers }, response) => {
      heard.push([method, url, headers.host]);
      response.end('here');
    });
    const { resolve, asked } = resolveInTurn(['127.0.0.1'], [NOBODY]);
    const response = await callConfigured(`http://${NAME}:${port}/a%20b?c=d#e`, {
      guard: createGuard({ resolve }),
    });
    expect([response.status, await response.text()]).toEqual([200, 'here']);
    expect(heard).toEqual([['GET', '/a%20b?c=d', `${NAME}:${port}`]]);
    expect(asked).toEqual([NAME]);
  });

  test('is another judged address where one does not connect', async () => {
    const { port } = await serve((_request, response) => response.end('here'));
    const guard = createGuard({ resolve: resolveTo('::1', '127.0.0.1') });
    expect((await callConfigured(`http://${NAME}:${port}/`, { guard })).status).toBe(200);
  });

  test('is connected to anew, and judged anew, each time', async () => {
    const { port, connections } = await serve((_request, response) => {
      response.writeHead(200, { connection: 'keep-alive' }).end();
    });
    const { resolve } = resolveInTurn(['127.0.0.1'], ['127.0.0.1'], ['169.254.169.254']);
    const guard = createGuard({ resolve });
    const url = `http://${NAME}:${port}/`;
    await callConfigured(url, { guard });
    await callConfigured(url, { guard });
    expect(new Set(connections).size).toBe(2);
    expect(await reasonOf(callConfigured(url, { guard }))).toBe('address');
    expect(connections).toHaveLength(2);
  });

  test('is not a proxy, whatever the environment says', async () => {
    const proxy = await serve((_request, response) => response.end('proxy'));
    const { port } = await serve((_request, response) => response.end('server'));
    const address = `http://127.0.0.1:${proxy.port}`;
    const restore = http.setGlobalProxyFromEnv({ HTTP_PROXY: address, HTTPS_PROXY: address });
    closers.push(async () => restore());
    expect(await (await callConfigured(`http://${NAME}:${port}/`)).text()).toBe('server');
    await errorOf(callConfigured(`https://${NAME}:${port}/`));
    expect(proxy.connections).toEqual([]);
  });

  test('gets the whole body, also of a DELETE, and headers that say so', async () => {
    const heard: unknown[] = [];
    const { port } = await serve((request, response) => {
      const { 'content-length': length, 'transfer-encoding': coding, host } = request.headers;
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        heard.push([request.method, Buffer.concat(chunks).toString(), length, coding, host]);
        response.end();
      });
    });
    const url = `http://${NAME}:${port}/`;
    const headers = { host: 'evil.test', 'content-length': '1', 'transfer-encoding': 'chunked' };
    await callConfigured(url, { init: { method: 'DELETE', body: '{"한":1}', headers } });
    await callConfigured(url, { init: { method: 'POST', body: new URLSearchParams('a=b') } });
    await callConfigured(url, { init: { method: 'POST' } });
    await callConfigured(url);
    const host = `${NAME}:${port}`;
    expect(heard).toEqual([
      ['DELETE', '{"한":1}', '9', undefined, host],
      ['POST', 'a=b', '3', undefined, host],
      ['POST', '', '0', undefined, host],
      ['GET', '', undefined, undefined, host],
    ]);
  });

  test('answers with its status, its headers and its body unpacked', async () => {
    const { port } = await serve((_request, response) => {
      response.writeHead(404, { 'content-encoding': 'gzip', 'x-limit': ['1', '2'] });
      response.end(gzipSync('{"a":1}'));
    });
    const response = await callConfigured(`http://${NAME}:${port}/`);
    expect(response.status).toBe(404);
    expect(response.headers.get('x-limit')).toBe('1, 2');
    expect(response.headers.has('content-encoding')).toBe(false);
    expect(await response.json()).toEqual({ a: 1 });
  });

  test('may answer with nothing', async () => {
    const { port } = await serve((_request, response) => response.writeHead(204).end());
    const response = await callConfigured(`http://${NAME}:${port}/`);
    expect([response.status, await response.text()]).toEqual([204, '']);
  });
});

describe('over TLS', () => {
  const certificate = createCertificate(NAME);
  const stranger = createCertificate(NAME);
  beforeAll(() => tls.setDefaultCACertificates([certificate.cert]));

  test('the certificate is the name’s, and so is what the server is asked for', async () => {
    const names: unknown[] = [];
    const { port } = await serveTls(certificate, ({ socket }, response) => {
      names.push((socket as tls.TLSSocket).servername);
      response.end('secret');
    });
    const url = `https://${NAME}:${port}/`;
    const response = await callConfigured(url, { init: { headers: { host: 'evil.test' } } });
    expect([await response.text(), names]).toEqual(['secret', [NAME]]);
  });

  test.each([
    ['another name', 'other.test', certificate],
    ['an authority that nobody knows', NAME, stranger],
    ['no address', '127.0.0.1', certificate],
  ])(
    'a certificate for %s is refused, whatever the environment says',
    async (_what, host, shown) => {
      process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
      closers.push(async () => {
        delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      });
      const heard: unknown[] = [];
      const { port } = await serveTls(shown, (request, response) => {
        heard.push(request.url);
        response.end();
      });
      const error = await errorOf(
        callConfigured(`https://${host}:${port}/`, { init: { headers: { host: NAME } } }),
      );
      expect(error).toBeInstanceOf(UnavailableError);
      expect(heard).toEqual([]);
    },
  );
});

describe('time and size end', () => {
  const head = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n';

  test.each([
    ['a resolver that says nothing', () => new Promise<never>(() => undefined)],
    ['an address that nobody has', resolveTo(NOBODY)],
  ])('%s', async (_what, resolve) => {
    const guard = createGuard({ resolve });
    const error = await errorOf(call(`https://${NAME}/`, { guard, timeoutMs: 200 }));
    expect(error).toBeInstanceOf(UnavailableError);
  });

  test.each([
    ['silence', ''],
    ['a head without an end', 'HTTP/1.1 200 OK\r\nx: '],
    ['a body that stays away', head],
    ['a body without an end', 'HTTP/1.1 200 OK\r\n\r\nx'],
  ])('%s', async (_what, said) => {
    const { port } = await serveRaw(said);
    const error = await errorOf(callConfigured(`http://${NAME}:${port}/`, { timeoutMs: 200 }));
    expect(error).toBeInstanceOf(UnavailableError);
    expect(String(error.cause)).toContain('It took more than');
  });

  test.each([
    ['a head', 'HTTP/1.1 200 OK\r\n', 'x-y: z\r\n'],
    ['answers before the answer', '', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
    ['a body', 'HTTP/1.1 200 OK\r\n\r\n', 'x'],
  ])('%s that trickles', async (_what, first, more) => {
    let sent = 0;
    const server = net.createServer((socket) => {
      socket.write(first);
      socket.resume();
      const trickle = setInterval(() => {
        sent += 1;
        socket.write(more);
      }, 5);
      socket.on('close', () => clearInterval(trickle));
    });
    const { port } = await record(server);
    const error = await errorOf(callConfigured(`http://${NAME}:${port}/`, { timeoutMs: 300 }));
    expect(String(error.cause)).toContain('It took more than');
    // It never fell silent for long.
    expect(sent).toBeGreaterThan(5);
  });

  const packed = 'HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n';
  const nothing = gzipSync('');
  test.each([
    ['one byte too many', 1_000, 'HTTP/1.1 200 OK\r\n\r\n', 'x'.repeat(1_001)],
    ['a bomb', 100_000, packed, gzipSync(Buffer.alloc(50_000_000))],
    ['a bomb that unpacks to nothing', 1_000, packed, Buffer.concat(Array(100).fill(nothing))],
  ])('%s', async (_what, bytesMax, said, body) => {
    const { port } = await serveRaw(said, body);
    const before = process.memoryUsage().arrayBuffers;
    const error = await errorOf(callConfigured(`http://${NAME}:${port}/`, { bytesMax }));
    expect(String(error.cause)).toContain(`more than ${bytesMax} bytes`);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  });

  test('exactly as much as allowed is taken', async () => {
    const { port } = await serve((_request, response) => response.end('x'.repeat(1_000)));
    expect(await (await callConfigured(`http://${NAME}:${port}/`)).text()).toHaveLength(1_000);
  });

  test.each([
    [
      'packed otherwise',
      'HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n',
      brotliCompressSync('x'),
    ],
    ['packed twice', 'HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip\r\n\r\n', nothing],
    ['not packed as it says', 'HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n', 'plain text'],
    ['cut short', head, 'x', null],
    ['cut short and packed', packed, gzipSync('0123456789').subarray(0, 15), null],
    [
      'another protocol',
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n',
    ],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx'],
    ['a status that there is not', 'HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n'],
    ['a long head', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`],
    ['nothing at all', null],
  ])('an answer that is %s is none', async (_what, ...parts) => {
    const server = net.createServer((socket) => {
      socket.once('data', () => {
        for (const part of parts) {
          if (part === null) socket.end();
          else socket.write(part);
        }
      });
    });
    const { port } = await record(server);
    const error = await errorOf(callConfigured(`http://${NAME}:${port}/`));
    expect(error).toBeInstanceOf(UnavailableError);
    expect(String(error.cause)).not.toContain('It took more than');
  });
});

describe('a host that fails', () => {
  let status = 500;
  async function start() {
    const clock = { nowMs: 0 };
    const outcomes: CallOutcome[] = [];
    const guard = createGuard({
      resolve: resolveTo('127.0.0.1'),
      now: () => clock.nowMs,
      onCall: (who, outcome) => outcomes.push(`${who === 'Hooks' ? outcome : 'failed'}`),
    });
    status = 500;
    const server = await serve((_request, response) => response.writeHead(status).end());
    const url = `http://${NAME}:${server.port}/`;
    return { clock, outcomes, guard, server, url, ask: () => callConfigured(url, { guard }) };
  }

  test('five times in a row is spared for 10 s, and then tried once at a time', async () => {
    const { clock, outcomes, server, ask } = await start();
    for (let count = 0; count < 5; count += 1) expect((await ask()).status).toBe(500);
    const spared = await errorOf(ask());
    expect(spared).toMatchObject({ code: 'UNAVAILABLE', retryAfterSeconds: 10 });
    expect(server.connections).toHaveLength(5);
    clock.nowMs = 9_999;
    expect(await errorOf(ask())).toMatchObject({ retryAfterSeconds: 1 });
    clock.nowMs = 10_000;
    status = 200;
    const [trial, ...others] = await Promise.allSettled([ask(), ask(), ask()]);
    expect([trial.status, ...others.map((other) => other.status)]).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
    ]);
    expect((await ask()).status).toBe(200);
    expect(outcomes).toEqual([
      ...Array(5).fill('failed'),
      ...Array(4).fill('spared'),
      'answered',
      'answered',
    ]);
  });

  test.each([
    [
      'is gone',
      async ({ server }: { server: Recorder }) => server.port && closers.splice(0)[0]?.(),
    ],
    ['has no address', null],
    ['is silent', null],
  ])('and %s is spared as well', async (what, leave) => {
    const { guard, ask, ...rest } = await start();
    await leave?.(rest);
    const silent = await serveRaw('');
    const nameless = createGuard({ resolve: resolveTo() });
    const asked = {
      'is gone': ask,
      'has no address': () => call(`https://${NAME}/`, { guard: nameless }),
      'is silent': () => callConfigured(`http://${NAME}:${silent.port}/`, { guard, timeoutMs: 50 }),
    }[what];
    if (asked === undefined) throw new Error('There is nothing to ask');
    for (let count = 0; count < 5; count += 1) {
      expect((await errorOf(asked())).message).toBe('Hooks cannot be reached now');
    }
    expect((await errorOf(asked())).message).toBe('Hooks has not answered lately');
  });

  test.each([400, 404, 429, 302])('is not one that answers %i', async (answer) => {
    const { server, ask } = await start();
    status = answer;
    for (let count = 0; count < 7; count += 1) await ask().catch(() => undefined);
    expect(server.connections).toHaveLength(7);
  });

  test('is not one that a client makes answer too much, or may not call', async () => {
    const { guard } = await start();
    const { port, connections } = await serve((_request, response) =>
      response.end('x'.repeat(2_000)),
    );
    for (let count = 0; count < 7; count += 1) {
      await errorOf(callConfigured(`http://${NAME}:${port}/`, { guard }));
      expect(await reasonOf(call(`https://${NAME}/`, { guard }))).toBe('address');
    }
    expect(connections).toHaveLength(7);
  });

  test('is no reason to spare another on the same machine', async () => {
    const { guard, ask } = await start();
    for (let count = 0; count < 6; count += 1) await ask().catch(() => undefined);
    const { port } = await serve((_request, response) => response.end());
    expect((await callConfigured(`http://${NAME}:${port}/`, { guard })).status).toBe(200);
  });
});

test('errors say nothing of query, credentials, headers or bodies', async () => {
  const secrets = ['s3cret-query', 's3cret-user', 's3cret-header', 's3cret-body', 's3cret-answer'];
  const [query, user, header, body, answer] = secrets;
  const init = { method: 'POST', headers: { authorization: `Bearer ${header}` }, body: `${body}` };
  const broken = await serveRaw(
    `HTTP/1.1 200 OK\r\nset-cookie: ${answer}\r\nx y: ${answer}\r\n\r\n`,
  );
  const large = await serve((_request, response) => response.end(`${answer}`.repeat(200)));
  const attempts = [
    () => callConfigured(`http://${NAME}:${broken.port}/?${query}`, { init }),
    () => callConfigured(`http://${NAME}:${large.port}/?${query}`, { init }),
    () => callConfigured(`http://${NAME}:1/?${query}`, { init }),
    () =>
      callConfigured(`http://${NAME}:${large.port}/?${query}`, {
        init: { ...init, headers: { authorization: `Bearer ${header}\nx` } },
      }),
    () => callConfigured(`http://${user}@${NAME}:${large.port}/?${query}`, { init }),
    () => call(`https://${NAME}/?${query}`, { init }),
    () => call(`https://${user}@:80/?${query}`, { init }),
  ];
  const known = new Set(['name', 'code', 'reason', 'retryAfterSeconds']);
  for (const attempt of attempts) {
    const told: string[] = [];
    for (let at: unknown = await errorOf(attempt()); at instanceof Error; at = at.cause) {
      told.push(inspect(at));
      // Node hangs what came over the line on its own errors, as bytes.
      expect(Object.keys(at).filter((key) => !known.has(key))).toEqual([]);
    }
    for (const secret of secrets) expect(told.join('\n')).not.toContain(secret);
  }
});

/** On both loopback addresses, if this machine has IPv6, with one port. */
async function recordEverywhere(): Promise<Recorder> {
  const connections: string[] = [];
  const listener: RequestListener = (_request, response) => response.end('inside');
  const { port } = await record(http.createServer(listener), '127.0.0.1', 0, connections);
  await record(http.createServer(listener), '::1', port, connections).catch(() => undefined);
  return { port, connections };
}

/** Connections are taken in order: when ours is there, whatever came before it would be too. */
async function expectNobodyBefore(port: number, connections: readonly string[]): Promise<void> {
  const response = await callConfigured(`http://127.0.0.1:${port}/`);
  expect([await response.text(), connections.length]).toEqual(['inside', 1]);
}
