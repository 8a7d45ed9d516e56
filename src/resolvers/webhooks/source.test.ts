import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseConfig } from '#config.ts';
import { createDatabase, type Database } from '#database/client.ts';
import { newId } from '#lib/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts';
import { createSourceDirectory } from './source.ts';

const config = parseConfig({
  NODE_ENV: 'test',
  DATABASE_URL: 'postgresql://localhost',
  REDIS_URL: 'redis://localhost',
});

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = createDatabase({
    connectionString: testDatabase.url,
    poolMax: 2,
    onIdleError: () => {},
  });
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

async function setSources(paths: readonly string[]): Promise<void> {
  await database.query('DELETE FROM webhook_source');
  await database.query(
    `INSERT INTO webhook_source (id, path, provider) SELECT *, 'NONE' FROM unnest($1::uuid[], $2::text[])`,
    [paths.map(newId), paths],
  );
}

const name = fc.constantFrom('a', 'b', 'A', 'a.b', 'é', '__proto__', '..');
const sourcePaths = fc
  .uniqueArray(fc.array(name, { minLength: 1, maxLength: 3 }), { selector: (p) => p.join('/') })
  .map((paths) => paths.map((segments) => segments.join('/')));
// What came percent-encoded: a segment may hold a slash, or nothing that any source has.
const segments = fc.array(fc.oneof(name, fc.constantFrom('a/b', 'a/', '', '\u0000')), {
  maxLength: 5,
});

test('the source is the one whose segments begin the path, and the longest of those', async () => {
  const directory = createSourceDirectory(database, config);
  await fc.assert(
    fc.asyncProperty(sourcePaths, fc.array(segments), async (paths, requests) => {
      await setSources(paths);
      await directory.refresh();
      for (const request of requests) {
        const matching = paths
          .map((path) => path.split('/'))
          .filter((parts) => parts.every((part, index) => part === request[index]))
          .toSorted((left, right) => right.length - left.length);
        expect(directory.find(request)?.path ?? null).toBe(matching[0]?.join('/') ?? null);
      }
    }),
    { numRuns: 50 },
  );
});

test('nothing is guessed before the sources were read once', async () => {
  const directory = createSourceDirectory(database, config);
  expect(() => directory.find(['a'])).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
});

test('sources that cannot be read again stay as they were', async () => {
  await setSources(['a']);
  let down = false;
  const directory = createSourceDirectory(
    { query: (...given) => (down ? Promise.reject(new Error('down')) : database.query(...given)) },
    config,
  );
  await directory.refresh();
  down = true;
  await expect(directory.refresh()).rejects.toThrow('down');
  expect(directory.find(['a', 'x'])?.path).toBe('a');
});

test('what was read before a change never takes the place of what was read after it', async () => {
  await setSources(['old']);
  const waiting: (() => void)[] = [];
  const directory = createSourceDirectory(
    {
      async query(...given) {
        const rows = await database.query(...given);
        await new Promise<void>((resolve) => waiting.push(resolve));
        return rows as never;
      },
    },
    config,
  );
  const early = directory.refresh();
  await expect.poll(() => waiting.length).toBe(1);
  await setSources(['new']);
  const late = directory.refresh();
  await expect.poll(() => waiting.length).toBe(2);
  waiting[1]?.();
  await late;
  waiting[0]?.();
  await early;
  expect([directory.find(['old']), directory.find(['new'])?.path]).toEqual([null, 'new']);
});

test('a source that cannot be verified as it is stored is told of once, and again when that is new', async () => {
  const told: string[] = [];
  const directory = createSourceDirectory(database, config, ({ what }) => told.push(what));
  await setSources(['a']);
  await database.query(`UPDATE webhook_source SET settings = '[]'`);
  await directory.refresh();
  await directory.refresh();
  expect(told).toEqual(['Its settings are not those of this version']);
  expect(directory.find(['a'])?.settings).toBeNull();
  const secretId = newId();
  await database.query(
    `INSERT INTO webhook_source_secret (id, source_id, sealed) SELECT $1, id, 'x' FROM webhook_source`,
    [secretId],
  );
  await directory.refresh();
  await directory.refresh();
  expect(told.slice(1)).toEqual([`Its secret ${secretId} does not open`]);
  expect(directory.find(['a'])?.secrets()).toEqual([]);
  expect(directory.find(['a'])?.hasClosedSecret()).toBe(true);
});
