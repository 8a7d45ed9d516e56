// The rules of keeping answers, on a small schema: the public one declares too little to try them all.
import { randomUUID } from 'node:crypto';
import { buildSchema, type ExecutionResult, execute, getOperationAST, parse } from 'graphql';
import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Scope } from '#auth/scopes.ts';
import type { Role, Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { migrate } from '#database/migrate.ts';
import { RateLimitedError } from '#lib/errors.ts';
import type { Bus } from '#pubsub/bus.ts';
import type { BusLog } from '#pubsub/log.ts';
import { createPostgresBus } from '#pubsub/postgres.ts';
import { defineTopic } from '#pubsub/topic.ts';
import { createTestDatabase } from '../../tests/support/database.ts';
import { until } from '../../tests/support/graphql-client.ts';
import { startTestPostgres } from '../../tests/support/servers.ts';
import { createResponseCache, type ResponseCache } from './response-cache.ts';
import { rootFieldsOf } from './root-fields.ts';

const news = defineTopic({
  name: 'boards.changed',
  payload: z.object({}),
  retainMs: 3_600_000,
  retainBytesMax: 2 ** 20,
});

const SDL = `
  enum CacheScope { PUBLIC PRIVATE }
  directive @cacheControl(
    maxAge: Int!, scope: CacheScope! = PUBLIC, invalidatedBy: [String!]
  ) on FIELD_DEFINITION
  scalar Anything
  input Where { from: Int to: Int }
  type Query {
    weather(where: Where, word: String, any: Anything): String @cacheControl(maxAge: 60)
    season: String @cacheControl(maxAge: 3600)
    fault: String @cacheControl(maxAge: 60)
    diary: String @cacheControl(maxAge: 30, scope: PRIVATE)
    board: String @cacheControl(maxAge: 600, invalidatedBy: ["boards.changed"])
    undeclared: String
  }
  type Mutation { weather: String }
  schema { query: Query mutation: Mutation }
`;
const schema = buildSchema(SDL);

const noBus: Pick<Bus, 'tail' | 'check'> = {
  tail: () => Promise.reject(new Error('Nothing is declared that needs a bus')),
  check: () => Promise.reject(new Error('Nothing is declared that needs a bus')),
};
const silent: BusLog = { debug() {}, info() {}, warn() {}, error() {} };

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface CacheGiven {
  readonly bus?: Pick<Bus, 'tail' | 'check'>;
  readonly bytesMax?: number;
  readonly now?: () => number;
  readonly checkMs?: number;
}

function openCache({ bus = noBus, ...given }: CacheGiven = {}): ResponseCache {
  const cache = createResponseCache({ schema, bus, topics: [news], onError() {}, ...given });
  closers.push(() => cache.close());
  return cache;
}

interface Asked {
  readonly query: string;
  readonly operationName?: string;
  readonly variables?: Record<string, unknown>;
  readonly viewer?: Viewer | null;
  readonly refusals?: ReadonlyMap<string, RateLimitedError>;
  /** What the fields answer, by their names. */
  readonly world?: Record<string, () => unknown>;
}

/** As the engine does it, up to where it would run. */
function open(cache: ResponseCache, asked: Asked) {
  const { query, operationName, variables = {}, viewer = null, refusals } = asked;
  const document = parse(query);
  const operation = getOperationAST(document, operationName);
  if (!operation) throw new Error('There is no such operation');
  const context = { viewer, origin: { notes: { refusals } } } as unknown as Context;
  const slot = cache.slotFor({
    document,
    kind: operation.operation,
    operationName,
    variables,
    context,
  });
  const isFound = slot?.find(rootFieldsOf(document, operation, variables)) ?? false;
  const run = (): ExecutionResult =>
    execute({
      schema,
      document,
      operationName,
      variableValues: variables,
      rootValue: { weather: () => 'rain', diary: () => 'mine', ...asked.world },
    }) as ExecutionResult;
  return { slot, isFound, run };
}

/** Whether the answer was kept before; if not, it runs, and is kept where it may be. */
function ask(cache: ResponseCache, asked: Asked): 'found' | 'kept' | 'not kept' {
  const { slot, isFound, run } = open(cache, asked);
  if (isFound) return 'found';
  slot?.keep(run());
  return slot?.answer ? 'kept' : 'not kept';
}

/** Asked twice: only what is kept is found. */
function isKept(cache: ResponseCache, asked: Asked): boolean {
  ask(cache, asked);
  return ask(cache, asked) === 'found';
}

interface ViewerGiven {
  readonly userId?: string;
  readonly roles?: readonly Role[];
  readonly scopes?: readonly Scope[];
  readonly proof?: { readonly kind: string; readonly id: string };
}

function viewerOf({
  userId = 'alice',
  roles = ['USER'],
  scopes = ['viewer:read'],
  proof = { kind: 'token', id: 'first' },
}: ViewerGiven = {}): Viewer {
  return { userId, roles: new Set(roles), scopes: new Set(scopes), proof } as unknown as Viewer;
}

const WEATHER = '{ weather }';
const DIARY = '{ diary }';

describe('an operation is kept', () => {
  test('when all that it runs is declared, and handed out as it was answered', () => {
    const cache = openCache();
    expect(ask(cache, { query: WEATHER })).toBe('kept');
    const { slot } = open(cache, { query: WEATHER, world: { weather: () => 'sun' } });
    expect(slot?.answer).toMatchObject({ text: '{"data":{"weather":"rain"}}', scope: 'PUBLIC' });
  });

  test('by no field that is not declared, however it is written', () => {
    const cache = openCache();
    for (const query of [
      '{ undeclared }',
      '{ weather undeclared }',
      '{ weather: undeclared }',
      '{ weather ... { undeclared } }',
      '{ weather ...More } fragment More on Query { undeclared }',
      '{ weather __schema { queryType { name } } }',
      '{ weather __type(name: "Query") { name } }',
      'query ($more: Boolean = true) { weather undeclared @include(if: $more) }',
      '{ __typename }',
    ]) {
      expect(isKept(cache, { query }), query).toBe(false);
    }
    expect(isKept(cache, { query: '{ weather __typename }' })).toBe(true);
  });

  test('for the shortest time and with the narrowest scope of its fields', () => {
    let nowMs = 0;
    const cache = openCache({ now: () => nowMs });
    const query = '{ season weather diary }';
    ask(cache, { query, viewer: viewerOf() });
    const { slot } = open(cache, { query, viewer: viewerOf() });
    expect(slot?.answer).toMatchObject({ scope: 'PRIVATE', secondsLeft: 30 });
    nowMs = 29_999;
    expect(open(cache, { query, viewer: viewerOf() }).slot?.answer?.secondsLeft).toBe(0);
    nowMs = 30_000;
    expect(open(cache, { query, viewer: viewerOf() }).isFound).toBe(false);
  });

  test('for no longer than since it was asked for, however long it took', () => {
    let nowMs = 0;
    const cache = openCache({ now: () => nowMs });
    const { slot, run } = open(cache, { query: WEATHER });
    nowMs = 50_000;
    slot?.keep(run());
    expect(slot?.answer?.secondsLeft).toBe(10);
    nowMs = 60_000;
    expect(open(cache, { query: WEATHER }).isFound).toBe(false);
  });

  test('by no mutation, not even of a field whose name is declared', () => {
    expect(isKept(openCache(), { query: 'mutation { weather }' })).toBe(false);
  });

  test('by none that failed, and one that was right before stays', () => {
    const cache = openCache();
    const fail = () => {
      throw new Error('Not today');
    };
    expect(isKept(cache, { query: '{ fault }', world: { fault: fail } })).toBe(false);
    expect(isKept(cache, { query: '{ weather fault }', world: { fault: fail } })).toBe(false);
    expect(isKept(cache, { query: '{ fault }' })).toBe(true);
    expect(ask(cache, { query: '{ fault }', world: { fault: fail } })).toBe('found');
  });

  test('and not handed out where a limit refuses one of its fields', () => {
    const cache = openCache();
    ask(cache, { query: WEATHER });
    const refusals = new Map([['weather', new RateLimitedError('Too often', 1)]]);
    expect(ask(cache, { query: WEATHER, refusals })).toBe('not kept');
  });
});

describe('an answer is found', () => {
  test('by the same document, operation and variables, and by nothing else', () => {
    const cache = openCache();
    const query = `
      query A($word: String, $where: Where, $any: Anything, $no: Boolean = false) {
        weather(word: $word, where: $where, any: $any) @skip(if: $no) season @include(if: $no)
      }
      query B { weather }`;
    const asked = { query, operationName: 'A' };
    const different: readonly Asked[] = [
      asked,
      { query, operationName: 'B' },
      { query: `${query} `, operationName: 'A' },
      { ...asked, variables: { word: null } },
      { ...asked, variables: { word: 'null' } },
      { ...asked, variables: { word: '' } },
      { ...asked, variables: { no: true } },
      { ...asked, variables: { no: false } },
      { ...asked, variables: { where: { from: 1 } } },
      { ...asked, variables: { where: { to: 1 } } },
      { ...asked, variables: { where: { from: 1, to: 2 } } },
      { ...asked, variables: { where: {} } },
      { ...asked, variables: { any: [1, [2]] } },
      { ...asked, variables: { any: [1, 2] } },
      { ...asked, variables: { any: ['1', 2] } },
      { ...asked, variables: { any: 1 } },
      { ...asked, variables: { any: '1' } },
      { ...asked, variables: { any: true } },
      { ...asked, variables: { any: 'true' } },
      { ...asked, variables: { any: JSON.parse('1e999') } },
      { ...asked, variables: { any: null } },
      { ...asked, variables: { any: { 'a":1,"b': 2 } } },
      { ...asked, variables: { any: { a: 1, b: 2 } } },
      { ...asked, variables: { any: JSON.parse('{"__proto__":{"a":1}}') } },
    ];
    for (const one of different) expect(ask(cache, one), JSON.stringify(one)).toBe('kept');
    for (const one of different) expect(ask(cache, one), JSON.stringify(one)).toBe('found');
  });

  test('whatever the order in which its variables are written', () => {
    const cache = openCache();
    const query = 'query ($where: Where, $word: String) { weather(where: $where, word: $word) }';
    ask(cache, { query, variables: { where: { from: 1, to: 2 }, word: 'x' } });
    const variables = { word: 'x', where: { to: 2, from: 1 } };
    expect(ask(cache, { query, variables })).toBe('found');
  });

  test('by everybody where it is public', () => {
    const cache = openCache();
    ask(cache, { query: WEATHER, viewer: viewerOf() });
    for (const viewer of [null, viewerOf({ userId: 'bob', roles: ['ADMIN'] })]) {
      expect(ask(cache, { query: WEATHER, viewer })).toBe('found');
    }
  });
});

describe('cached data of another viewer', () => {
  test('a private answer is not found by another account, token, session, role or scope', () => {
    const cache = openCache();
    const others: readonly ViewerGiven[] = [
      {},
      { userId: 'bob' },
      { proof: { kind: 'token', id: 'second' } },
      { proof: { kind: 'session', id: 'first' } },
      { scopes: [] },
      { scopes: ['viewer:read', 'webhooks:read'] },
      { roles: [] },
      { roles: ['USER', 'ADMIN'] },
    ];
    for (const given of others) {
      const asked = { query: DIARY, viewer: viewerOf(given), world: { diary: () => given.userId } };
      expect(ask(cache, asked), JSON.stringify(given)).toBe('kept');
    }
    const roles = ['ADMIN', 'USER'] as const;
    expect(ask(cache, { query: DIARY, viewer: viewerOf({ roles }) })).toBe('found');
  });

  test('guests, who are many, have nothing private', () => {
    const cache = openCache();
    expect(isKept(cache, { query: DIARY })).toBe(false);
    expect(isKept(cache, { query: '{ weather diary }' })).toBe(false);
  });

  test('no name of an account makes it somebody else’s', () => {
    const cache = openCache();
    ask(cache, { query: DIARY, viewer: viewerOf({ userId: 'a', roles: [] }) });
    const forged = viewerOf({ userId: 'a",[' as string, roles: [] });
    expect(ask(cache, { query: DIARY, viewer: forged })).toBe('kept');
  });
});

test('what is kept is bounded by bytes: the least used goes first, and one that is too large at once', () => {
  const cache = openCache({ bytesMax: 64 * 1024 });
  const asked = (word: string): Asked => ({
    query: 'query ($word: String) { weather(word: $word) }',
    variables: { word },
    world: { weather: () => 'x'.repeat(800) },
  });
  const words = Array.from({ length: 100 }, (_, n) => `w${n}`);
  for (const word of words) {
    ask(cache, asked(word));
    ask(cache, asked('w0'));
  }
  const found = words.filter((word) => open(cache, asked(word)).isFound);
  // An answer weighs 2 bytes a character and 256 more.
  expect(found.length).toBeGreaterThan(25);
  expect(found.length).toBeLessThanOrEqual(36);
  expect(found[0]).toBe('w0');
  expect(found.slice(1)).toEqual(words.slice(-found.length + 1));
  const large = { ...asked('large'), world: { weather: () => 'x'.repeat(2_000) } };
  expect(isKept(cache, large)).toBe(false);
});

describe('a declaration is refused at start', () => {
  test.each([
    ['of a topic that is not there', '@cacheControl(maxAge: 1, invalidatedBy: ["no.topic"])'],
    ['of no time at all', '@cacheControl(maxAge: 0)'],
  ])('%s', (_name, directive) => {
    const declared = buildSchema(
      SDL.replace('undeclared: String', `undeclared: String ${directive}`),
    );
    const options = { schema: declared, bus: noBus, topics: [news], onError() {} };
    expect(() => createResponseCache(options)).toThrow(TypeError);
  });

  test('anywhere but on a field of the query', () => {
    const declared = buildSchema(
      SDL.replace(
        'Mutation { weather: String',
        'Mutation { weather: String @cacheControl(maxAge: 1)',
      ),
    );
    const options = { schema: declared, bus: noBus, topics: [news], onError() {} };
    expect(() => createResponseCache(options)).toThrow(/Mutation\.weather/);
  });
});

describe('what changes an answer ends it', () => {
  const BOARD = '{ board season }';

  async function openNode(connectionString: string) {
    const pool = new pg.Pool({ connectionString, max: 4 });
    pool.on('error', () => {});
    closers.push(() => pool.end());
    const bus = await createPostgresBus({ connectionString, pool, log: silent, topics: [news] });
    closers.push(() => bus.close());
    return { bus, cache: openCache({ bus, checkMs: 20 }) };
  }

  async function openNodes() {
    const database = await createTestDatabase();
    closers.push(() => database.drop());
    const nodes = [await openNode(database.url), await openNode(database.url)] as const;
    // Each listens from the first question on, and keeps nothing before it does.
    await untilKept(nodes[0].cache);
    await untilKept(nodes[1].cache);
    return nodes;
  }

  const untilKept = (cache: ResponseCache) => until(() => isKept(cache, { query: BOARD }));
  const untilForgotten = (cache: ResponseCache) =>
    until(() => !open(cache, { query: BOARD }).isFound);
  const announce = ({ bus }: { readonly bus: Bus }) =>
    bus.publish(news, 'board', {}, { id: randomUUID() });

  test('on every node that kept it, and nothing else', async () => {
    const nodes = await openNodes();
    for (const { cache } of nodes) ask(cache, { query: WEATHER });
    await announce(nodes[0]);
    for (const { cache } of nodes) {
      await untilForgotten(cache);
      expect(ask(cache, { query: WEATHER })).toBe('found');
      expect(isKept(cache, { query: BOARD })).toBe(true);
    }
  });

  test('an answer that was under way when the change was heard of is not kept, however late it comes', async () => {
    const [node] = await openNodes();
    const { cache } = node;
    const query = '{ board }';
    const late = open(cache, { query, world: { board: () => 'old' } });
    const result = late.run();
    await announce(node);
    await untilForgotten(cache);
    late.slot?.keep(result);
    const next = open(cache, { query, world: { board: () => 'new' } });
    expect(next.isFound).toBe(false);
    next.slot?.keep(next.run());
    late.slot?.keep(result);
    expect(open(cache, { query }).slot?.answer?.text).toBe('{"data":{"board":"new"}}');
  });

  test('nothing of it is kept while the bus is away, nor what was kept before it was', async () => {
    const server = await startTestPostgres();
    closers.push(() => server.stop());
    await migrate(server.url);
    const { bus, cache } = await openNode(server.url);
    await untilKept(cache);
    await server.kill();
    await until(() => !isKept(cache, { query: BOARD }));
    // One that could not listen so far begins when it can.
    const second = openCache({ bus, checkMs: 20 });
    expect(isKept(second, { query: BOARD })).toBe(false);
    expect(isKept(second, { query: WEATHER })).toBe(true);
    await server.restart();
    await until(() => {
      const { slot, isFound } = open(cache, { query: BOARD });
      expect(isFound).toBe(false);
      slot?.keep({ data: { board: 'after' } });
      return slot?.answer != null;
    });
    await untilKept(second);
    await announce({ bus });
    await untilForgotten(cache);
    await untilForgotten(second);
  });

  test('a closed cache listens no more, and keeps nothing of it', async () => {
    const [{ cache }] = await openNodes();
    await cache.close();
    expect(isKept(cache, { query: BOARD })).toBe(false);
    expect(isKept(cache, { query: WEATHER })).toBe(true);
  });
});
