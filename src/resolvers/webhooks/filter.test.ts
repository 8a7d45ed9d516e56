import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type Database } from '#database/client.ts';
import { createPrisma } from '#database/prisma.ts';
import type { PrismaClient } from '#generated/prisma/client.ts';
import { newId } from '#lib/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts';
import { createWebhookFeed, type WebhookFeedItem } from './feed.ts';
import { assertFilter, matchesFilter, messagesMatching, type WebhookFilter } from './filter.ts';

const SOURCES = ['a', 'A', 'a/b'].map((path) => ({ id: newId(), path }));
const REPOSITORIES = SOURCES.map((source) => ({ id: newId(), sourceId: source.id }));
const TEXTS = ['push', 'Push', 'pus', 'push ', 'p%', 'p_sh', "o'clock", 'é', 'e\u0301', '\\', '�'];
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
    receivedAt: fc.constantFrom(...TIMES),
  });
  await prisma.webhookMessage.createMany({
    data: fc.sample(message, { numRuns: 300, seed: 1 }).map((generated, index) => ({
      ...generated,
      id: newId(),
      position: index + 1,
      path: '/',
      method: 'POST',
      headers: [],
      byteSize: 0,
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
const filters: fc.Arbitrary<WebhookFilter> = fc.record(
  {
    sources: listOf(SOURCES.map(({ path }) => path)),
    repositoryIds: fc.option(fc.subarray(REPOSITORIES.map(({ id }) => id)), { freq: 1 }),
    eventNames: listOf(TEXTS),
    actions: listOf(TEXTS),
    branches: listOf(TEXTS),
    receivedFrom: time,
    receivedTo: time,
  },
  { requiredKeys: [] },
);

test('what a filter lets through live is what it finds in the table', async () => {
  expect(items).toHaveLength(300);
  let found = 0;
  await fc.assert(
    fc.asyncProperty(filters, async (filter) => {
      try {
        assertFilter(filter);
      } catch {
        return;
      }
      const rows = await prisma.webhookMessage.findMany({
        where: messagesMatching(filter),
        orderBy: { position: 'asc' },
        select: { id: true },
      });
      found += rows.length;
      const live = items.filter((item) => matchesFilter(item, filter));
      expect(rows.map(({ id }) => id)).toEqual(live.map(({ id }) => id));
    }),
    { numRuns: 300 },
  );
  expect(found).toBeGreaterThan(1_000);
});

test('any filter that is taken is one that PostgreSQL can be asked', async () => {
  const values = fc.array(fc.string({ unit: 'binary' }), { maxLength: 3 });
  const nasty = fc.record(
    { eventNames: values, sources: values, receivedFrom: fc.date({ noInvalidDate: true }) },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(nasty, async (filter) => {
      try {
        assertFilter(filter);
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_INPUT' });
        return;
      }
      await prisma.webhookMessage.count({ where: messagesMatching(filter) });
    }),
    { numRuns: 100 },
  );
});
