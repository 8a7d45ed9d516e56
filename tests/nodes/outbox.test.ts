// What is announced with a fact is published once, in order, whatever happens to the node that relays it.
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createDatabase, type Database } from '#database/client.ts';
import { transact } from '#outbox.ts';
import type { Bus, Entry } from '#pubsub/bus.ts';
import { createJetStreamBus } from '#pubsub/jetstream.ts';
import type { BusLog } from '#pubsub/log.ts';
import { type OutboxRelayOptions, startOutboxRelay } from '#pubsub/outbox-relay.ts';
import { createPostgresBus } from '#pubsub/postgres.ts';
import { createPostgresSession, type PostgresSession } from '#pubsub/postgres-session.ts';
import { defineTopic } from '#pubsub/topic.ts';
import { createTestDatabase } from '../support/database.ts';
import { until } from '../support/graphql-client.ts';
import { requireServer, testNatsUrl } from '../support/servers.ts';

const topic = defineTopic({
  name: 'proof.news',
  payload: z.object({ n: z.number() }),
  retainMs: 3_600_000,
  retainBytesMax: 64 * 2 ** 20,
});
const topics = [topic];
const log: BusLog = { debug() {}, info() {}, warn() {}, error() {} };

interface World {
  readonly url: string;
  readonly database: Database;
  readonly session: PostgresSession;
  readonly bus: Bus;
}

const openers = {
  postgres: ({ url, database }: Pick<World, 'url' | 'database'>) =>
    createPostgresBus({ connectionString: url, pool: database.pool, log, topics }),
  jetstream: () =>
    createJetStreamBus({ url: testNatsUrl(), log, topics, namespace: `outbox-${randomUUID()}` }),
};

describe.each([
  'postgres' as const,
  ...(requireServer('nats-server') ? ['jetstream' as const] : []),
])('the outbox on %s', (kind) => {
  let world: World;
  let undo: (() => Promise<unknown>)[] = [];
  beforeEach(async () => {
    const { url, drop } = await createTestDatabase();
    const database = createDatabase({ connectionString: url, poolMax: 5, onIdleError: () => {} });
    const session = createPostgresSession(url, log);
    const bus = await openers[kind]({ url, database });
    world = { url, database, session, bus };
    undo = [drop, () => database.close(), () => session.close(), () => bus.close()];
  });
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  const announce = (key: string, ...numbers: number[]) =>
    transact(world, async (_sql, say) => {
      for (const n of numbers) await say(topic, key, { n });
    });

  function startRelay(overrides: Partial<OutboxRelayOptions> = {}) {
    const { query } = world.database;
    const relay = startOutboxRelay({ ...world, query, topics, log, ...overrides });
    undo.push(() => relay.close());
    return relay;
  }

  async function listen(): Promise<Entry<{ n: number }>[]> {
    const heard: Entry<{ n: number }>[] = [];
    const onEntry = (entry: Entry<{ n: number }>) => heard.push(entry);
    const tail = await world.bus.tail(topic, { from: 'head', onEntry, onLoss() {} });
    undo.push(() => tail.close());
    return heard;
  }

  const countLeft = async () => {
    const [row] = await world.database.query<{ count: string }>('SELECT count(*) FROM outbox');
    return Number(row?.count);
  };

  test('an entry is published once though its relay dies between publishing and forgetting it', async () => {
    const heard = await listen();
    let deaths = 0;
    const dying = startRelay({
      query(text, values) {
        if (!text.startsWith('DELETE')) return world.database.query(text, values);
        deaths += 1;
        throw new Error('killed');
      },
    });
    await announce('key', 1, 2, 3);
    await until(() => deaths > 0);
    await dying.close();
    expect(await countLeft()).toBe(3);
    startRelay();
    await announce('key', 4);
    await until(async () => (await countLeft()) === 0 && heard.length >= 4);
    expect(heard.map(({ payload }) => payload.n)).toEqual([1, 2, 3, 4]);
  });

  test('a transaction that rolls back announces nothing', async () => {
    const heard = await listen();
    startRelay();
    const failing = transact(world, async (_sql, say) => {
      await say(topic, 'key', { n: 1 });
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await announce('key', 2);
    await until(() => heard.length > 0);
    expect(heard.map(({ payload }) => payload.n)).toEqual([2]);
  });

  test('entries of one key keep the order of their commits', async () => {
    const heard = await listen();
    startRelay();
    const keys = ['a', 'b', 'c'];
    await Promise.all(
      keys.map(async (key) => {
        for (let n = 0; n < 50; n += 1) await announce(key, n);
      }),
    );
    await until(() => heard.length === 150);
    for (const key of keys) {
      const order = heard.filter((entry) => entry.key === key).map(({ payload }) => payload.n);
      expect(order).toEqual(Array.from({ length: 50 }, (_, n) => n));
    }
  });

  test('what nobody here can publish holds up only itself, however much of it there is', async () => {
    const heard = await listen();
    // More than a batch of each: a topic of a newer version, and a key whose payload is no good.
    await world.database.query(
      `INSERT INTO outbox (topic, key, payload)
       SELECT 'proof.unknown', 'key', '{}'::jsonb FROM generate_series(1, 600)
       UNION ALL SELECT 'proof.news', 'poisoned', '{"n":"no number"}' FROM generate_series(1, 600)`,
    );
    await announce('key', 1, 2);
    startRelay();
    await until(() => heard.length === 2);
    expect(heard.map(({ key, payload }) => [key, payload.n])).toEqual([
      ['key', 1],
      ['key', 2],
    ]);
    expect(await countLeft()).toBeGreaterThanOrEqual(1_200);
  });
});
