// The bus on PostgreSQL: the embedded default where no NATS is, meant for one node and safe with several.
// Tables: prisma/models/bus.prisma.

import type pg from 'pg';
import { UnavailableError } from '#lib/errors.ts';
import type { Bus, Subscription, TailOptions } from './bus.ts';
import { requireConsumerName } from './consumer-name.ts';
import { sealEntry } from './entry.ts';
import type { BusLog } from './log.ts';
import { openPostgresConsumer } from './postgres-consumer.ts';
import { listParked } from './postgres-failures.ts';
import { createPostgresPublisher } from './postgres-publisher.ts';
import { keepPruning } from './postgres-retention.ts';
import { createPostgresSession } from './postgres-session.ts';
import { runSql } from './postgres-sql.ts';
import { createPostgresTails } from './postgres-tail.ts';
import type { Topic } from './topic.ts';

export interface PostgresBusOptions {
  /** For the bus's own session: a direct connection, since a transaction pooler has no LISTEN. */
  readonly connectionString: string;
  /** Stays the caller's to end, after the bus is closed. */
  readonly pool: pg.Pool;
  readonly log: BusLog;
  readonly topics: readonly Topic<unknown>[];
}

// A webhook of 25 MB fits whole; reading an entry takes three times its size in memory for a moment.
const ENTRY_BYTES_MAX = 32 * 2 ** 20;

/** Throws `UnavailableError` when PostgreSQL is not there. The migrations must have been applied. */
export async function createPostgresBus(options: PostgresBusOptions): Promise<Bus> {
  const { connectionString, pool, log, topics } = options;
  await runSql(
    pool,
    'INSERT INTO bus_topic (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING',
    [topics.map((topic) => topic.name)],
  );
  // The pool reports the loss of an idle connection here; without a listener it would end the process.
  const onPoolError = (error: Error) => log.debug({ err: error }, 'An idle connection was lost');
  pool.on('error', onPoolError);
  const session = createPostgresSession(connectionString, log);
  const retention = session.lead('retention', (term) => keepPruning(pool, topics, log, term));
  const consumers = new Set<Subscription>();
  const channels = new Map(topics.map((topic) => [topic.name, openChannel(topic)]));
  let closing: Promise<void> | null = null;

  function openChannel(topic: Topic<unknown>) {
    return {
      publisher: createPostgresPublisher(pool, topic.name, () => session.announce(topic.name)),
      tails: createPostgresTails(pool, session, topic, log),
    };
  }

  function channelOf(topic: { readonly name: string }) {
    if (closing) throw new UnavailableError('The bus is closed');
    const channel = channels.get(topic.name);
    if (!channel) throw new TypeError(`Topic ${topic.name} was not given to the bus at its start`);
    return channel;
  }

  async function close(): Promise<void> {
    await Promise.all([...consumers, retention].map((one) => one.close()));
    for (const { tails, publisher } of channels.values()) {
      await Promise.all([tails.close(), publisher.drain()]);
    }
    await session.close();
    pool.off('error', onPoolError);
  }

  return {
    kind: 'postgres',
    entryBytesMax: ENTRY_BYTES_MAX,
    async publish(topic, key, payload, publishOptions) {
      const { publisher } = channelOf(topic);
      return publisher.publish(sealEntry(topic, key, payload, publishOptions, ENTRY_BYTES_MAX));
    },
    async tail(topic, tailOptions) {
      // What the group hands over was parsed by this very topic.
      return channelOf(topic).tails.open(tailOptions as TailOptions<unknown>);
    },
    async consume(topic, consumeOptions) {
      requireConsumerName(consumeOptions.name);
      channelOf(topic);
      const consumer = openPostgresConsumer(pool, session, topic, consumeOptions, log);
      consumers.add(consumer);
      return {
        async close() {
          consumers.delete(consumer);
          await consumer.close();
        },
      };
    },
    listDeadLetters: (limit) => listParked(pool, limit),
    async check() {
      const text = `SELECT current_setting('transaction_read_only') = 'on' AS frozen`;
      const [row] = await runSql<{ frozen: boolean }>(pool, text, []);
      if (row?.frozen) throw new UnavailableError('The message log (PostgreSQL) is read-only');
    },
    close: () => (closing ??= close()),
  };
}
