import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VERSION } from '#lib/version.ts';
import {
  bearer,
  get,
  type Operation,
  openEventStream,
  post,
  until,
} from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';

let naru: TestNaru;
let token: string;

beforeAll(async () => {
  naru = await startNaru();
  token = await naru.tokenFor('alice');
});
afterAll(() => naru?.close());

const version = '{ serverInfo { version } }';
const modern = 'application/graphql-response+json';

describe('GraphQL over HTTP', () => {
  // The list is the same whatever the address, which is known only later.
  const audits = serverAudits({ url: () => `${naru.url}/graphql` });
  test.each(audits.map((audit) => [audit.name, audit] as const))('%s', async (_name, audit) => {
    const result = await audit.fn();
    const isRequired = /^(MUST|SHOULD)/.test(audit.name);
    if (isRequired) expect(result).toMatchObject({ status: 'ok' });
    else expect(['ok', 'notice', 'warn']).toContain(result.status);
  });

  test('a mutation by GET is refused with 405', async () => {
    const query = 'mutation { revokePersonalAccessToken(input: { id: "x" }) { __typename } }';
    const answer = await get(naru.url, { query }, token);
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('POST');
    expect(answer.result.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT' } }]);
  });

  test('introspection works, over the fast path and the other', async () => {
    const query = '{ __schema { queryType { name } directives { name } } }';
    const posted = await post(naru.url, { query });
    expect(posted.result.data.__schema.queryType.name).toBe('Query');
    expect((await get(naru.url, { query })).result).toEqual(posted.result);
  });

  test('a request id that is sent is the one answered and one that is unfit is replaced', async () => {
    const sent = await post(naru.url, { query: version }, null, { 'x-request-id': 'trace-1.a' });
    expect(sent.headers.get('x-request-id')).toBe('trace-1.a');
    const unfit = await post(naru.url, { query: version }, null, { 'x-request-id': 'a b "c"' });
    expect(unfit.headers.get('x-request-id')).toMatch(/^[\w.-]{8,64}$/);
  });

  test('a HEAD, a PUT and an OPTIONS of the path are answered without a fault', async () => {
    for (const method of ['HEAD', 'PUT', 'OPTIONS']) {
      const answer = await fetch(`${naru.url}/graphql`, { method });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
    }
  });
});

const nested = (count: number) => `${'{viewer'.repeat(count)}${'}'.repeat(count)}`;

interface Garbage {
  readonly name: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number;
  readonly code: string;
}

const GARBAGE: readonly Garbage[] = [
  { name: 'no JSON', body: '{ nonsense', status: 400, code: 'INVALID_INPUT' },
  { name: 'no body', body: '', status: 400, code: 'INVALID_INPUT' },
  { name: 'a number', body: '7', status: 400, code: 'INVALID_INPUT' },
  { name: 'a null', body: 'null', status: 400, code: 'INVALID_INPUT' },
  { name: 'a text', body: '"{ serverInfo { version } }"', status: 400, code: 'INVALID_INPUT' },
  { name: 'a batch', body: [{ query: version }], status: 400, code: 'INVALID_INPUT' },
  { name: 'an empty batch', body: [], status: 400, code: 'INVALID_INPUT' },
  { name: 'no query', body: {}, status: 400, code: 'INVALID_INPUT' },
  { name: 'a query that is a number', body: { query: 7 }, status: 400, code: 'INVALID_INPUT' },
  {
    name: 'variables that are a list',
    body: { query: version, variables: [] },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'variables that are text',
    body: { query: version, variables: '{}' },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'extensions that are text',
    body: { query: version, extensions: 'x' },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'an operation name that is a number',
    body: { query: version, operationName: 7 },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'variables with the key __proto__',
    body: '{"query":"{ serverInfo { version } }","variables":{"__proto__":{"a":1}}}',
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'text/plain',
    body: JSON.stringify({ query: version }),
    headers: { 'content-type': 'text/plain' },
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    name: 'a form',
    body: `query=${encodeURIComponent(version)}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    name: 'a multipart form',
    body: `--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{"query":"${version}"}\r\n--x--\r\n`,
    headers: { 'content-type': 'multipart/form-data; boundary=x' },
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    name: 'a bare document',
    body: version,
    headers: { 'content-type': 'application/graphql' },
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  },
  {
    name: 'ten megabytes',
    body: { query: `# ${'x'.repeat(10_000_000)}` },
    status: 413,
    code: 'PAYLOAD_TOO_LARGE',
  },
  { name: 'no syntax', body: { query: '{' }, status: 400, code: 'GRAPHQL_PARSE_FAILED' },
  { name: 'an empty query', body: { query: '' }, status: 400, code: 'GRAPHQL_PARSE_FAILED' },
  {
    name: 'no operation at all',
    body: { query: 'fragment F on Query { viewer { id } }' },
    status: 400,
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  {
    name: 'a type definition',
    body: { query: 'type A { b: Int }' },
    status: 400,
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  {
    name: 'a field that is not there',
    body: { query: '{ nothing }' },
    status: 400,
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  {
    name: '@defer',
    body: { query: '{ ... @defer { serverInfo { version } } }' },
    status: 400,
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  {
    name: '@stream',
    body: { query: '{ webhookMessages { nodes @stream { id } } }' },
    status: 400,
    code: 'GRAPHQL_VALIDATION_FAILED',
  },
  {
    name: 'ten thousand braces',
    body: { query: nested(10_000) },
    status: 400,
    code: 'LIMIT_EXCEEDED',
  },
  {
    name: 'a type of ten thousand lists',
    body: { query: `query ($x: ${'['.repeat(10_000)}` },
    status: 400,
    code: 'LIMIT_EXCEEDED',
  },
  {
    name: 'ten thousand brackets',
    body: { query: `{ nodes(ids: ${'['.repeat(10_000)}` },
    status: 400,
    code: 'LIMIT_EXCEEDED',
  },
  {
    name: 'a thousand aliases',
    body: {
      query: `{ ${Array.from({ length: 1_000 }, (_, n) => `a${n}: __typename`).join(' ')} }`,
    },
    status: 400,
    code: 'LIMIT_EXCEEDED',
  },
  {
    name: 'a fragment within itself',
    body: {
      query: '{ ...A } fragment A on Query { viewer { id } ...B } fragment B on Query { ...A }',
    },
    status: 400,
    code: 'LIMIT_EXCEEDED',
  },
  {
    name: 'an operation that is not in the document',
    body: { query: `query A ${version}`, operationName: 'B' },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'an operation called __proto__',
    body: { query: `query A ${version}`, operationName: '__proto__' },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'an empty operation name',
    body: { query: `query A ${version} query B ${version}`, operationName: '' },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'several operations and no name',
    body: { query: `query A ${version} query B ${version}` },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a variable of another type',
    body: {
      query: 'query ($n: Int) { webhookMessages(first: $n) { nodes { id } } }',
      variables: { n: 'x' },
    },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a number past 32 bits',
    body: {
      query: 'query ($n: Int) { webhookMessages(first: $n) { nodes { id } } }',
      variables: { n: 2 ** 40 },
    },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a variable that is needed and absent',
    body: { query: 'query ($id: ID!) { node(id: $id) { id } }' },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a subscription for one answer',
    body: { query: 'subscription { webhookMessageReceived { __typename } }' },
    status: 406,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a malformed id',
    body: { query: '{ node(id: "no id") { id } }' },
    status: 200,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a malformed id among good ones',
    body: { query: '{ nodes(ids: ["no id"]) { id } }' },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'an id of a type that is not there',
    body: {
      query: `{ node(id: "${Buffer.from('Nothing:01912345-6789-7abc-8def-0123456789ab').toString('base64url')}") { id } }`,
    },
    status: 200,
    code: 'INVALID_INPUT',
  },
  {
    name: 'an id of a type that is no node',
    body: {
      query: `{ node(id: "${Buffer.from('ServerInfo:01912345-6789-7abc-8def-0123456789ab').toString('base64url')}") { id } }`,
    },
    status: 200,
    code: 'INVALID_INPUT',
  },
  {
    name: 'more ids than one page',
    body: {
      query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }',
      variables: {
        ids: Array(101).fill(
          Buffer.from('User:01912345-6789-7abc-8def-0123456789ab').toString('base64url'),
        ),
      },
    },
    status: 400,
    code: 'INVALID_INPUT',
  },
  ...[-1, 0, 101, 2_147_483_647].flatMap((size) =>
    ['first', 'last'].map((argument) => ({
      name: `a page of ${argument} ${size}`,
      body: { query: `{ webhookMessages(${argument}: ${size}) { nodes { id } } }` },
      status: 400,
      code: 'INVALID_INPUT',
    })),
  ),
  {
    name: 'a page from both ends',
    body: { query: '{ webhookMessages(first: 1, last: 1) { nodes { id } } }' },
    status: 200,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a related page of a negative size',
    body: { query: '{ viewer { personalAccessTokens(first: -1) { nodes { id } } } }' },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a related page that is too large',
    body: { query: '{ viewer { personalAccessTokens(last: 101) { nodes { id } } } }' },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a related page after no cursor of ours',
    body: { query: '{ viewer { personalAccessTokens(after: "🦄") { nodes { id } } } }' },
    status: 200,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a cursor that nobody gave out',
    body: { query: '{ webhookMessages(after: "\\u0000") { nodes { id } } }' },
    status: 200,
    code: 'CURSOR_INVALID',
  },
  {
    name: 'a null where a default is overridden',
    body: {
      query: 'query ($id: ID = "x") { node(id: $id) { id } }',
      variables: { id: null },
    },
    status: 200,
    code: 'INVALID_INPUT',
  },
  {
    name: 'an enum value that is none',
    body: {
      query: 'query ($e: BodyEncoding!) { webhookMessages { nodes { rawBody(encoding: $e) } } }',
      variables: { e: '__proto__' },
    },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a date that is none',
    body: {
      query: 'query ($f: WebhookMessageFilter) { webhookMessages(filter: $f) { nodes { id } } }',
      variables: { f: { receivedFrom: '+99999-13-45' } },
    },
    status: 400,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a filter with U+0000',
    body: {
      query: 'query ($f: WebhookMessageFilter) { webhookMessages(filter: $f) { nodes { id } } }',
      variables: { f: { branches: ['a\u0000b'] } },
    },
    status: 200,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a filter with half a surrogate pair',
    body: {
      query: 'query ($f: WebhookMessageFilter) { webhookMessages(filter: $f) { nodes { id } } }',
      variables: { f: { branches: ['\ud800'] } },
    },
    status: 200,
    code: 'INVALID_INPUT',
  },
  {
    name: 'a name that is exotic',
    body: { query: '{ sërvërInfo }' },
    status: 400,
    code: 'GRAPHQL_PARSE_FAILED',
  },
  {
    name: 'a bell and right-to-left marks',
    body: { query: '{ serverInfo \u0007\u202e { version } }' },
    status: 400,
    code: 'GRAPHQL_PARSE_FAILED',
  },
];

describe('what is no good GraphQL gets a typed error and never a 500', () => {
  test.each(GARBAGE)('$name → $status $code', async ({ body, headers, status, code }) => {
    // Twice more than the compiler waits for: what is compiled answers the same.
    const answers = [];
    for (let n = 0; n < 5; n++) {
      answers.push(await post(naru.url, body, token, { accept: modern, ...headers }));
    }
    for (const answer of answers) {
      expect({ status: answer.status, codes: codesOf(answer.result) }).toEqual({
        status,
        codes: [code],
      });
      expect(answer.text.replaceAll(/"requestId":"[^"]*"/g, '')).toBe(
        answers[0]?.text.replaceAll(/"requestId":"[^"]*"/g, ''),
      );
    }
  });

  function codesOf({ errors = [] }: { errors?: readonly { extensions: { code: string } }[] }) {
    return [...new Set(errors.map(({ extensions }) => extensions.code))];
  }
});

test('one document with two operations answers each with its own data, however often', async () => {
  const query = `query A { serverInfo { version } } query B { viewer { username } }`;
  for (let n = 0; n < 6; n++) {
    const a = await post(naru.url, { query, operationName: 'A' }, token);
    const b = await post(naru.url, { query, operationName: 'B' }, token);
    expect(Object.keys(a.result.data)).toEqual(['serverInfo']);
    expect(b.result.data).toEqual({ viewer: { username: 'alice' } });
  }
});

test.each([
  '{ __proto__: serverInfo { version } }',
  '{ serverInfo { __proto__: version constructor: version then: version } }',
  '{ constructor: serverInfo { toString: version toJSON: __typename } }',
  'query ($__proto__: Boolean = true) { serverInfo { version @include(if: $__proto__) } }',
  'query ($constructor: Boolean = true) { serverInfo { version @include(if: $constructor) } }',
  'query then { serverInfo { version __context: version resolvers: version } }',
])('names that mean something to JavaScript mean nothing here: %s', async (query) => {
  const texts = new Set<string>();
  for (let n = 0; n < 5; n++) texts.add((await post(naru.url, { query })).text);
  expect([...texts]).toHaveLength(1);
  expect([...texts][0]).toContain(`"${VERSION}"`);
});

test.each([
  '__MAGIC_DATE__33a9e76d_02e0_4128_8e92_3530ad3da74d(globalThis.wasRun=true)',
  '__MAGIC_NAN__57f286b9_4c20_487f_b409_79804ddcb4f8',
  "');globalThis.wasRun=true;('",
  '`${globalThis.wasRun=true}`',
])('a text in a document is never run as code: %s', async (text) => {
  const literal = JSON.stringify(text);
  const operations: Operation[] = [
    { query: `{ node(id: ${literal}) { id } }` },
    { query: `query ($id: ID! = ${literal}) { node(id: $id) { id } }` },
    { query: `{ webhookMessages(filter: { branches: [${literal}] }) { nodes { id } } }` },
    { query: '{ node(id: "\u005f' + text.slice(1).replaceAll('"', '') + '") { id } }' },
  ];
  for (const operation of operations) {
    for (let n = 0; n < 5; n++) {
      expect((await post(naru.url, operation, token)).status).toBe(200);
    }
  }
  expect(globalThis).not.toHaveProperty('wasRun');
});

test('variables and viewers of a compiled document do not reach the next caller', async () => {
  const query = 'query ($s: Boolean!) { viewer { username @include(if: $s) displayName } }';
  const bob = await naru.tokenFor('bob');
  for (let n = 0; n < 6; n++) {
    const alices = await post(naru.url, { query, variables: { s: true } }, token);
    const bobs = await post(naru.url, { query, variables: { s: false } }, bob);
    const guests = await post(naru.url, { query, variables: { s: true } });
    expect(alices.result.data.viewer).toEqual({ username: 'alice', displayName: 'Alice' });
    expect(bobs.result.data.viewer).toEqual({ displayName: 'Bob' });
    expect(guests.result.data.viewer).toBeNull();
  }
});

test('a subscription refused for its media type leaves nothing behind', async () => {
  const query = 'subscription { webhookMessageReceived { __typename } }';
  for (const accept of ['application/json', modern, 'multipart/mixed', 'image/png']) {
    expect((await post(naru.url, { query }, token, { accept })).status).toBe(406);
    expect((await get(naru.url, { query }, token, { accept })).status).toBe(406);
  }
  expect(naru.app.webhookFeed.size).toBe(0);
});

test('a subscription by GET is an event stream, and leaving it frees everything', async () => {
  const leaving = new AbortController();
  const query = 'subscription { webhookMessageReceived { __typename } }';
  const response = await fetch(`${naru.url}/graphql?query=${encodeURIComponent(query)}`, {
    headers: { accept: 'text/event-stream', ...bearer(token) },
    signal: leaving.signal,
  });
  expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
  await until(() => naru.app.webhookFeed.size === 1);
  leaving.abort();
  await until(() => naru.app.webhookFeed.size === 0);
});

test('a subscription that cannot begin is one error and the end of the stream', async () => {
  const query = 'subscription { webhookMessageReceived(after: "x") { __typename } }';
  const stream = await openEventStream(naru.url, { query }, token);
  expect(await stream.next()).toMatchObject({
    errors: [{ extensions: { code: 'CURSOR_INVALID' } }],
  });
  expect(await stream.next()).toBeNull();
});
