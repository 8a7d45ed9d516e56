import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { UnavailableError } from '#lib/errors.ts';
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts';
import type { Bus } from './bus.ts';
import type { BusLog } from './log.ts';
import { createPostgresBus } from './postgres.ts';
import { pruneTopic } from './postgres-retention.ts';
import { defineTopic } from './topic.ts';

const log: BusLog = { debug() {}, info() {}, warn() {}, error() {} };
const topic = defineTopic({
  name: 'things.happened',
  payload: z.object({ n: z.number() }),
  retainMs: 3_600_000,
  retainBytesMax: 1_000,
});

let database: TestDatabase;
let pool: pg.Pool;
let bus: Bus;

beforeEach(async () => {
  database = await createTestDatabase();
  pool = new pg.Pool({ connectionString: database.url });
  pool.on('error', () => {});
  bus = await createPostgresBus({ connectionString: database.url, pool, log, topics: [topic] });
});

afterEach(async () => {
  await bus.close();
  await pool.end();
  await database.drop();
});

describe('retention', () => {
  test('removes what is older than the topic keeps, and tells who reads from there', async () => {
    const places = await publish(0, 10);
    await pool.query(
      `UPDATE bus_entry SET published_at = now() - interval '2 hours' WHERE sequence <= 6`,
    );
    // The bus prunes by itself too, when it comes to lead: whose step removes them does not matter.
    await pruneTopic(pool, topic);
    const numbers: number[] = [];
    const losses: unknown[] = [];
    await bus.tail(topic, {
      from: places[1] ?? 'head',
      onEntry: (entry) => void numbers.push(entry.payload.n),
      onLoss: (loss) => void losses.push(loss.after),
    });
    await vi.waitUntil(() => numbers.length === 4);
    expect(numbers).toEqual([6, 7, 8, 9]);
    expect(losses).toEqual([places[1]]);
  });

  test('removes the oldest above the byte limit, but nothing that a publisher may still repeat', async () => {
    await publish(0, 200);
    expect(await pruneTopic(pool, topic)).toBe(0);
    await pool.query(`UPDATE bus_entry SET published_at = now() - interval '3 minutes'`);
    await pruneTopic(pool, topic);
    const { rows } = await pool.query(
      `SELECT stored_bytes::int AS counted, (SELECT sum(octet_length(frame))::int FROM bus_entry) AS kept,
        (SELECT max(sequence)::int FROM bus_entry) AS last FROM bus_topic`,
    );
    expect(rows[0]).toMatchObject({ counted: rows[0].kept, last: 200 });
    expect(rows[0].kept).toBeLessThanOrEqual(1_000);
    expect(rows[0].kept).toBeGreaterThan(900);
  });

  test('a consumer that fell behind goes on with what is kept', async () => {
    const handled: number[] = [];
    const consume = () =>
      bus.consume(topic, {
        name: 'worker',
        handle: async (batch) => void handled.push(...batch.map((entry) => entry.payload.n)),
      });
    await publish(0, 1);
    const consumer = await consume();
    await vi.waitUntil(() => handled.length === 1, 5_000);
    await consumer.close();
    await publish(1, 10);
    await pool.query('DELETE FROM bus_entry WHERE sequence <= 8');
    await consume();
    await vi.waitUntil(() => handled.length === 3, 5_000);
    expect(handled).toEqual([0, 8, 9]);
  });
});

describe('a database in trouble', () => {
  test('one that hangs refuses publishing with UnavailableError within 5 s', async () => {
    const client = await pool.connect();
    await client.query('BEGIN; SELECT * FROM bus_topic FOR UPDATE');
    const asked = performance.now();
    const first = publish(0, 1);
    await new Promise((resolve) => setImmediate(resolve));
    const results = await Promise.allSettled([first, publish(1, 2)]);
    expect(performance.now() - asked).toBeLessThan(5_000);
    for (const result of results) {
      expect(result).toMatchObject({ reason: expect.any(UnavailableError) });
    }
    await client.query('ROLLBACK');
    client.release();
    await publish(0, 2);
  });

  test('losing every connection at once neither loses nor repeats an entry of a tail', async () => {
    const numbers: number[] = [];
    const losses: unknown[] = [];
    const handled = new Set<number>();
    await bus.tail(topic, {
      from: 'head',
      onEntry: (entry) => void numbers.push(entry.payload.n),
      onLoss: (loss) => void losses.push(loss),
    });
    await bus.consume(topic, {
      name: 'worker',
      handle: async (batch) => batch.forEach((entry) => void handled.add(entry.payload.n)),
    });
    for (let round = 0; round < 5; round++) {
      await publish(round * 20, round * 20 + 20);
      await cutConnections();
    }
    await vi.waitUntil(() => numbers.length >= 100 && handled.size === 100, 10_000);
    expect(numbers).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(losses).toEqual([]);
  });

  test('news reaches a node whose notification was lost', async () => {
    const numbers: number[] = [];
    await bus.tail(topic, {
      from: 'head',
      onEntry: (entry) => void numbers.push(entry.payload.n),
      onLoss() {},
    });
    // As another node would, but without a word about it.
    const frame = Buffer.concat([Buffer.from([1, 0, 0, 0, 7]), Buffer.from('{"n":1}')]);
    await pool.query('SELECT * FROM bus_publish($1, $2, $3, $4, $5)', [
      topic.name,
      ['id'],
      ['key'],
      [frame.length],
      frame,
    ]);
    await vi.waitUntil(() => numbers.length === 1, 3_000);
  });
});

function publish(from: number, to: number) {
  const numbers = Array.from({ length: to - from }, (_, index) => from + index);
  return Promise.all(numbers.map((n) => publishStubbornly(n)));
}

/** The pool may still hold connections that were cut; each is found out by a statement that fails. */
async function publishStubbornly(n: number) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await bus.publish(topic, 'key', { n }, { id: `id-${n}` });
    } catch (error) {
      const isCut = /terminat|ECONNRESET|EPIPE/.test(String((error as Error).cause));
      if (!isCut || attempt === 10) throw error;
    }
  }
}

async function cutConnections(): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  await client.end();
}
