// Every policy over every transport: the same operation, and the same answer to it.
import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getNamedType, isUnionType } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '#lib/ids.ts';
import { rateLimitsOf } from '#schema/policy.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { openEventStream, openSocket, post, type Result } from '../support/graphql-client.ts';
import { operationOf } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';

/** As it goes out: what is not `query`, too. */
interface Sent {
  readonly query: string;
  readonly variables?: unknown;
  readonly extensions?: unknown;
}

type Carry = (operation: Sent, token: string | null) => Promise<Result>;

const TRANSPORTS: readonly [string, Carry][] = [
  ['HTTP, application/json', async (sent, token) => (await post(naru.url, sent, token)).result],
  [
    'HTTP, application/graphql-response+json',
    async (sent, token) => (await post(naru.url, sent, token, MODERN)).result,
  ],
  [
    'server-sent events',
    async (sent, token) => {
      const stream = await openEventStream(naru.url, sent, token);
      const result = await stream.next();
      stream.leave();
      return result ?? {};
    },
  ],
  [
    'graphql-ws',
    async (sent, token) => {
      const socket = await openSocket(naru.url, token);
      const result = await socket.run(sent);
      socket.ws.close();
      return result;
    },
  ],
];
const MODERN = { accept: 'application/graphql-response+json' };

const TRUSTED = 'query Whoami { viewer { username } }';
const KEPT = 'query Version { serverInfo { version } }';
const COST_PER_MINUTE = 2_000;
const PAGE = '{ webhookMessages(first: 100) { nodes { id eventName } } }';

let naru: TestNaru;
let folder: string;
let alice: string;
let bob: string;
let trustedOnly: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'naru-documents-'));
  const manifest = join(folder, 'documents.json');
  writeFileSync(manifest, JSON.stringify({ [idOf(TRUSTED)]: TRUSTED, [idOf(KEPT)]: KEPT }));
  naru = await startNaru({
    settings: {
      COST_PER_MINUTE: String(COST_PER_MINUTE),
      TRUSTED_DOCUMENTS: manifest,
      INTROSPECTION: 'off',
    },
  });
  alice = await naru.tokenFor('alice');
  bob = await naru.tokenFor('bob', ['viewer:read', 'viewer:write']);
  trustedOnly = await trustedOnlyToken();
});
afterAll(async () => {
  await naru?.close();
  await rm(folder, { recursive: true, force: true });
});

describe.each(TRANSPORTS)('over %s', (transport, carry) => {
  const codeOf = async (sent: Sent, token: string | null) => {
    const { errors } = await carry(sent, token);
    return errors?.[0]?.extensions.code;
  };

  test.each([
    ['too many tokens', { query: `{ ${'__typename '.repeat(2_001)} }` }],
    ['too many aliases', { query: `{ ${list(51, (at) => `a${at}: __typename`)} }` }],
    ['too many directives', { query: `{ __typename ${'@include(if: true) '.repeat(51)} }` }],
    ['too deep', { query: `${'{ a '.repeat(13)}${'}'.repeat(13)}` }],
    ['variables too deep', { query: '{ __typename }', variables: { x: deep(20) } }],
    [
      'too many values in variables',
      { query: '{ __typename }', variables: { x: Array(2_001).fill(0) } },
    ],
    [
      'too expensive by itself',
      {
        query: `{ ${list(3, (at) => `a${at}: users(first: 100) { edges { node { ...F } } nodes { ...F } }`)} }
          fragment F on User { id username displayName email roles createdAt updatedAt disabledAt }`,
      },
    ],
  ])('a document that is %s is not executed', async (_case, sent) => {
    expect(await codeOf(sent, bob)).toBe('LIMIT_EXCEEDED');
  });

  test('who has used up the budget is told for how long, and of what', async () => {
    await exhaust('cost', await idOfUser('alice'), COST_PER_MINUTE, 60);
    const { errors, data, extensions } = await carry({ query: PAGE }, alice);
    expect(data ?? null).toBeNull();
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED' });
    expect(errors?.[0]?.extensions['retryAfterSeconds']).toBeGreaterThan(0);
    if (extensions !== undefined) {
      expect(extensions['cost']).toMatchObject({ limit: COST_PER_MINUTE, actual: 0 });
    }
  });

  test('what was asked for and not found costs little', async () => {
    const token = await naru.tokenFor('oscar');
    const { data, extensions } = await carry({ query: PAGE }, token);
    expect(data).toEqual({ webhookMessages: { nodes: [] } });
    expect(extensions?.['cost']).toMatchObject({ requested: 301, actual: 2 });
  });

  test('a field over its limit answers so by its own declared error', async () => {
    await exhaust('updateProfile:VIEWER:60', await idOfUser('bob'), 60, 60);
    const { data, extensions } = await carry(
      operationOf('updateProfile', { displayName: 'Bob' }),
      bob,
    );
    expect(data.updateProfile).toMatchObject({
      __typename: 'RateLimitedError',
      code: 'RATE_LIMITED',
    });
    expect(extensions?.['rateLimit']).toMatchObject([{ field: 'updateProfile', limit: 60 }]);
  });

  test('one password a request, whatever its aliases', async () => {
    const input = { login: 'bob', password: SEED_PASSWORD, transport: 'TOKENS' };
    const query = `mutation ($input: SignInInput!) { ${list(5, (at) => `a${at}: signIn(input: $input) { __typename }`)} }`;
    const { data } = await carry({ query, variables: { input } }, bob);
    const outcomes = Object.values(data as Record<string, { __typename: string }>);
    expect(outcomes.map(({ __typename }) => __typename).toSorted()).toEqual([
      ...Array(4).fill('RateLimitedError'),
      'SignedIn',
    ]);
  });

  test('guests and tokens without the scope read nothing', async () => {
    // A socket is not even opened without credentials.
    if (transport === 'graphql-ws') {
      await expect(codeOf({ query: PAGE }, null)).rejects.toThrow('4403');
    } else {
      expect(await codeOf({ query: PAGE }, null)).toBe('UNAUTHENTICATED');
    }
    expect(await codeOf({ query: PAGE }, bob)).toBe('FORBIDDEN');
  });

  test('the schema is not told, nor names that are close to a wrong one', async () => {
    expect(await codeOf({ query: '{ __schema { types { name } } }' }, bob)).toBe(
      'INTROSPECTION_OFF',
    );
    const { errors } = await carry({ query: '{ viewr { id } }' }, bob);
    expect(errors?.[0]?.message).toContain('viewr');
    expect(errors?.[0]?.message).not.toMatch(/did you mean/i);
    expect(await codeOf({ query: '{ __typename }' }, bob)).toBeUndefined();
  });

  test('a token for trusted documents runs those and nothing else', async () => {
    expect(await carry({ query: TRUSTED }, trustedOnly)).toMatchObject({
      data: { viewer: { username: 'audrey' } },
    });
    expect(await carry(byHash(TRUSTED), trustedOnly)).toMatchObject({
      data: { viewer: { username: 'audrey' } },
    });
    expect(await codeOf({ query: '{ viewer { username } }' }, trustedOnly)).toBe(
      'DOCUMENT_NOT_TRUSTED',
    );
  });

  test('an unknown hash is told as such, and one of another text is refused', async () => {
    const query = `{ viewer { id username } } # ${newId()}`;
    expect(await codeOf(byHash(query), bob)).toBe('PERSISTED_QUERY_NOT_FOUND');
    const forged = { ...byHash('{ viewer { id } }'), query };
    expect(await codeOf(forged, bob)).toBe('INVALID_INPUT');
    expect(await codeOf({ ...byHash(query), query }, bob)).toBeUndefined();
    expect(await codeOf(byHash(query), bob)).toBeUndefined();
  });

  test('a call repeated with its key is done once, and with other input refused', async () => {
    const token = await naru.tokenFor('admin');
    const idempotencyKey = newId();
    const create = (name: string) =>
      carry(
        operationOf(
          'createPersonalAccessToken',
          { name, scopes: ['viewer:read'], expiresInDays: 1, idempotencyKey },
          'token personalAccessToken { id }',
        ),
        token,
      );
    const first = await create('one');
    const again = await create('one');
    expect(first.data.createPersonalAccessToken.token).toMatch(/^naru_/);
    expect(again.data.createPersonalAccessToken).toEqual({
      ...first.data.createPersonalAccessToken,
      token: null,
    });
    expect(again.extensions?.['idempotency']).toEqual({ replayed: ['createPersonalAccessToken'] });
    expect((await create('two')).data.createPersonalAccessToken.code).toBe('IDEMPOTENCY_MISMATCH');
  });
});

test.each([
  'application/graphql-response+json, text/event-stream',
  'text/event-stream, application/graphql-response+json, */*;q=0.1',
  '*/*, application/graphql-response+json',
])('who accepts %s is told by status and headers, too', async (accept) => {
  const answer = await post(naru.url, { query: '{ viewer { id } }' }, bob, { accept });
  expect(answer.headers.get('ratelimit-policy')).toBe(`"cost";q=${COST_PER_MINUTE};w=60`);
  expect(answer.headers.get('ratelimit')).toMatch(/^"cost";r=\d+;t=\d+$/);
  await exhaust('cost', await idOfUser('alice'), COST_PER_MINUTE, 60);
  const refused = await post(naru.url, { query: PAGE }, alice, { accept });
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
});

test('who has stolen a token cannot keep its owner from ending it', async () => {
  const stolen = await naru.tokenFor('admin');
  const id = await idOfUser('admin');
  await exhaust('cost', id, COST_PER_MINUTE, 60);
  await exhaust('revokePersonalAccessToken:VIEWER:60', id, 120, 60);
  expect((await post(naru.url, { query: PAGE }, stolen)).result.errors?.[0]?.extensions.code).toBe(
    'RATE_LIMITED',
  );
  const input = { login: 'admin', password: SEED_PASSWORD, transport: 'TOKENS' };
  const signedIn = await post(naru.url, operationOf('signIn', input, 'accessToken'));
  const { accessToken } = signedIn.result.data.signIn;
  const tokens = '{ viewer { personalAccessTokens(last: 1) { nodes { id } } } }';
  const { result } = await post(naru.url, { query: tokens }, accessToken);
  const [token] = result.data.viewer.personalAccessTokens.nodes;
  const ended = await post(
    naru.url,
    operationOf('revokePersonalAccessToken', { id: token.id }),
    accessToken,
  );
  expect(ended.result.data.revokePersonalAccessToken.__typename).toBe('PersonalAccessTokenRevoked');
  const late = await post(naru.url, { query: '{ viewer { id } }' }, stolen);
  expect(late.result.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
});

test('a GET of a persisted query may be kept, and is 304 for who has it', async () => {
  const { persistedQuery } = byHash(KEPT).extensions as { persistedQuery: unknown };
  const searches = [
    { documentId: idOf(KEPT) },
    { extensions: JSON.stringify({ persistedQuery }) },
    { query: '', extensions: JSON.stringify({ persistedQuery }) },
  ];
  for (const search of searches) {
    const url = `${naru.url}/graphql?${new URLSearchParams(search)}`;
    const accept = 'application/json';
    const first = await fetch(url, { headers: { accept } });
    expect(await first.json()).toMatchObject({ data: { serverInfo: {} } });
    expect(first.headers.get('cache-control')).toMatch(/^public, max-age=\d+$/);
    expect(first.headers.get('ratelimit')).toBeNull();
    const etag = first.headers.get('etag') ?? '';
    const again = await fetch(url, { headers: { accept, 'if-none-match': etag } });
    expect([again.status, await again.text()]).toEqual([304, '']);
  }
});

test('every limited mutation declares what its limit answers with, and says it in the schema', () => {
  const fields = Object.values(naru.server.engine.schema.getMutationType()?.getFields() ?? {});
  const limited = fields.filter((field) => rateLimitsOf(field).length > 0);
  expect(limited.length).toBeGreaterThan(10);
  for (const { name, type } of limited) {
    const result = getNamedType(type);
    const members = isUnionType(result) ? result.getTypes().map((member) => member.name) : [];
    expect.soft(members, name).toContain('RateLimitedError');
  }
});

function list(count: number, write: (at: number) => string): string {
  return Array.from({ length: count }, (_, at) => write(at)).join(' ');
}

function deep(levels: number): unknown {
  return levels === 0 ? 1 : [deep(levels - 1)];
}

function idOf(document: string): string {
  return `sha256:${hash('sha256', document)}`;
}

/** As clients ask that send a hash in place of the document. */
function byHash(document: string): Sent {
  const persistedQuery = { version: 1, sha256Hash: hash('sha256', document) };
  return { query: '', extensions: { persistedQuery } };
}

async function idOfUser(username: string): Promise<string> {
  const { id } = await naru.app.prisma.user.findUniqueOrThrow({ where: { username } });
  return id;
}

/** Uses up all of a budget at once: it comes back evenly, while tests run. */

async function exhaust(name: string, key: string, limit: number, windowSeconds: number) {
  const quota = { limit, windowSeconds };
  await naru.app.quotas.take([{ name, key, quota, units: limit, isDivisible: true }]);
}

/** Of audrey. */
async function trustedOnlyToken(): Promise<string> {
  const { result } = await post(
    naru.url,
    operationOf(
      'createPersonalAccessToken',
      { name: 'frontend', scopes: ['viewer:read'], expiresInDays: 1, trustedDocumentsOnly: true },
      'token',
    ),
    await naru.tokenFor('audrey'),
  );
  return result.data.createPersonalAccessToken.token;
}
