import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts';
import { testFolder } from '../../tests/support/servers.ts';
import { MigrationError, migrate } from './migrate.ts';

const ROOMS = 'CREATE TABLE rooms (id int);\nINSERT INTO rooms VALUES (1);';

let database: TestDatabase;
let folder: string;

beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
  folder = testFolder();
  addMigration('001_rooms', ROOMS);
});

afterEach(() => database.drop());

describe('migrating', () => {
  test('applies what is missing in order of name, and nothing twice', async () => {
    addMigration('002_more_rooms', "INSERT INTO rooms VALUES (2); SELECT 'a;b';");
    expect(await migrate(database.url, folder)).toEqual({
      applied: ['001_rooms', '002_more_rooms'],
    });
    addMigration('003_third_room', 'INSERT INTO rooms VALUES (3);');
    expect(await migrate(database.url, folder)).toEqual({ applied: ['003_third_room'] });
    expect(await migrate(database.url, folder)).toEqual({ applied: [] });
    expect(await query('SELECT id FROM rooms ORDER BY id')).toEqual([
      { id: 1 },
      { id: 2 },
      { id: 3 },
    ]);
  });

  test('keeps the books as Prisma does', async () => {
    await migrate(database.url, folder);
    const [row] = await query('SELECT * FROM _prisma_migrations');
    expect(row).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      checksum: createHash('sha256').update(ROOMS).digest('hex'),
      finished_at: expect.any(Date),
      migration_name: '001_rooms',
      logs: null,
      rolled_back_at: null,
      started_at: expect.any(Date),
      applied_steps_count: 1,
    });
  });

  test('runs at the same time apply each migration once', async () => {
    addMigration('002_more_rooms', 'SELECT pg_sleep(0.1); INSERT INTO rooms VALUES (2);');
    const runs = await Promise.all(Array.from({ length: 5 }, () => migrate(database.url, folder)));
    expect(runs.flatMap((run) => run.applied).toSorted()).toEqual(['001_rooms', '002_more_rooms']);
    expect(await query('SELECT count(*)::int FROM rooms')).toEqual([{ count: 2 }]);
  });

  test('a migration that fails is rolled back whole, named, and tried again once repaired', async () => {
    addMigration('002_broken', 'CREATE TABLE half (id int);\nINSERT INTO nowhere VALUES (1);');
    const failure = migrate(database.url, folder);
    await expect(failure).rejects.toThrow(MigrationError);
    await expect(failure).rejects.toThrow(
      'Migration 002_broken failed and was rolled back (line 2): relation "nowhere" does not exist',
    );
    expect(await query(`SELECT to_regclass('half') AS half`)).toEqual([{ half: null }]);
    expect(await query('SELECT migration_name FROM _prisma_migrations')).toEqual([
      { migration_name: '001_rooms' },
    ]);

    addMigration('002_broken', 'CREATE TABLE half (id int);');
    expect(await migrate(database.url, folder)).toEqual({ applied: ['002_broken'] });
  });

  test('a connection lost in the middle leaves nothing behind', async () => {
    addMigration(
      '002_killed',
      'CREATE TABLE half (id int); SELECT pg_terminate_backend(pg_backend_pid());',
    );
    await expect(migrate(database.url, folder)).rejects.toThrow('002_killed');
    expect(await query(`SELECT to_regclass('half') AS half`)).toEqual([{ half: null }]);
    addMigration('002_killed', 'CREATE TABLE half (id int);');
    expect(await migrate(database.url, folder)).toEqual({ applied: ['002_killed'] });
  });
});

describe('refusing', () => {
  beforeEach(() => migrate(database.url, folder));

  test('a migration that was changed after it had been applied', async () => {
    addMigration('001_rooms', `${ROOMS}\n-- an afterthought`);
    addMigration('002_next', 'CREATE TABLE next (id int);');
    await expect(migrate(database.url, folder)).rejects.toThrow(
      'Migration 001_rooms was changed after it had been applied',
    );
    expect(await query(`SELECT to_regclass('next') AS next`)).toEqual([{ next: null }]);
  });

  test('a database that is ahead of this checkout', async () => {
    rmSync(path.join(folder, '001_rooms'), { recursive: true });
    await expect(migrate(database.url, folder)).rejects.toThrow(
      'The database has migration 001_rooms, which this version of Naru does not know',
    );
  });

  test('a database that another tool left half migrated, until that is resolved', async () => {
    addMigration('002_next', 'CREATE TABLE next (id int);');
    await query(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('x', 'y', '002_next')`,
    );
    await expect(migrate(database.url, folder)).rejects.toThrow(
      'Migration 002_next failed earlier and was left unfinished',
    );
    await query(`UPDATE _prisma_migrations SET rolled_back_at = now() WHERE id = 'x'`);
    expect(await migrate(database.url, folder)).toEqual({ applied: ['002_next'] });
  });
});

function addMigration(name: string, sql: string): void {
  mkdirSync(path.join(folder, name), { recursive: true });
  writeFileSync(path.join(folder, name, 'migration.sql'), sql);
}

async function query(sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
