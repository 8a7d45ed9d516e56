// Kept answers as clients meet them. How they are kept is tried beside src/server/response-cache.ts.
import {
  type GraphQLObjectType,
  type GraphQLOutputType,
  getNamedType,
  isInterfaceType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VERSION } from '#lib/version.ts';
import { readCacheControls } from '#schema/cache-control.ts';
import { createSchema } from '#schema/index.ts';
import { run } from '../support/accounts.ts';
import { bearer, get, openEventStream, openSocket, post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { cookieOf, pageHeaders, tokensOf } from '../support/sessions.ts';

let naru: TestNaru;
const token = { alice: '', bob: '', admin: '' };

beforeAll(async () => {
  naru = await startNaru();
  token.alice = await naru.tokenFor('alice');
  token.bob = await naru.tokenFor('bob');
  token.admin = await naru.tokenFor('admin');
});
afterAll(() => naru?.close());

const INFO = { query: '{ serverInfo { version } }' };
const MODERN = { accept: 'application/graphql-response+json' };
const SIGN_OUT = 'mutation { signOut { __typename } }';
const TEXT = JSON.stringify({ data: { serverInfo: { version: VERSION } } });

describe('a GET of what is declared', () => {
  test('says for how long and for whom it may be kept, and what it is', async () => {
    const { status, headers, text } = await get(naru.url, INFO);
    expect(status).toBe(200);
    expect(text).toBe(TEXT);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(headers.get('cache-control')).toMatch(/^public, max-age=([0-9]|[1-5][0-9]|60)$/);
    expect(headers.get('etag')).toMatch(/^"[\w-]+"$/);
    expect(headers.get('vary')).toBe('accept, origin, cookie');
  });

  test.each([
    ['the tag', (etag: string) => etag],
    ['the tag, weakened on the way', (etag: string) => `W/${etag}`],
    ['the tag among others', (etag: string) => `"other", ${etag}, W/"more"`],
    ['any', () => '*'],
  ])('is answered 304 and nothing else to who has it: %s', async (_name, say) => {
    const first = await get(naru.url, INFO);
    const etag = first.headers.get('etag') ?? '';
    const again = await get(naru.url, INFO, null, { 'if-none-match': say(etag) });
    expect(again.status).toBe(304);
    expect(again.text).toBe('');
    expect(again.headers.get('etag')).toBe(etag);
    expect(again.headers.get('cache-control')).toMatch(/^public, max-age=\d+$/);
    expect(again.headers.get('vary')).toBe(first.headers.get('vary'));
    expect(again.headers.get('content-type')).toBeNull();
  });

  test.each([
    ['another tag', '"other"'],
    ['no tag', 'other'],
    ['a tag without its quotes', ''],
    ['nothing but commas', ',,, ,'],
    ['a very long one', `"${'x'.repeat(8_000)}"`],
  ])('is answered whole to who has something else: %s', async (_name, said) => {
    const etag = (await get(naru.url, INFO)).headers.get('etag') ?? '';
    const given = said === '' ? etag.replaceAll('"', '') : said;
    const { status, text } = await get(naru.url, INFO, null, { 'if-none-match': given });
    expect(status).toBe(200);
    expect(text).toBe(TEXT);
  });

  test('has another tag under another media type', async () => {
    const json = await get(naru.url, INFO);
    const modern = await get(naru.url, INFO, null, MODERN);
    expect(modern.text).toBe(json.text);
    expect(modern.headers.get('content-type')).toBe(`${MODERN.accept}; charset=utf-8`);
    const etag = json.headers.get('etag') ?? '';
    expect(modern.headers.get('etag')).not.toBe(etag);
    const asked = await get(naru.url, INFO, null, { ...MODERN, 'if-none-match': etag });
    expect(asked.status).toBe(200);
  });

  test('tells an allowed page of another origin how to read it, and what it varies by', async () => {
    const origin = 'https://app.example.com';
    const open = await startNaru({ settings: { ALLOWED_ORIGINS: origin } });
    try {
      for (const etag of [null, (await get(open.url, INFO)).headers.get('etag')]) {
        const asked = { origin, ...(etag && { 'if-none-match': etag }) };
        const { headers, status } = await get(open.url, INFO, null, asked);
        expect(status).toBe(etag ? 304 : 200);
        expect(headers.get('access-control-allow-origin')).toBe(origin);
        expect(headers.get('vary')?.toLowerCase()).toMatch(/accept.*origin.*cookie/);
      }
    } finally {
      await open.close();
    }
  });
});

test('a POST is answered the same, with what is said to it alone, and may be kept by nobody', async () => {
  await get(naru.url, INFO);
  const { status, headers, result } = await post(naru.url, INFO, null, { 'if-none-match': '*' });
  expect(status).toBe(200);
  expect(result.data).toEqual({ serverInfo: { version: VERSION } });
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('etag')).toBeNull();
});

test('a kept answer is the same over a socket and an event stream', async () => {
  await get(naru.url, INFO);
  const socket = await openSocket(naru.url, token.alice);
  expect((await socket.run(INFO)).data).toEqual({ serverInfo: { version: VERSION } });
  socket.ws.close();
  const stream = await openEventStream(naru.url, INFO);
  expect((await stream.next())?.data).toEqual({ serverInfo: { version: VERSION } });
  stream.leave();
});

describe('what is not declared is kept by nobody', () => {
  test.each([
    ['a field beside it', '{ serverInfo { version } viewer { username } }'],
    ['a field under its name', '{ serverInfo: viewer { username } }'],
    [
      'a field in a fragment',
      '{ serverInfo { version } ...F } fragment F on Query { viewer { id } }',
    ],
    ['introspection', '{ serverInfo { version } __type(name: "Query") { name } }'],
    ['nothing but a type name', '{ __typename }'],
    ['what failed', '{ serverInfo { version } node(id: "no id") { id } }'],
    ['what is not valid', '{ serverInfo { nothing } }'],
    ['what has no syntax', '{ serverInfo {'],
    ['a mutation', 'mutation { signOut { __typename } }'],
  ])('%s', async (_name, query) => {
    const { headers } = await get(naru.url, { query }, token.alice, { 'if-none-match': '*' });
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('etag')).toBeNull();
  });

  test('as little as is left out is what another request asks for', async () => {
    const query =
      'query ($me: Boolean!) { serverInfo { version } viewer @include(if: $me) { username } }';
    const without = await get(naru.url, { query, variables: { me: false } }, token.alice);
    expect(without.headers.get('cache-control')).toMatch(/^public/);
    expect(without.text).toBe(TEXT);
    const etag = without.headers.get('etag') ?? '';
    for (const who of ['alice', 'bob'] as const) {
      const asked = { query, variables: { me: true } };
      const { headers, result } = await get(naru.url, asked, token[who], { 'if-none-match': etag });
      expect(headers.get('cache-control')).toBe('no-store');
      expect(result.data.viewer.username).toBe(who);
    }
  });
});

test('cached data of another viewer: what one is answered is never what another gets', async () => {
  const query = '{ viewer { username } serverInfo { version } }';
  const limited = await naru.tokenFor('alice', []);
  for (let round = 0; round < 2; round += 1) {
    for (const who of ['alice', 'bob', 'admin'] as const) {
      for (const ask of [get, post]) {
        const { result } = await ask(naru.url, { query }, token[who]);
        expect(result.data.viewer.username).toBe(who);
      }
    }
    expect((await get(naru.url, { query })).result.data.viewer).toBeNull();
    const { result } = await get(naru.url, { query }, limited);
    expect(result.data.viewer).toBeNull();
    expect(result.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
  }
});

describe('cache key by header injection', () => {
  const odd: readonly Readonly<Record<string, string>>[] = [
    { 'x-forwarded-host': 'evil.example' },
    { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9;host=evil.example' },
    { 'x-original-url': '/graphql?query={viewer{id}}', 'x-rewrite-url': '/health' },
    { 'x-http-method-override': 'POST', 'x-method-override': 'DELETE' },
    { 'x-cache-key': 'bob', 'x-user-id': 'bob', 'x-naru-csrf': '1' },
    { 'cache-control': 'no-cache', pragma: 'no-cache' },
    { 'accept-language': 'xx"><script>', 'accept-encoding': 'evil', 'user-agent': 'evil.example' },
    { range: 'bytes=0-3', 'if-range': '"x"', 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' },
    { cookie: 'evil.example=1; __Host-naruu=2' },
    { 'content-type': 'text/html', 'x-content-type': 'text/html' },
  ];

  test.each(odd.map((headers) => [Object.keys(headers).join(', '), headers] as const))(
    'changes nothing, neither now nor for who comes next: %s',
    async (_names, headers) => {
      // A document of its own, so that the odd request is the first to ask.
      const query = `query A${Object.keys(headers).join('').replace(/\W/g, '')} { serverInfo { version } }`;
      const plain = await get(naru.url, INFO);
      for (const given of [headers, {}]) {
        const { status, text, headers: answered } = await get(naru.url, { query }, null, given);
        expect(status).toBe(200);
        expect(text).toBe(TEXT);
        expect(answered.get('etag')).toBe(plain.headers.get('etag'));
        expect(answered.get('content-type')).toBe(plain.headers.get('content-type'));
        expect(JSON.stringify([...answered])).not.toContain('evil');
      }
    },
  );

  test('whatever the case of a credential, who asks is who it says', async () => {
    const query = '{ viewer { username } }';
    for (const name of ['authorization', 'Authorization', 'AUTHORIZATION']) {
      for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
        for (const who of ['alice', 'bob'] as const) {
          const given = { [name]: `${scheme} ${token[who]}` };
          const { result } = await get(naru.url, { query }, null, given);
          expect(result.data.viewer.username).toBe(who);
        }
      }
    }
  });

  test('a parameter that is given twice is not kept, and changes nothing for who comes next', async () => {
    const twice = new URLSearchParams([
      ['query', INFO.query],
      ['query', '{ viewer { username } }'],
    ]);
    const answer = await fetch(`${naru.url}/graphql?${twice}`, {
      headers: { accept: 'application/json', ...bearer(token.alice) },
    });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('etag')).toBeNull();
    expect((await get(naru.url, INFO)).text).toBe(TEXT);
  });
});

describe('a kept answer is handed out only after all that refuses was asked', () => {
  test('a revoked token gets 401, not the kept answer and not 304', async () => {
    const { accessToken, sessionId } = await tokensOf(naru.url, { login: 'bob' });
    const first = await get(naru.url, INFO, accessToken);
    const etag = first.headers.get('etag') ?? '';
    expect(first.status).toBe(200);
    expect(await run(naru.url, 'revokeSession', { id: sessionId }, accessToken)).toBe(
      'SessionRevoked',
    );
    for (const headers of [{}, { 'if-none-match': etag }]) {
      const { status, headers: answered, result } = await get(naru.url, INFO, accessToken, headers);
      expect(status).toBe(401);
      expect(answered.get('cache-control')).toBe('no-store');
      expect(answered.get('etag')).toBeNull();
      expect(result.data).toBeUndefined();
    }
  });

  test('the cookie of an ended session is a guest', async () => {
    const query = '{ serverInfo { version } viewer { username } }';
    const cookie = await cookieOf(naru.url, { login: 'bob' });
    const page = pageHeaders(cookie);
    expect((await get(naru.url, { query }, null, page)).result.data.viewer.username).toBe('bob');
    const { result } = await post(naru.url, { query: SIGN_OUT }, null, page);
    expect(result.errors).toBeUndefined();
    expect((await get(naru.url, { query }, null, page)).result.data.viewer).toBeNull();
  });

  test('the cookie that somebody else’s page sends along gets 403, not the kept answer', async () => {
    const cookie = await cookieOf(naru.url, { login: 'bob' });
    await get(naru.url, INFO, null, pageHeaders(cookie));
    const foreign = { cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    const { status, headers } = await get(naru.url, INFO, null, foreign);
    expect(status).toBe(403);
    expect(headers.get('cache-control')).toBe('no-store');
  });

  test('who has used up a budget gets no kept answer', async () => {
    const poor = await startNaru({ settings: { GUEST_COST_PER_MINUTE: '8' } });
    try {
      const answers = [];
      for (let n = 0; n < 10; n += 1) answers.push(await get(poor.url, INFO));
      const refused = answers.filter(({ text }) => text !== TEXT);
      expect(answers[0]?.text).toBe(TEXT);
      expect(refused.length).toBeGreaterThan(4);
      for (const { headers, result } of refused) {
        expect(result.errors?.[0]?.extensions.code).toBe('RATE_LIMITED');
        expect(headers.get('cache-control')).toBe('no-store');
        expect(headers.get('etag')).toBeNull();
      }
    } finally {
      await poor.close();
    }
  });
});

describe('what is declared public', () => {
  const schema = createSchema();
  const fields = [...readCacheControls(schema)]
    .filter(([, { scope }]) => scope === 'PUBLIC')
    .map(([name]) => name);

  test.each(fields)('%s reaches nothing that has a rule of access', (name) => {
    const root = schema.getQueryType()?.getFields()[name];
    const guarded: string[] = [];
    const seen = new Set<string>();
    const look = (type: GraphQLOutputType) => {
      const named = getNamedType(type);
      if (seen.has(named.name)) return;
      seen.add(named.name);
      if (isUnionType(named) || isInterfaceType(named))
        schema.getPossibleTypes(named).forEach(look);
      if (!isObjectType(named)) return;
      if (hasRule(named)) guarded.push(named.name);
      for (const field of Object.values(named.getFields())) {
        if (hasRule(field)) guarded.push(`${named.name}.${field.name}`);
        look(field.type);
      }
    };
    if (root === undefined) throw new Error(`There is no field ${name}`);
    expect(hasRule(root)).toBe(false);
    look(root.type);
    expect(guarded).toEqual([]);
  });

  test.each(fields)('%s answers guests, accounts and admins with the same bytes', async (name) => {
    const root = schema.getQueryType()?.getFields()[name];
    const type = getNamedType(root?.type);
    const query = `{ ${name} ${isObjectType(type) ? leavesOf(type) : ''} }`;
    const texts: string[] = [];
    // Each by a document of its own, so that each runs.
    for (const who of [null, token.alice, token.bob, token.admin]) {
      const { status, text } = await get(naru.url, { query: `${query} # ${texts.length}` }, who);
      expect(status).toBe(200);
      texts.push(text);
    }
    expect(new Set(texts).size).toBe(1);
  });

  test('there is something', () => expect(fields).toContain('serverInfo'));
});

function hasRule({ extensions }: { readonly extensions: Readonly<Record<string, unknown>> }) {
  const options = extensions['pothosOptions'] as { authScopes?: unknown } | undefined;
  return options?.authScopes !== undefined;
}

/** All scalars and enums of a type, those of what it holds included. */
function leavesOf(type: GraphQLObjectType, depth = 0): string {
  const parts = Object.values(type.getFields()).flatMap((field) => {
    if (field.args.some((arg) => isNonNullType(arg.type) && arg.defaultValue === undefined))
      return [];
    const named = getNamedType(field.type);
    if (!isObjectType(named))
      return isUnionType(named) || isInterfaceType(named) ? [] : [field.name];
    return depth < 4 ? [`${field.name} ${leavesOf(named, depth + 1)}`] : [];
  });
  return `{ __typename ${parts.join(' ')} }`;
}
