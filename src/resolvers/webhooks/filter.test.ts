import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type Database } from '#database/client.ts';
import { createPrisma } from '#database/prisma.ts';
import type { PrismaClient } from '#generated/prisma/client.ts';
import { newId } from '#lib/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts';
import { createWebhookFeed, type WebhookFeedItem } from './feed.ts';
import { assertFilter, combineFilters, matchesFilter, type WebhookFilter } from './filter.ts';
import { filterCondition, filterValues, givenFilter } from './inbox/sql.ts';
import { payloadKeysOf } from './payload-keys.ts';

const SOURCES = ['a', 'A', 'a/b'].map((path) => ({ id: newId(), path }));
const REPOSITORIES = SOURCES.map((source) => ({ id: newId(), sourceId: source.id }));
const TEXTS = ['push', 'Push', 'pus', 'push ', 'p%', 'p_sh', "o'clock", 'é', 'e\u0301', '\\', '�'];
const SCALARS = ['bug', 'Bug', 1, 0, -1, 1.5, '1', true, false, '', 'true'];
const NAMES = ['a', 'a b', '0'];
const TIMES = [0, 1, 999, 1_000, 1_766_000_000_000, 1_766_000_000_001].map((ms) => new Date(ms));

let testDatabase: TestDatabase;
let database: Database;
let prisma: PrismaClient;
let items: readonly WebhookFeedItem[];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = createDatabase({
    connectionString: testDatabase.url,
    poolMax: 4,
    onIdleError: () => {},
  });
  prisma = createPrisma(database);
  await prisma.webhookSource.createMany({
    data: SOURCES.map((source) => ({ ...source, provider: 'NONE' as const })),
  });
  await prisma.webhookRepository.createMany({
    data: REPOSITORIES.map((one) => ({ ...one, providerId: one.id, fullName: 'x/y' })),
  });
  const text = fc.option(fc.constantFrom(...TEXTS));
  const message = fc.record({
    sourceId: fc.option(fc.constantFrom(...SOURCES.map(({ id }) => id))),
    repositoryId: fc.option(fc.constantFrom(...REPOSITORIES.map(({ id }) => id))),
    verification: fc.constantFrom('VERIFIED' as const, 'UNSIGNED' as const, 'UNVERIFIED' as const),
    eventName: text,
    action: text,
    branch: text,
    sender: text,
    receivedAt: fc.constantFrom(...TIMES),
  });
  const messages = fc.sample(message, { numRuns: 300, seed: 1 }).map((generated, index) => ({
    ...generated,
    id: newId(),
    position: index + 1,
    path: '/',
    method: 'POST',
    headers: [],
    byteSize: 0,
  }));
  await prisma.webhookMessage.createMany({ data: messages });
  // One has none: its body was stored before payloads had numbers.
  const payloads = fc.sample(payload, { numRuns: 299, seed: 2 });
  await prisma.webhookBody.createMany({
    data: messages.map(({ id }, index) => ({
      messageId: id,
      compressed: false,
      data: Buffer.alloc(0),
      payloadKeys: index < payloads.length ? payloadKeysOf(payloads[index]) : [],
    })),
  });
  const feed = createWebhookFeed(database);
  const { epoch } = (await feed.readHeads([''])).get('') ?? { epoch: '' };
  items = await feed.readPage({ key: '', epoch, after: 0n, limit: 1_000 });
});
afterAll(async () => {
  await prisma.$disconnect();
  await database.close();
  await testDatabase.drop();
});

const listOf = (values: readonly string[]) =>
  fc.option(fc.array(fc.oneof(fc.constantFrom(...values), fc.string()), { maxLength: 4 }), {
    freq: 2,
  });
const time = fc.option(fc.oneof(fc.constantFrom(...TIMES), fc.date({ noInvalidDate: true })), {
  freq: 2,
});
const scalar = fc.constantFrom(...SCALARS);
const { payload } = fc.letrec((tie) => ({
  payload: fc.dictionary(fc.constantFrom(...NAMES), tie('value'), { minKeys: 1, maxKeys: 4 }),
  value: fc.oneof(
    { depthSize: 'small' },
    scalar,
    tie('payload'),
    fc.array(fc.oneof(scalar, tie('payload')), { maxLength: 3 }),
  ),
}));
const condition = fc.record({
  path: fc
    .tuple(
      fc.constantFrom('', '$.'),
      fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 2 }),
    )
    .map(([root, names]) => `${root}${names.join('.')}`),
  equals: scalar,
});

const filters: fc.Arbitrary<WebhookFilter> = fc.record(
  {
    sources: listOf(SOURCES.map(({ path }) => path)),
    repositoryIds: fc.option(fc.subarray(REPOSITORIES.map(({ id }) => id)), { freq: 1 }),
    eventNames: listOf(TEXTS),
    actions: listOf(TEXTS),
    branches: listOf(TEXTS),
    senders: listOf(TEXTS),
    payload: fc.option(fc.array(condition, { maxLength: 2 }), { freq: 1 }),
    receivedFrom: time,
    receivedTo: time,
  },
  { requiredKeys: [] },
);

const byPayload = fc.record({
  payload: fc.array(condition, { minLength: 1, maxLength: 2 }),
});

/** What the two forms of the condition find; they must be one. */
async function find(filter: WebhookFilter): Promise<string[]> {
  const from = `SELECT m.id FROM webhook_message m LEFT JOIN webhook_source s ON s.id = m.source_id`;
  const given = givenFilter(filter, 1);
  const [short, long] = await Promise.all([
    database.query<{ id: string }>(
      `${from} WHERE ${given.message} ORDER BY m.position`,
      given.values,
    ),
    database.query<{ id: string }>(
      `${from} WHERE ${filterCondition(1)} ORDER BY m.position`,
      filterValues(filter),
    ),
  ]);
  expect(short).toEqual(long);
  return short.map(({ id }) => id);
}

async function findLive(filter: WebhookFilter): Promise<string[]> {
  const matches = await Promise.all(items.map((item) => matchesFilter({ database }, item, filter)));
  return items.filter((_item, index) => matches[index]).map(({ id }) => id);
}

function isTaken(filter: WebhookFilter): boolean {
  try {
    assertFilter(filter);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'INVALID_INPUT' });
    return false;
  }
}

test('what a filter lets through live is what it finds in the table', async () => {
  expect(items).toHaveLength(300);
  let found = 0;
  let foundByPayload = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof(filters, byPayload), async (filter) => {
      if (!isTaken(filter)) return;
      const ids = await find(filter);
      found += ids.length;
      if (filter.payload?.length) foundByPayload += ids.length;
      expect(ids).toEqual(await findLive(filter));
    }),
    { numRuns: 300 },
  );
  expect(found).toBeGreaterThan(1_000);
  expect(foundByPayload).toBeGreaterThan(50);
});

test('two filters together let through what both do', async () => {
  await fc.assert(
    fc.asyncProperty(filters, filters, async (one, other) => {
      if (!isTaken(one) || !isTaken(other)) return;
      const others = new Set(await findLive(other));
      const both = (await findLive(one)).filter((id) => others.has(id));
      expect(await find(combineFilters(one, other))).toEqual(both);
    }),
    { numRuns: 100 },
  );
});

test('any filter that is taken is one that PostgreSQL can be asked', async () => {
  const text = fc.string({ unit: 'binary' });
  const values = fc.array(text, { maxLength: 3 });
  const nasty = fc.record(
    {
      eventNames: values,
      sources: values,
      senders: values,
      payload: fc.array(fc.record({ path: text, equals: fc.anything() }), { maxLength: 11 }),
      receivedFrom: fc.date({ noInvalidDate: true }),
    },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(nasty, async (filter) => {
      if (isTaken(filter)) await find(filter);
    }),
    { numRuns: 200 },
  );
});

test('a fault is told with the field that it is in', () => {
  const faultOf = (filter: object) => {
    try {
      assertFilter(filter, { field: 'input.filter' });
    } catch (error) {
      return (error as { field: string }).field;
    }
    return null;
  };
  const holds = { path: 'a', equals: 1 };
  expect(faultOf({ payload: Array(10).fill(holds), senders: Array(100).fill('x') })).toBeNull();
  expect(faultOf({ payload: Array(11).fill(holds) })).toBe('input.filter.payload');
  expect(faultOf({ payload: [holds, { path: 'a..b', equals: 1 }] })).toBe(
    'input.filter.payload.1.path',
  );
  for (const equals of [{}, [], undefined, null, Number.NaN, 'x'.repeat(1_001)]) {
    expect(faultOf({ payload: [{ path: 'a', equals }] })).toBe('input.filter.payload.0.equals');
  }
  for (const path of ['', '.', '$.', 'a.', '\u0000', '\ud800', 'x'.repeat(501)]) {
    expect(faultOf({ payload: [{ path, equals: 1 }] })).toBe('input.filter.payload.0.path');
  }
  expect(faultOf({ senders: Array(101).fill('x') })).toBe('input.filter.senders');
  expect(faultOf({ inboxStates: ['PENDING'] })).toBe('input.filter.inboxStates');
  expect(faultOf({ savedFilterId: newId() })).toBe('input.filter.savedFilterId');
});
