// Documents that are known beforehand, by manifest or by hash, and who may read the schema: the same over
// every way there is to send an operation.
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { VERSION } from '#lib/version.ts';
import { createDocuments } from '#server/documents.ts';
import { type Asking, TRANSPORTS } from '../support/asking.ts';
import { openSocket, post, type Result } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { testFolder } from '../support/servers.ts';
import { tokensOf } from '../support/sessions.ts';

const VIEWER = 'query Viewer { viewer { username } }';
const VERSIONS = 'query Version { serverInfo { version } } query Again { serverInfo { version } }';
const READS_SCHEMA = 'query ReadsSchema { __schema { queryType { name } } }';
const LIVE = 'subscription Live { webhookMessageReceived { __typename } }';
const MODERN = { accept: 'application/graphql-response+json' };

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const persisted = (text: string) => ({
  extensions: { persistedQuery: { version: 1, sha256Hash: sha256(text) } },
});
const codesOf = ({ errors = [] }: Result) => errors.map(({ extensions }) => extensions.code);

const MANIFEST = {
  [`sha256:${sha256(VIEWER)}`]: VIEWER,
  versions: VERSIONS,
  live: LIVE,
  'reads-schema': READS_SCHEMA,
};

let manifestFile: string;
let naru: TestNaru;
let strict: TestNaru;
let token: string;
let strictToken: string;
/** A token of the same account that runs trusted documents and no other. */
let boundToken: string;

beforeAll(async () => {
  manifestFile = writeManifest(MANIFEST);
  const settings = { TRUSTED_DOCUMENTS: manifestFile, INTROSPECTION: 'off' };
  naru = await startNaru({ settings });
  strict = await startNaru({ settings: { ...settings, DOCUMENTS: 'trusted-only' } });
  token = await naru.tokenFor('alice', ['viewer:read', 'tokens:write', 'webhooks:read']);
  strictToken = await strict.tokenFor('alice');
  boundToken = await createToken({ trustedDocumentsOnly: true });
});
afterAll(async () => {
  await naru?.close();
  await strict?.close();
});

function writeManifest(manifest: unknown): string {
  const folder = testFolder();
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'documents.json');
  writeFileSync(file, typeof manifest === 'string' ? manifest : JSON.stringify(manifest));
  return file;
}

async function createToken(input: object, by = token): Promise<string> {
  const { result } = await post(
    naru.url,
    {
      query: `mutation ($input: CreatePersonalAccessTokenInput!) {
        createPersonalAccessToken(input: $input) {
          ... on PersonalAccessTokenCreated { token personalAccessToken { trustedDocumentsOnly } }
        }
      }`,
      variables: { input: { name: 'script', scopes: ['viewer:read', 'tokens:write'], ...input } },
    },
    by,
  );
  const created = result.data.createPersonalAccessToken;
  expect(created.personalAccessToken).toEqual({
    trustedDocumentsOnly: 'trustedDocumentsOnly' in input,
  });
  return created.token;
}

describe.each(Object.entries(TRANSPORTS))('over %s', (_transport, send) => {
  test.each<[string, Asking]>([
    ['its hash', { documentId: `sha256:${sha256(VIEWER)}` }],
    ['the hash that Apollo’s clients send', persisted(VIEWER)],
    ['its text', { query: VIEWER }],
    ['its text and hash', { query: VIEWER, ...persisted(VIEWER) }],
  ])('a trusted document runs by %s', async (_by, asking) => {
    const viewer = { data: { viewer: { username: 'alice' } } };
    expect(await send(naru.url, asking, token)).toMatchObject(viewer);
    expect(await send(naru.url, asking, boundToken)).toMatchObject(viewer);
  });

  test('one of several operations of a trusted document runs by name', async () => {
    const asking = { documentId: 'versions', operationName: 'Again' };
    expect(await send(strict.url, asking, strictToken)).toMatchObject({
      data: { serverInfo: { version: VERSION } },
    });
  });

  test('what a client registers by hash runs by it alone, and nobody else can change what it means', async () => {
    const query = `query Mine_${randomUUID().replaceAll('-', '')} { viewer { username } }`;
    const unknown = await send(naru.url, persisted(query), token);
    expect(unknown.errors).toMatchObject([
      { message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } },
    ]);
    expect(await send(naru.url, { query, ...persisted(query) }, token)).toHaveProperty('data');
    const bob = await naru.tokenFor('bob', ['viewer:read']);
    const poison = await send(
      naru.url,
      { query: '{ serverInfo { version } }', ...persisted(query) },
      bob,
    );
    expect(codesOf(poison)).toEqual(['INVALID_INPUT']);
    for (const asking of [persisted(query), { documentId: `sha256:${sha256(query)}` }]) {
      expect(await send(naru.url, asking, bob)).toMatchObject({
        data: { viewer: { username: 'bob' } },
      });
    }
  });

  test('a document that is not valid is not remembered', async () => {
    const query = '{ nothing }';
    const asking = { query, ...persisted(query) };
    expect(codesOf(await send(naru.url, asking, token))).toEqual(['GRAPHQL_VALIDATION_FAILED']);
    expect(codesOf(await send(naru.url, persisted(query), token))).toEqual([
      'PERSISTED_QUERY_NOT_FOUND',
    ]);
  });

  test.each<[string, Asking]>([
    ['a text', { query: '{ serverInfo { version } }' }],
    ['a text that differs by a space', { query: `${VIEWER} ` }],
    ['a text with its hash', { query: '{ __typename }', ...persisted('{ __typename }') }],
    ['a hash', persisted('{ __typename }')],
    ['an id', { documentId: 'nobody-knows-it' }],
    ['an id that every object has', { documentId: '__proto__' }],
    ['introspection', { query: '{ __schema { queryType { name } } }' }],
    ['no GraphQL at all', { query: '{' }],
  ])(
    '%s that is not in the manifest is refused where only trusted documents run',
    async (_what, asking) => {
      expect(codesOf(await send(strict.url, asking, strictToken))).toEqual([
        'DOCUMENT_NOT_TRUSTED',
      ]);
      expect(codesOf(await send(naru.url, asking, boundToken))).toEqual(['DOCUMENT_NOT_TRUSTED']);
    },
  );

  test.each<[string, Asking]>([
    ['a text and an id', { query: VIEWER, documentId: 'versions' }],
    ['an id and a hash', { documentId: 'versions', ...persisted(VIEWER) }],
    ['a text with the hash of another', { query: VERSIONS, ...persisted(VIEWER) }],
    ['a hash that is none', { extensions: { persistedQuery: { version: 1, sha256Hash: 'x' } } }],
    [
      'another version',
      { extensions: { persistedQuery: { version: 2, sha256Hash: '0'.repeat(64) } } },
    ],
    ['a hash that is a list', { extensions: { persistedQuery: [] } }],
    ['no document at all', { extensions: {} }],
    ['an operation that the document has not', { documentId: 'versions', operationName: 'Viewer' }],
    ['no choice among several operations', { documentId: 'versions' }],
  ])('%s is refused by name', async (_what, asking) => {
    expect(await send(naru.url, asking, token)).not.toHaveProperty('data');
    const [code] = codesOf(await send(naru.url, asking, token));
    // An empty text over a socket is a text.
    expect(['INVALID_INPUT', 'GRAPHQL_PARSE_FAILED']).toContain(code);
  });

  test.each([
    READS_SCHEMA,
    '{ a: __type(name: "Query") { name } }',
    '{ ...A } fragment A on Query { ... { b: __schema { types { name } } } }',
    'query ($no: Boolean = false) { serverInfo { version } __schema @include(if: $no) { types { name } } }',
  ])('the schema is not read where introspection is off: %s', async (query) => {
    const answer = await send(naru.url, { query }, token);
    expect(answer).not.toHaveProperty('data');
    expect(codesOf(answer)).toEqual(['INTROSPECTION_OFF']);
  });

  test('a token with the scope, and a signed-in operator, read the schema; others with a session do not', async () => {
    const names = { data: { __schema: { queryType: { name: 'Query' } } } };
    const reader = await naru.tokenFor('alice', ['schema:read']);
    expect(await send(naru.url, { query: READS_SCHEMA }, reader)).toMatchObject(names);
    const operators = await naru.tokenFor('oscar', ['viewer:read']);
    expect(codesOf(await send(naru.url, { query: READS_SCHEMA }, operators))).toEqual([
      'INTROSPECTION_OFF',
    ]);
    const { accessToken: operator } = await tokensOf(naru.url, { login: 'oscar' });
    expect(await send(naru.url, { query: READS_SCHEMA }, operator)).toMatchObject(names);
    const { accessToken: alice } = await tokensOf(naru.url);
    expect(codesOf(await send(naru.url, { query: READS_SCHEMA }, alice))).toEqual([
      'INTROSPECTION_OFF',
    ]);
  });

  test.each<[string, Asking]>([
    ['a field', { query: '{ serverInf { version } }' }],
    ['an argument', { query: '{ node(idd: 1) { id } }' }],
    ['a type', { query: '{ ... on Quer { __typename } }' }],
    ['a value', { query: '{ webhookMessages { nodes { rawBody(encoding: UTF9) } } }' }],
    [
      'a field of an input',
      { query: '{ webhookMessages(filter: { branche: "x" }) { nodes { id } } }' },
    ],
    [
      'a value of a variable',
      {
        query: 'query ($e: BodyEncoding) { webhookMessages { nodes { rawBody(encoding: $e) } } }',
        variables: { e: 'UTF9' },
      },
    ],
    [
      'a field of a variable',
      {
        query: 'query ($f: WebhookMessageFilter) { webhookMessages(filter: $f) { nodes { id } } }',
        variables: { f: { branche: 'x' } },
      },
    ],
  ])(
    'a wrong name of %s is not put right, except for who may read the schema',
    async (_what, asking) => {
      const reader = await naru.tokenFor('alice', ['schema:read', 'webhooks:read']);
      // In turns: what is remembered with the document is for both.
      for (let n = 0; n < 2; n++) {
        const cut = JSON.stringify((await send(naru.url, asking, token)).errors);
        expect(cut).toMatch(/"message":"[^"]+/);
        expect(cut).not.toContain('Did you mean');
        const whole = JSON.stringify((await send(naru.url, asking, reader)).errors);
        expect(whole).toContain('Did you mean');
      }
    },
  );
});

test('guests neither read the schema nor run more than others', async () => {
  const introspected = await post(naru.url, { query: READS_SCHEMA });
  expect(codesOf(introspected.result)).toEqual(['INTROSPECTION_OFF']);
  const untrusted = await post(strict.url, { query: '{ __typename }' });
  expect(codesOf(untrusted.result)).toEqual(['DOCUMENT_NOT_TRUSTED']);
});

test('a text that is no Unicode is not kept: it hashes like another that is', async () => {
  const victims = '{ serverInfo { version } } # \ufffd';
  const attackers = '{ viewer { username } } # \ufffd'.replace('\ufffd', '\ud800');
  for (const query of [attackers, victims.replace('\ufffd', '\udfff')]) {
    const { result } = await post(naru.url, { query, ...persisted(query) }, token);
    expect(codesOf(result)).toEqual(['INVALID_INPUT']);
  }
  const { result } = await post(naru.url, persisted(victims), token);
  expect(codesOf(result)).toEqual(['PERSISTED_QUERY_NOT_FOUND']);
});

test('what is refused for trust or for the schema is 403 where the media type has a status', async () => {
  const bound = await post(naru.url, { query: '{ __typename }' }, boundToken, MODERN);
  expect(bound).toMatchObject({ status: 403 });
  const introspected = await post(naru.url, { query: READS_SCHEMA }, token, MODERN);
  expect(introspected).toMatchObject({ status: 403 });
  const response = await fetch(`${naru.url}/graphql?documentId=reads-schema`, { headers: MODERN });
  expect(response.status).toBe(403);
  const legacy = await post(naru.url, { query: '{ __typename }' }, boundToken);
  expect(legacy).toMatchObject({ status: 200 });
  const unknown = await post(naru.url, { documentId: 'unknown' }, token, MODERN);
  expect(unknown).toMatchObject({ status: 400 });
});

test.each([
  `query=${encodeURIComponent(VIEWER)}&query=${encodeURIComponent('{ __typename }')}`,
  `query=${encodeURIComponent('{ __typename }')}&documentId=a&documentId=b`,
  `query=${encodeURIComponent('{ __typename }')}&operationName=a&operationName=b`,
  `query=${encodeURIComponent('{ __typename }')}&extensions={}&extensions={}`,
  `query=${encodeURIComponent('{ __typename }')}&extensions=[]`,
  `query=${encodeURIComponent('{ __typename }')}&documentId[]=a`,
])('what one reader of a URL takes and another does not runs nothing: %s', async (search) => {
  for (const accept of ['application/json', 'application/graphql-response+json', '*/*']) {
    const headers = { accept, authorization: `Bearer ${strictToken}` };
    const response = await fetch(`${strict.url}/graphql?${search}`, { headers });
    const result = (await response.json()) as Result;
    expect(result).not.toHaveProperty('data');
    expect(['INVALID_INPUT', 'DOCUMENT_NOT_TRUSTED']).toEqual(
      expect.arrayContaining(codesOf(result)),
    );
  }
});

test.each([
  { query: '{ __typename }', documentId: 7 },
  { query: '{ __typename }', operationName: false },
  { query: '{ __typename }', extensions: 'x' },
  [{ query: '{ __typename }' }],
])('nor does what is no set of parameters: %j', async (body) => {
  const { result } = await post(strict.url, body, strictToken);
  expect(result).not.toHaveProperty('data');
  expect(codesOf(result)).toEqual(['INVALID_INPUT']);
});

test('a trusted mutation is not run by GET', async () => {
  const text = 'mutation End { signOut { __typename } }';
  const other = await startNaru({ settings: { TRUSTED_DOCUMENTS: writeManifest({ end: text }) } });
  for (const accept of ['application/json', 'text/event-stream']) {
    const response = await fetch(`${other.url}/graphql?documentId=end`, { headers: { accept } });
    expect(response.status).toBe(405);
  }
  await other.close();
});

test('a token that is held to trusted documents makes only such', async () => {
  const mutation = `mutation Heir($input: CreatePersonalAccessTokenInput!) {
    createPersonalAccessToken(input: $input) {
      ... on PersonalAccessTokenCreated { personalAccessToken { trustedDocumentsOnly } }
    }
  }`;
  const other = await startNaru({
    settings: { TRUSTED_DOCUMENTS: writeManifest({ heir: mutation }) },
  });
  const bound = await other.tokenFor('alice');
  await other.app.database.query('UPDATE personal_access_token SET trusted_documents_only = true');
  for (const more of [{}, { trustedDocumentsOnly: false }, { trustedDocumentsOnly: null }]) {
    const input = { name: 'heir', scopes: ['viewer:read'], ...more };
    const asking = { documentId: 'heir', variables: { input } };
    expect((await post(other.url, asking, bound)).result.data).toEqual({
      createPersonalAccessToken: { personalAccessToken: { trustedDocumentsOnly: true } },
    });
  }
  await other.close();
});

test('a trusted subscription runs over a socket with a stock client, and no other does', async () => {
  const client = createClient({
    url: `${naru.url.replace(/^http/, 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: {
      authorization: `Bearer ${await createToken({ trustedDocumentsOnly: true, scopes: ['webhooks:read'] })}`,
    },
  });
  const live = client.iterate({ query: '', extensions: persisted(LIVE).extensions });
  expect(await live.next()).toMatchObject({
    value: { data: { webhookMessageReceived: { __typename: 'StreamCheckpoint' } } },
  });
  await live.return?.();
  const other = client.iterate({ query: 'subscription { webhookMessageReceived { __typename } }' });
  await expect(other.next()).rejects.toMatchObject([
    { extensions: { code: 'DOCUMENT_NOT_TRUSTED' } },
  ]);
  await client.dispose();
});

test('a socket that sends no query is closed as the protocol says', async () => {
  const socket = await openSocket(naru.url, token);
  socket.send({ id: '1', type: 'subscribe', payload: { documentId: 'versions' } });
  expect(await socket.closed).toMatchObject({ code: 4400 });
});

describe('the manifest', () => {
  const read = (manifest: unknown) =>
    createDocuments(naru.server.engine, {
      ...naru.app.config,
      trustedDocuments: writeManifest(manifest),
    });

  test('may be the list that Apollo’s tools write', async () => {
    const documents = await read({
      format: 'apollo-persisted-query-manifest',
      version: 1,
      operations: [{ id: sha256(VIEWER), name: 'Viewer', type: 'query', body: VIEWER }],
    });
    const byId = { document: expect.anything(), kind: 'query', trustedName: 'Viewer' };
    expect(documents.resolve({ documentId: 'Viewer' }, null)).toEqual(byId);
    expect(documents.resolve({ documentId: sha256(VIEWER) }, null)).toEqual(byId);
    expect(documents.resolve(persisted(VIEWER), null)).toEqual(byId);
  });

  test('closes the list of names: an operation called like one of them is not one of them', async () => {
    const documents = await read(MANIFEST);
    expect([...documents.operationNames].toSorted()).toEqual([
      'Again',
      'Live',
      'ReadsSchema',
      'Version',
      'Viewer',
    ]);
    const named = documents.resolve({ documentId: 'versions', operationName: 'Again' }, null);
    expect(named).toMatchObject({ trustedName: 'Again' });
    const forged = documents.resolve({ query: 'query Viewer { __typename }' }, null);
    expect(forged).toMatchObject({ kind: 'query', trustedName: null });
  });

  test.each<[string, unknown, RegExp]>([
    ['no JSON', '{', /documents\.json\n {2}.*JSON/],
    ['a list', [VIEWER], /neither/],
    ['a text that is a number', { a: 7 }, /neither/],
    ['an operation without a text', { operations: [{ id: 'a' }] }, /neither/],
    ['no GraphQL', { a: '{' }, /\n {2}a: Syntax Error/],
    ['what does not fit the schema', { a: VIEWER, b: '{ nothing }' }, /\n {2}b: Cannot query/],
    ['what passes a limit', { a: `{ ${'__typename '.repeat(51)} }` }, /\n {2}a: .*50 times/],
    ['another text’s hash', { [`sha256:${sha256(VERSIONS)}`]: VIEWER }, /not the SHA-256/],
    ['another text’s bare hash', { [sha256(VERSIONS)]: VIEWER }, /not the SHA-256/],
    ['half a hash', { 'sha256:abc': VIEWER }, /sha256:abc: .*not the SHA-256/],
    [
      'one name of two documents',
      {
        operations: [
          { id: '1', name: 'A', body: VIEWER },
          { id: '2', name: 'A', body: LIVE },
        ],
      },
      /\n {2}2: it is there twice/,
    ],
  ])('with %s stops the start, by file and id', async (_what, manifest, fault) => {
    await expect(read(manifest)).rejects.toThrow(fault);
  });

  test('that is absent stops the start', async () => {
    const config = { ...naru.app.config, trustedDocuments: '/nowhere/documents.json' };
    await expect(createDocuments(naru.server.engine, config)).rejects.toThrow(
      /\/nowhere\/documents\.json/,
    );
  });
});
