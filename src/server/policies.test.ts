// Every rule against the real engine and a real Redis; two engines are two nodes.
import { once } from 'node:events';
import SchemaBuilder from '@pothos/core';
import ComplexityPlugin from '@pothos/plugin-complexity';
import type { ExecutionResult, GraphQLError } from 'graphql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseConfig } from '#config.ts';
import type { Context } from '#context.ts';
import { ForbiddenError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { createMetrics } from '#metrics.ts';
import { createRedis, type RedisClient } from '#redis/client.ts';
import { createQuotas } from '#redis/quota.ts';
import { pageComplexity, withRateLimit } from '#schema/policy.ts';
import { RATE_LIMIT_PLUGIN } from '#schema/rate-limit.ts';
import { testRedisUrl } from '../../tests/support/servers.ts';
import { createEngine, type Engine } from './engine.ts';
import { createPolicies } from './policies.ts';

const SLOWLY = { by: 'VIEWER', limit: 5, windowSeconds: 36_000 } as const;
const BUDGET = 1_000;
const PER_MINUTE = { COST_PER_MINUTE: String(BUDGET), GUEST_COST_PER_MINUTE: '100' };

let redis: RedisClient;
let runs: string[];

beforeAll(async () => {
  const { url, keyPrefix } = testRedisUrl();
  redis = createRedis({ url, keyPrefix, onError: () => {} });
  await once(redis, 'ready');
});
afterAll(() => redis?.disconnect());

test('of 200 calls at once, over two nodes, of a field limited to 5, 5 run', async () => {
  const nodes = [startNode(), startNode()];
  const viewer = newViewer();
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, at) => ask(nodes[at % 2], 'mutation { step }', { viewer })),
  );
  expect(runs).toHaveLength(5);
  const refused = answers.flatMap(({ errors = [] }) => errors);
  expect(refused).toHaveLength(195);
  for (const { extensions } of refused) {
    expect(extensions).toMatchObject({ code: 'RATE_LIMITED' });
    expect(extensions['retryAfterSeconds']).toBeGreaterThan(1_000);
  }
});

test('each alias counts, the first ones run, and what has no limit runs beside them', async () => {
  const node = startNode();
  const aliases = Array.from({ length: 48 }, (_, at) => `a${at}: step`).join(' ');
  const { data, errors } = await ask(node, `mutation { ${aliases} free }`);
  expect(runs).toHaveLength(6);
  expect(Object.entries(data ?? {}).filter(([, value]) => value !== null)).toEqual([
    ...Array.from({ length: 5 }, (_, at) => [`a${at}`, 'ran']),
    ['free', 'ran'],
  ]);
  expect(errors).toHaveLength(43);
});

test('of 1,000 aliases none is even counted', async () => {
  const node = startNode();
  const viewer = newViewer();
  const aliases = Array.from({ length: 1_000 }, (_, at) => `a${at}: step`).join(' ');
  const answer = await ask(node, `mutation { ${aliases} }`, { viewer });
  expect(answer.errors?.[0]?.extensions).toMatchObject({ code: 'LIMIT_EXCEEDED' });
  expect(runs).toEqual([]);
  const after = await ask(node, 'mutation { step }', { viewer });
  expect(after.extensions?.['rateLimit']).toMatchObject([{ field: 'step', remaining: 4 }]);
});

test.each([
  ['a fragment', 'mutation { ...F ...F } fragment F on Mutation { a: step b: step }', {}],
  ['nested fragments', 'mutation { ... on Mutation { ... { a: step } } b: step }', {}],
  ['one name twice', 'mutation { a: step a: step b: step }', {}],
  [
    'left out',
    'mutation { a: step b: step c: step @skip(if: true) d: step @include(if: false) }',
    {},
  ],
  [
    'left out by variables',
    'mutation ($yes: Boolean!, $no: Boolean = false) { a: step b: step c: step @skip(if: $yes) d: step @include(if: $no) }',
    { yes: true },
  ],
])('what runs is what is counted: %s', async (_case, query, variables) => {
  const answer = await ask(startNode(), query, { variables });
  expect(answer.errors).toBeUndefined();
  expect(runs).toHaveLength(2);
  expect(answer.extensions?.['rateLimit']).toMatchObject([{ remaining: 4 }, { remaining: 3 }]);
});

test('a viewer is counted by account, guests by network', async () => {
  const node = startNode();
  const viewer = newViewer();
  const ran = async (who: Who) => {
    const { errors } = await ask(node, `mutation { ${'abcde'.replace(/./g, '$&: step ')} }`, who);
    return errors === undefined;
  };
  expect(await ran({ viewer, ipAddress: '192.0.2.1' })).toBe(true);
  expect(await ran({ viewer, ipAddress: '192.0.2.2' })).toBe(false);
  const network = `2001:db8:${newId().slice(0, 4)}:1::`;
  expect(await ran({ ipAddress: `${network}1` })).toBe(true);
  expect(await ran({ ipAddress: `${network}2` })).toBe(false);
  expect(await ran({ viewer: newViewer(), ipAddress: `${network}2` })).toBe(true);
});

test('a stream counts when it begins, and not for what it hands out', async () => {
  const node = startNode();
  const viewer = newViewer();
  for (let begun = 0; begun < 6; begun += 1) {
    const context = contextOf({ viewer });
    const stream = await node.subscribe({
      document: node.parse('subscription { ticks }'),
      context,
      transport: 'websocket',
    });
    if (begun === 5) {
      expect(stream).toMatchObject({ errors: [{ extensions: { code: 'RATE_LIMITED' } }] });
      continue;
    }
    if (!('next' in stream)) throw new Error(JSON.stringify(stream));
    for (let tick = 0; tick < 10; tick += 1) {
      expect((await stream.next()).value).toMatchObject({ data: { ticks: tick } });
    }
    await stream.return();
  }
});

test('what pages were asked for and not filled goes back', async () => {
  const node = startNode();
  const viewer = newViewer();
  const query = '{ items(first: 90) { name } }';
  const answer = await ask(node, query, { viewer });
  expect(answer.data).toMatchObject({ items: [{ name: 'one' }, { name: 'two' }] });
  expect(answer.extensions?.['cost']).toMatchObject({
    requested: 91,
    actual: 3,
    limit: BUDGET,
    windowSeconds: 60,
    remaining: BUDGET - 3,
  });
  const later = await ask(node, query, { viewer });
  expect(remainingOf(later)).toBeGreaterThanOrEqual(BUDGET - 6);
});

test('while they run, operations hold all that they may cost', async () => {
  const nodes = [startNode(), startNode()];
  const viewer = newViewer();
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, at) =>
      ask(nodes[at % 2], '{ items(first: 100) { name } }', { viewer }),
    ),
  );
  // 101 each: nine fit, and none of the others ran. A unit or two come back meanwhile.
  expect(runs.length).toBeGreaterThanOrEqual(9);
  expect(runs.length).toBeLessThan(40);
  const [refusal] = answers.flatMap(({ errors = [] }) => errors);
  expect(refusal?.extensions).toMatchObject({ code: 'RATE_LIMITED' });
  expect(refusal?.extensions['retryAfterSeconds']).toBeGreaterThanOrEqual(1);
  const late = answers.find(({ errors }) => errors !== undefined);
  expect(late).not.toHaveProperty('data');
  expect(late?.extensions?.['cost']).toMatchObject({ requested: 101, actual: 0 });
});

test('an operation refused for its cost uses nothing of the limits of its fields', async () => {
  const node = startNode();
  const guest = { ipAddress: `2001:db8:${newId().slice(0, 4)}:2::1` };
  expect((await ask(node, 'mutation { costly }', guest)).errors).toBeUndefined();
  const refused = await ask(node, 'mutation { step costly }', guest);
  expect(refused.errors?.[0]?.extensions['code']).toBe('RATE_LIMITED');
  expect(runs).toEqual(['costly']);
  const answer = await ask(node, 'mutation { step }', guest);
  expect(answer.extensions?.['rateLimit']).toMatchObject([{ remaining: 4 }]);
});

test('what no budget could ever pay is told so, and costs what refusing costs', async () => {
  const node = startNode();
  const guest = { ipAddress: `2001:db8:${newId().slice(0, 4)}:3::1` };
  const answer = await ask(node, '{ items(first: 100) { name } }', guest);
  expect(answer.errors?.[0]?.extensions).toMatchObject({ code: 'LIMIT_EXCEEDED', maximum: 100 });
  const after = await ask(node, 'mutation { free }', guest);
  expect(after.extensions?.['cost']).toMatchObject({ remaining: 89 });
});

test('what failed costs all that it might have, and what was not found a little', async () => {
  const node = startNode();
  const viewer = newViewer();
  const failed = await ask(node, '{ items(first: 90) { name } broken }', { viewer });
  expect(failed.data).toBeNull();
  expect(failed.extensions?.['cost']).toMatchObject({ requested: 92, actual: 92 });
  const missing = await ask(node, '{ missing(first: 90) { name } }', { viewer });
  expect(missing.data).toEqual({ missing: Array(90).fill(null) });
  expect(missing.extensions?.['cost']).toMatchObject({ requested: 95, actual: 95 });
});

test('variables count as they will be, with their defaults', async () => {
  const query = 'query ($n: Int = 90) { items(first: $n) { name } }';
  const costOf = async (variables: Record<string, unknown>) =>
    (await ask(startNode(), query, { variables })).extensions?.['cost'];
  expect(await costOf({})).toMatchObject({ requested: 91 });
  expect(await costOf({ n: 2 })).toMatchObject({ requested: 3 });
  expect(await costOf({ n: null })).toMatchObject({ requested: 21 });
  expect(await costOf({ n: 'many' })).toBeUndefined();
});

test('what is refused before it runs costs a little, until nothing more of that asker is read', async () => {
  const node = startNode();
  const ipAddress = `2001:db8:${newId().slice(0, 4)}:4::1`;
  const context = contextOf({ ipAddress });
  for (let refused = 0; refused < 10; refused += 1) await node.policies.chargeRefused(context);
  expect(() => node.policies.requireBudget(context)).not.toThrow();
  const answer = await ask(node, 'mutation { free }', {}, context);
  expect(answer.errors?.[0]?.extensions['code']).toBe('RATE_LIMITED');
  await node.policies.chargeRefused(context);
  expect(() => node.policies.requireBudget(context)).toThrow('refused');
  expect(() => node.policies.requireBudget(contextOf({}))).not.toThrow();
});

test('headers tell each policy once, and how it stands', async () => {
  const context = contextOf({ viewer: newViewer() });
  await ask(startNode(), 'mutation { a: step b: step }', {}, context);
  const { headers } = context.origin.notes;
  expect(headers['ratelimit-policy']).toBe('"step:VIEWER:36000";q=5;w=36000, "cost";q=1000;w=60');
  expect(headers['ratelimit']).toBe('"step:VIEWER:36000";r=3;t=14400, "cost";r=998;t=1');
  expect(headers['retry-after']).toBeUndefined();
});

test('without budgets only the limits of fields are asked', async () => {
  const node = startNode({ COST_PER_MINUTE: '0', GUEST_COST_PER_MINUTE: '0' });
  const query = await ask(node, '{ items(first: 100) { name } }');
  expect(query.extensions).toBeUndefined();
  const mutation = await ask(node, 'mutation { step }');
  expect(Object.keys(mutation.extensions ?? {})).toEqual(['rateLimit']);
});

test('a header that is for one mutation is refused beside two', async () => {
  const context = contextOf({ idempotencyKey: 'a-key-of-a-client' });
  const answer = await ask(startNode(), 'mutation { a: free b: free }', {}, context);
  expect(answer.errors?.[0]?.extensions).toMatchObject({
    code: 'INVALID_INPUT',
    field: 'Idempotency-Key',
  });
  expect(runs).toEqual([]);
});

test('a limited field that nobody has counted does not run', async () => {
  const node = startNode();
  const step = node.schema.getMutationType()?.getFields()['step'];
  const info = { path: { key: 'step' } };
  const call = async () => step?.resolve?.({}, {}, contextOf({}), info as never);
  await expect(call()).rejects.toThrow('Nobody has counted');
  expect(runs).toEqual([]);
});

interface Who {
  readonly viewer?: string;
  readonly ipAddress?: string;
  readonly idempotencyKey?: string;
  readonly variables?: Record<string, unknown>;
}

function newViewer(): string {
  return newId();
}

function startNode(settings: Record<string, string> = {}): Engine {
  runs = [];
  const schema = createSchema();
  const config = parseConfig({
    NODE_ENV: 'test',
    DATABASE_URL: 'postgresql://nobody@127.0.0.1/none',
    REDIS_URL: 'redis://127.0.0.1',
    ...PER_MINUTE,
    ...settings,
  });
  const metrics = createMetrics();
  const policies = createPolicies(schema, { quotas: createQuotas(redis), metrics, config });
  return createEngine(schema, { metrics, policies });
}

function createSchema() {
  const builder = new SchemaBuilder<{ Context: Context }>({
    plugins: [RATE_LIMIT_PLUGIN, ComplexityPlugin],
    complexity: { defaultComplexity: 1, defaultListMultiplier: 10 },
    // The options of plugins that this schema has not.
  } as never);
  const { extensions } = withRateLimit(SLOWLY);
  const Item = builder.objectRef<{ name: string }>('Item').implement({
    fields: (t) => ({ name: t.exposeString('name') }),
  });
  const run = (name: string) => () => {
    runs.push(name);
    return 'ran';
  };
  builder.queryType({
    fields: (t) => ({
      broken: t.string({
        nullable: false,
        resolve: () => {
          throw new ForbiddenError('Not for you');
        },
      }),
      missing: t.field({
        type: [Item],
        nullable: { list: false, items: true },
        args: { first: t.arg.int() },
        complexity: ({ first }) => ({ field: 5, multiplier: first ?? 20 }),
        resolve: (_root, { first }) => Array<null>(first ?? 20).fill(null),
      }),
      items: t.field({
        type: [Item],
        args: { first: t.arg.int() },
        complexity: pageComplexity,
        resolve: async () => {
          run('items')();
          return [{ name: 'one' }, { name: 'two' }];
        },
      }),
    }),
  });
  builder.mutationType({
    fields: (t) => ({
      step: t.string({ nullable: true, extensions, resolve: run('step') }),
      free: t.string({ nullable: true, resolve: run('free') }),
      costly: t.string({ complexity: 60, resolve: run('costly') }),
    }),
  });
  builder.subscriptionType({
    fields: (t) => ({
      ticks: t.int({
        extensions,
        subscribe: () => {
          let tick = 0;
          return {
            [Symbol.asyncIterator]() {
              return this;
            },
            next: async () => ({ done: false, value: tick++ }),
            return: async () => ({ done: true, value: undefined }),
          } as unknown as AsyncIterable<number>;
        },
        resolve: (entry) => entry as number,
      }),
    }),
  });
  return builder.toSchema();
}

function contextOf({ viewer, ipAddress, idempotencyKey }: Who): Context {
  const context = {
    viewer: viewer === undefined ? null : { userId: viewer, proof: { kind: 'token', id: viewer } },
    origin: {
      client: {
        ipAddress: ipAddress ?? `2001:db8:${newId().slice(-12, -8)}:${newId().slice(-4)}::1`,
        userAgent: null,
      },
      idempotencyKey: idempotencyKey ?? null,
      notes: { headers: {}, extensions: {} },
    },
    config: { introspection: true },
    remembered: new Map(),
    requestId: 'test',
    log: { warn() {}, error: (fault: unknown) => console.error(fault) },
    refresh: async () => context,
  } as unknown as Context;
  return context;
}

async function ask(
  node: Engine | undefined,
  query: string,
  who: Who = {},
  given?: Context,
): Promise<ExecutionResult> {
  if (node === undefined) throw new Error('There is no such node.');
  const { document, errors } = prepare(node, query);
  if (document === null) return { errors };
  const context = given ?? contextOf(who);
  return node.execute({ document, variables: who.variables ?? null, context, transport: 'http' });
}

function prepare(node: Engine, query: string) {
  try {
    const document = node.parse(query);
    const errors = node.validate(document);
    return errors.length > 0 ? { document: null, errors } : { document, errors };
  } catch (error) {
    return { document: null, errors: [error as GraphQLError] };
  }
}

function remainingOf({ extensions }: ExecutionResult): number {
  const cost = extensions?.['cost'] as { remaining: number } | undefined;
  return cost?.remaining ?? -1;
}
