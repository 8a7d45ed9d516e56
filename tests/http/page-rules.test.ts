// What a page of somebody else can have a visitor's browser send, as requests: none of it may act for
// whoever is signed in. tests/page/cross-site.test.ts shows the same in a real browser.
import { hash } from 'node:crypto';
import { request as httpRequest, type OutgoingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { ConfigError, parseConfig } from '#config.ts';
import { createServer } from '#server.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { get, post } from '../support/graphql-client.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';
import { cookieOf, pageHeaders, SIGN_IN, signIn } from '../support/sessions.ts';

const VIEWER = { query: '{ viewer { username } }' };
const SIGN_OUT = { query: 'mutation { signOut { ... on SignedOut { endedSessions } } }' };
const LIVE = 'subscription { webhookMessageReceived { ... on StreamItem { cursor } } }';
const ALLOWED = 'https://app.example.com';

let naru: TestNaru;
let cookie: string;
beforeAll(async () => {
  naru = await startNaru({ settings: { ALLOWED_ORIGINS: ALLOWED } });
});
afterAll(() => naru?.close());
beforeEach(async () => {
  cookie = await cookieOf(naru.url);
});

const portOf = () => Number(new URL(naru.url).port);
const asks = async (headers: Record<string, string>) => post(naru.url, VIEWER, null, headers);
const isSignedIn = async () =>
  (await asks(pageHeaders(cookie))).result.data.viewer?.username === 'alice';

async function countSessions(): Promise<number> {
  const [row] = await naru.app.database.query<{ count: string }>('SELECT count(*) FROM session');
  return Number(row?.count);
}

async function countHashes(): Promise<number> {
  const { values } = await naru.app.metrics.passwordHashSeconds.get();
  return values
    .filter(({ metricName }) => metricName?.endsWith('_count'))
    .reduce((sum, { value }) => sum + value, 0);
}

/** What a foreign page's browser says of where it asks from. `PORT` stands for Naru's. */
const FOREIGN: readonly (readonly [string, Record<string, string>])[] = [
  ['a foreign page', { origin: 'https://evil.com', 'sec-fetch-site': 'cross-site' }],
  ['a foreign page, by its origin alone', { origin: 'https://evil.com' }],
  ['a page without an origin', { origin: 'null', 'sec-fetch-site': 'cross-site' }],
  ['another port of this host', { origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' }],
  ['another port, by its origin alone', { origin: 'http://127.0.0.1:1' }],
  ['this host without a port', { origin: 'http://127.0.0.1' }],
  ['this host by another scheme', { origin: 'https://127.0.0.1:PORT' }],
  ['a host that begins like this one', { origin: 'http://127.0.0.1:PORT.evil.com' }],
  ['a host behind this one’s name', { origin: 'http://127.0.0.1:PORT@evil.com' }],
  ['another name of this host', { origin: 'http://localhost:PORT' }],
  ['a subdomain of an allowed origin', { origin: 'https://x.app.example.com' }],
  ['a host that ends like an allowed one', { origin: 'https://evil-app.example.com' }],
  ['an allowed origin with another port', { origin: `${ALLOWED}:8443` }],
  ['an allowed host without TLS', { origin: 'http://app.example.com' }],
  ['two origins', { origin: `${ALLOWED}, https://evil.com` }],
  ['a subdomain that names no origin', { 'sec-fetch-site': 'same-site' }],
  ['another site that names no origin', { 'sec-fetch-site': 'cross-site' }],
];

function foreign(given: Record<string, string>): Record<string, string> {
  const entries = Object.entries(given).map(([name, value]) => [
    name,
    value.replace('PORT', String(portOf())),
  ]);
  return Object.fromEntries(entries);
}

describe('a request with a cookie', () => {
  test.each(FOREIGN)('from %s does nothing and shows nothing', async (_name, given) => {
    for (const csrf of [{}, { 'x-naru-csrf': '1' }]) {
      const headers = { ...foreign(given), ...csrf, cookie };
      for (const operation of [SIGN_OUT, VIEWER]) {
        const { status, text, result } = await post(naru.url, operation, null, headers);
        expect(status).toBe(403);
        expect(result.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
        expect(text).not.toContain('alice');
      }
      const asked = await get(naru.url, VIEWER, null, headers);
      expect([asked.status, asked.text.includes('alice')]).toEqual([403, false]);
    }
    expect(await isSignedIn()).toBe(true);
  });

  test.each([
    ['from an address bar', { 'sec-fetch-site': 'none', 'x-naru-csrf': '1' }],
    ['that says nothing of where it is from', { 'x-naru-csrf': '1' }],
    ['of our own page without the header', { 'sec-fetch-site': 'same-origin' }],
    ['of an allowed origin without the header', { origin: ALLOWED }],
  ])('%s is refused', async (_name, headers) => {
    expect((await post(naru.url, SIGN_OUT, null, { ...headers, cookie })).status).toBe(403);
    expect(await isSignedIn()).toBe(true);
  });

  test.each([
    ['our own page', { 'sec-fetch-site': 'same-origin' }],
    ['our own page, by its origin', { origin: 'http://127.0.0.1:PORT' }],
    ['an allowed origin', { origin: ALLOWED, 'sec-fetch-site': 'cross-site' }],
  ])('of %s with the header counts', async (_name, given) => {
    const { result } = await asks({ ...foreign(given), 'x-naru-csrf': '1', cookie });
    expect(result.data.viewer).toEqual({ username: 'alice' });
  });

  test.each([
    ['application/x-www-form-urlencoded', `query=${encodeURIComponent(SIGN_OUT.query)}`],
    ['text/plain', JSON.stringify(SIGN_OUT)],
    ['', JSON.stringify(SIGN_OUT)],
    [
      'multipart/form-data; boundary=x',
      `--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n${JSON.stringify(SIGN_OUT)}\r\n` +
        '--x\r\ncontent-disposition: form-data; name="map"\r\n\r\n{}\r\n--x--\r\n',
    ],
    ['text/plain; application/json', JSON.stringify(SIGN_OUT)],
    ['application/graphql', SIGN_OUT.query],
  ])('as a form of type %j does nothing, not even of our own page', async (type, body) => {
    for (const page of [{ origin: 'https://evil.com', cookie }, pageHeaders(cookie)]) {
      const { status } = await post(naru.url, body, null, { ...page, 'content-type': type });
      expect([400, 415]).toContain(status);
    }
    expect(await isSignedIn()).toBe(true);
  });

  test('by GET never runs a mutation', async () => {
    for (const accept of ['application/json', 'text/event-stream', 'text/html,*/*']) {
      for (const page of [{ 'sec-fetch-site': 'cross-site', cookie }, pageHeaders(cookie)]) {
        const { status } = await get(naru.url, SIGN_OUT, null, { ...page, accept });
        expect([403, 405]).toContain(status);
      }
    }
    expect(await isSignedIn()).toBe(true);
  });
});

describe('signing somebody in as somebody else', () => {
  const input = { login: 'bob', password: SEED_PASSWORD, transport: 'COOKIE' };
  const body = JSON.stringify({ query: SIGN_IN, variables: { input } });

  test.each([
    ...FOREIGN,
    ['our own page without the header', { 'sec-fetch-site': 'same-origin' }] as const,
    ['nobody who says where from', { 'x-naru-csrf': '1' }] as const,
  ])('is not possible from %s', async (_name, given) => {
    const [sessions, hashes] = [await countSessions(), await countHashes()];
    const answer = await post(naru.url, body, null, foreign(given));
    expect(answer.result.data.signIn).toMatchObject({ code: 'FORBIDDEN' });
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect([await countSessions(), await countHashes()]).toEqual([sessions, hashes]);
  });

  test.each(['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x'])(
    'is not possible by a form of type %s',
    async (type) => {
      const sessions = await countSessions();
      const headers = { 'content-type': type, origin: 'https://evil.com' };
      const answer = await post(naru.url, body, null, headers);
      expect([answer.status, answer.headers.getSetCookie()]).toEqual([415, []]);
      expect(await countSessions()).toBe(sessions);
    },
  );

  test('with TOKENS sets no cookie, whoever asks', async () => {
    const answer = await signIn(naru.url, { login: 'bob' }, { origin: 'https://evil.com' });
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });

  test('a cookie that was there before is replaced, and never becomes the session', async () => {
    for (const planted of [`__Host-naru=${'a'.repeat(43)}`, cookie]) {
      const answer = await signIn(
        naru.url,
        { login: 'bob', transport: 'COOKIE' },
        pageHeaders(planted),
      );
      const [line = '', ...others] = answer.headers
        .getSetCookie()
        .filter((given) => !given.includes('Max-Age=0'));
      expect(others).toEqual([]);
      expect(line.startsWith(`${planted};`)).toBe(false);
      const viewer = (await asks(pageHeaders(line.split(';', 1)[0]))).result.data.viewer;
      expect(viewer).toEqual({ username: 'bob' });
      expect((await asks(pageHeaders(planted))).result.data.viewer?.username).not.toBe('bob');
    }
  });
});

describe('the cookie', () => {
  test('tossed beside another of the name makes a guest, whichever comes first', async () => {
    const bob = await cookieOf(naru.url, { login: 'bob' });
    for (const header of [`${cookie}; ${bob}`, `${bob}; ${cookie}`, `${cookie}; ${cookie}`]) {
      expect((await asks(pageHeaders(header))).result.data).toEqual({ viewer: null });
    }
  });

  test('counts only under its own name', async () => {
    const value = cookie.slice(cookie.indexOf('=') + 1);
    for (const name of [
      'naru',
      '__host-naru',
      '__Secure-naru',
      '\u00a0__Host-naru',
      '$__Host-naru',
    ]) {
      const { result } = await asks(pageHeaders(`${name}=${value}`));
      expect(result.data).toEqual({ viewer: null });
    }
  });

  test('oversized is no cookie of ours, and past 16 KB no request', async () => {
    const { result } = await asks(pageHeaders(`__Host-naru=${'x'.repeat(8_192)}`));
    expect(result.data).toEqual({ viewer: null });
    expect((await asks(pageHeaders(`__Host-naru=${'x'.repeat(20_000)}`))).status).toBe(431);
    expect(await isSignedIn()).toBe(true);
  });

  test('whose session has ended makes a guest, but not for foreign pages', async () => {
    await post(naru.url, SIGN_OUT, null, pageHeaders(cookie));
    const answer = await asks(pageHeaders(cookie));
    expect(answer.result.data).toEqual({ viewer: null });
    // Not taken away: this answer may come after that of a new sign-in in another tab.
    expect(answer.headers.getSetCookie()).toEqual([]);
    const refused = await asks({ cookie, origin: 'https://evil.com', 'x-naru-csrf': '1' });
    expect([refused.status, refused.headers.getSetCookie()]).toEqual([403, []]);
  });

  test('beside Authorization is not looked at, whatever that is worth', async () => {
    const token = await naru.tokenFor('bob');
    for (const page of [pageHeaders(cookie), { cookie }]) {
      const { result } = await post(naru.url, VIEWER, token, page);
      expect(result.data.viewer).toEqual({ username: 'bob' });
      expect((await post(naru.url, VIEWER, `${token}x`, page)).status).toBe(401);
    }
  });

  test('without Secure is for development: another name, and refused in production', async () => {
    const other = await startNaru({ settings: { COOKIE_SECURE: 'false' }, runsJobs: false });
    try {
      const { headers } = await signIn(other.url, { transport: 'COOKIE' }, pageHeaders());
      const [line = ''] = headers.getSetCookie();
      expect(line).toMatch(/^naru=[\w-]{43}; Path=\/; Max-Age=604800; HttpOnly; SameSite=Lax$/);
      const prefixed = `__Host-${line.split(';', 1)[0]}`;
      const { result } = await post(other.url, VIEWER, null, pageHeaders(prefixed));
      expect(result.data).toEqual({ viewer: null });
    } finally {
      await other.close();
    }
    const settings = {
      NODE_ENV: 'production',
      DATABASE_URL: 'postgresql://x',
      REDIS_URL: 'redis://x',
      SECRET_KEY: 'x'.repeat(32),
    };
    expect(parseConfig(settings).cookieSecure).toBe(true);
    expect(() => parseConfig({ ...settings, COOKIE_SECURE: 'false' })).toThrow(ConfigError);
  });
});

test('a token in the address is nobody’s', async () => {
  const token = await naru.tokenFor('alice');
  for (const name of ['token', 'access_token', 'authorization', 'Authorization', 'apikey']) {
    const search = `${name}=${encodeURIComponent(name.startsWith('a') ? `Bearer ${token}` : token)}`;
    const answer = await fetch(
      `${naru.url}/graphql?${search}&query=${encodeURIComponent(VIEWER.query)}`,
      { headers: { accept: 'application/json' } },
    );
    expect(await answer.json()).toEqual({ data: { viewer: null } });
  }
});

describe('an event stream by GET', () => {
  const open = async (headers: Record<string, string>, query = LIVE) => {
    const leaving = new AbortController();
    const answer = await fetch(`${naru.url}/graphql?query=${encodeURIComponent(query)}`, {
      headers: { accept: 'text/event-stream', ...headers },
      signal: leaving.signal,
    });
    leaving.abort();
    return answer.status;
  };

  test.each(FOREIGN.filter(([, { origin }]) => origin !== undefined))(
    'from %s is refused, with a cookie, with a token and without',
    async (_name, given) => {
      const authorization = `Bearer ${await naru.tokenFor('alice')}`;
      for (const proof of [{ cookie }, { authorization }, {}] as Record<string, string>[]) {
        expect(await open({ ...foreign(given), ...proof })).toBe(403);
      }
    },
  );

  test.each([{ 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'cross-site' }, {}])(
    'that names no origin does not count with a cookie: %j',
    async (headers) => {
      expect(await open({ ...headers, cookie } as Record<string, string>)).toBe(403);
    },
  );

  test('of our own page, or of an allowed one, counts with a cookie and no header', async () => {
    for (const page of [{ 'sec-fetch-site': 'same-origin' }, { origin: ALLOWED }]) {
      expect(await open({ ...page, cookie } as Record<string, string>)).toBe(200);
    }
  });
});

describe('a socket', () => {
  /** The status of the answer to an upgrade: 101 where it was made. */
  const upgrade = (headers: OutgoingHttpHeaders): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const request = httpRequest(`${naru.url}/graphql`, {
        headers: {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          'sec-websocket-protocol': 'graphql-transport-ws',
          ...headers,
        },
      });
      request.on('upgrade', (response, socket) => {
        socket.destroy();
        resolve(response.statusCode);
      });
      request.on('response', (response) => resolve(response.resume().statusCode));
      request.on('error', reject);
      request.end();
    });

  test.each(FOREIGN.filter(([, { origin }]) => origin !== undefined))(
    'from %s is refused with 403, with a cookie, with a token and without',
    async (_name, given) => {
      const authorization = `Bearer ${await naru.tokenFor('alice')}`;
      for (const proof of [{ cookie }, { authorization }, {}] as Record<string, string>[]) {
        expect(await upgrade({ ...foreign(given), ...proof })).toBe(403);
      }
    },
  );

  test('with a cookie, and from nobody knows where, is refused; without one it is a program’s', async () => {
    expect(await upgrade({ cookie })).toBe(403);
    expect(await upgrade({ cookie, 'sec-fetch-site': 'same-site' })).toBe(403);
    expect(await upgrade({})).toBe(101);
  });

  test.each(['http://127.0.0.1:PORT', ALLOWED])('of %s is the cookie’s viewer', async (origin) => {
    const headers = { ...foreign({ origin }), cookie };
    const socket = new WebSocket(
      `${naru.url.replace('http', 'ws')}/graphql`,
      'graphql-transport-ws',
      { headers },
    );
    const next = () =>
      new Promise((resolve) =>
        socket.once('message', (data: Buffer) => resolve(JSON.parse(data.toString()))),
      );
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send(JSON.stringify({ type: 'connection_init' }));
    expect(await next()).toMatchObject({ type: 'connection_ack' });
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: VIEWER }));
    expect(await next()).toMatchObject({ payload: { data: { viewer: { username: 'alice' } } } });
    socket.terminate();
  });
});

describe('security headers', () => {
  const COMMON = {
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  };
  const DATA = {
    ...COMMON,
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cache-control': 'no-store',
  };
  const headersOf = ({ headers }: { headers: Headers }) => Object.fromEntries(headers);
  const ask = (path: string, init: RequestInit = {}) => fetch(`${naru.url}${path}`, init);
  const html = { headers: { accept: 'text/html' } };

  test.each([
    ['GraphQL', 200, () => post(naru.url, VIEWER)],
    ['GraphQL by GET', 200, () => get(naru.url, VIEWER)],
    ['a broken body', 400, () => post(naru.url, '{')],
    [
      'a body of another type',
      415,
      () => post(naru.url, 'x', null, { 'content-type': 'text/plain' }),
    ],
    ['a wrong token', 401, () => post(naru.url, VIEWER, 'x')],
    [
      'a foreign page',
      403,
      () => post(naru.url, VIEWER, null, { cookie, origin: 'https://evil.com' }),
    ],
    ['a webhook that is taken', 202, () => postGitHubWebhook(naru.url, { action: 'x' })],
    [
      'a webhook that is refused',
      404,
      () => ask('/webhook/nobody', { method: 'POST', body: '{}' }),
    ],
    ['no route', 404, () => ask('/nowhere')],
    ['a path that is none', 400, () => ask('/%ff')],
    ['health', 200, () => ask('/health')],
    ['metrics refused', 401, () => ask('/metrics')],
    ['no GitHub', 404, () => ask('/auth/github')],
  ] as const)('are on %s (%i)', async (_name, status, send) => {
    const answer = await send();
    expect(answer.status).toBe(status);
    expect(headersOf(answer)).toMatchObject(DATA);
  });

  test('are on an event stream', async () => {
    const leaving = new AbortController();
    const answer = await ask(`/graphql?query=${encodeURIComponent(LIVE)}`, {
      headers: {
        accept: 'text/event-stream',
        authorization: `Bearer ${await naru.tokenFor('alice')}`,
      },
      signal: leaving.signal,
    });
    expect(answer.headers.get('content-type')).toContain('text/event-stream');
    expect(headersOf(answer)).toMatchObject(DATA);
    leaving.abort();
  });

  test('are on the keys, which are for everybody to keep', async () => {
    const answer = await ask('/.well-known/jwks.json');
    expect(headersOf(answer)).toMatchObject({ ...DATA, 'cache-control': 'public, max-age=300' });
  });

  test.each(['/graphql', '/account'])(
    'are on the page %s, with a policy of its own',
    async (path) => {
      const answer = await ask(path, html);
      expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(headersOf(answer)).toMatchObject(COMMON);
      const policy = answer.headers.get('content-security-policy');
      for (const part of ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"]) {
        expect(policy?.split('; ')).toContain(part);
      }
    },
  );

  test('are on what went wrong (500), at every door', async () => {
    const bug = () => {
      throw new Error('a bug');
    };
    const { app } = naru;
    const server = await createServer({
      ...app,
      config: { ...app.config, mode: 'development' },
      authenticate: bug,
      mailer: Object.defineProperty({ ...app.mailer }, 'recent', { get: bug }),
    });
    try {
      const authorization = `Bearer ${await naru.tokenFor('alice')}`;
      const answers = [
        await server.fastify.inject({ url: '/dev/mail' }),
        await server.fastify.inject({
          method: 'POST',
          url: '/graphql',
          headers: { authorization },
          payload: VIEWER,
        }),
      ];
      for (const { statusCode, headers } of answers) {
        expect(statusCode).toBe(500);
        expect(headers).toMatchObject(DATA);
      }
    } finally {
      await server.close();
    }
  });

  test('promise TLS for a year where Naru is found by it', async () => {
    const config = { ...naru.app.config, publicUrl: 'https://naru.example.com' };
    const server = await createServer({ ...naru.app, config });
    const { headers } = await server.fastify.inject({ url: '/health' });
    await server.close();
    expect(headers['strict-transport-security']).toBe('max-age=31536000');
    const here = await ask('/health');
    expect(here.headers.get('strict-transport-security')).toBeNull();
  });
});

describe('CORS', () => {
  const wordsOf = (headers: Headers) =>
    [...headers.keys()].filter((name) => name.startsWith('access-control-'));
  const preflight = (origin: string, url = naru.url) =>
    fetch(`${url}/graphql`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,x-naru-csrf',
      },
    });

  test('allows an allowed origin exactly what it needs', async () => {
    const { status, headers } = await preflight(ALLOWED);
    expect(status).toBe(204);
    expect(Object.fromEntries(headers)).toMatchObject({
      'access-control-allow-origin': ALLOWED,
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers':
        'content-type, authorization, last-event-id, if-none-match, idempotency-key, x-idempotency-key, x-request-id, x-naru-csrf',
      'access-control-max-age': '600',
    });
    expect(headers.get('vary')?.toLowerCase()).toContain('origin');
    const answer = await asks({ origin: ALLOWED });
    expect(answer.headers.get('access-control-allow-origin')).toBe(ALLOWED);
    expect(answer.headers.get('access-control-allow-credentials')).toBe('true');
    expect(answer.headers.get('access-control-expose-headers')).toBe(
      'x-request-id, retry-after, ratelimit, ratelimit-policy, idempotency-replayed, etag',
    );
    expect(answer.headers.get('vary')?.toLowerCase()).toContain('origin');
  });

  test.each(FOREIGN.filter(([, { origin }]) => origin !== undefined))(
    'says not a word to %s',
    async (_name, given) => {
      const { origin = '' } = foreign(given);
      const refused = await preflight(origin);
      expect(wordsOf(refused.headers)).toEqual([]);
      expect((await asks({ origin })).headers.get('access-control-allow-origin')).toBeNull();
    },
  );

  test('is not there where no origin is allowed', async () => {
    const server = await createServer({
      ...naru.app,
      config: { ...naru.app.config, allowedOrigins: [] },
    });
    const { headers, statusCode } = await server.fastify.inject({
      method: 'OPTIONS',
      url: '/graphql',
      headers: { origin: ALLOWED, 'access-control-request-method': 'POST' },
    });
    await server.close();
    expect(statusCode).toBe(404);
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
  });
});

describe('the account page', () => {
  const render = async (config: Partial<TestNaru['app']['config']>) => {
    const server = await createServer({ ...naru.app, config: { ...naru.app.config, ...config } });
    const { body } = await server.fastify.inject({ url: '/account' });
    await server.close();
    return body;
  };

  test('runs its one script and style, by their hashes, and nothing that stands elsewhere', async () => {
    const answer = await fetch(`${naru.url}/account`);
    const page = await answer.text();
    const policy = answer.headers.get('content-security-policy') ?? '';
    for (const [kind, pattern] of [
      ['script', /<script type="module">([\s\S]*?)<\/script>/g],
      ['style', /<style>([\s\S]*?)<\/style>/g],
    ] as const) {
      const [found, ...others] = [...page.matchAll(pattern)];
      expect(others).toEqual([]);
      expect(policy.split('; ')).toContain(
        `${kind}-src 'sha256-${hash('sha256', found?.[1] ?? '', 'base64')}'`,
      );
    }
    expect(policy).not.toContain('unsafe');
    expect(page).not.toMatch(/\son[a-z]+=|javascript:|style="|<iframe|innerHTML/);
    expect(page).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(page).not.toContain('import ');
  });

  test('is the same for everybody, and kept by nobody', async () => {
    const anonymous = await (await fetch(`${naru.url}/account`)).text();
    const answer = await fetch(`${naru.url}/account?x=<script>`, { headers: { cookie } });
    expect(await answer.text()).toBe(anonymous);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('offers what is configured', async () => {
    const { github } = naru.app.config;
    expect(await render({})).toContain('<html lang="en" data-sign-up="open" data-mail>');
    expect(await render({ signUp: 'invite' })).toContain('data-sign-up="invite"');
    expect(await render({ signUp: 'closed', mode: 'production' })).toContain('<html lang="en">');
    expect(await render({ github: { ...github, client: { id: 'x', secret: 'y' } } })).toContain(
      '<html lang="en" data-sign-up="open" data-mail data-github>',
    );
  });
});
