import type { Bus, Subscription } from './bus.ts';
import type { BusLog } from './log.ts';
import type { PostgresSession } from './postgres-session.ts';
import { createSignal } from './signal.ts';
import type { Topic } from './topic.ts';

/** What the session is told when there is news; not a topic of the bus. */
export const OUTBOX_CHANNEL = 'outbox';

const BATCH = 500;
const LOOK_MS = 1_000;

interface Row {
  readonly sequence: string;
  readonly id: string;
  readonly topic: string;
  readonly key: string;
  readonly payload: unknown;
}

export interface OutboxRelayOptions {
  readonly query: <Result>(text: string, values: readonly unknown[]) => Promise<Result[]>;
  readonly session: PostgresSession;
  readonly bus: Bus;
  readonly topics: readonly Topic<unknown>[];
  readonly log: BusLog;
}

/**
 * Publishes what transactions have announced, on one node at a time. An entry leaves the outbox only
 * after the bus holds it, under the id it has here: a relay that dies in between, or two that overlap
 * at a hand-over, publish it again and the bus keeps it once.
 */
export function startOutboxRelay(options: OutboxRelayOptions): Subscription {
  const { session, log } = options;
  const signal = createSignal();
  const unwatch = session.watch(OUTBOX_CHANNEL, () => signal.wake());
  const leadership = session.lead('outbox-relay', async (term) => {
    const onAbort = () => signal.wake();
    term.addEventListener('abort', onAbort);
    try {
      while (!term.aborted) {
        const published = await relayBatch(options).catch((error: unknown) => {
          log.warn({ err: error }, 'The outbox waits for PostgreSQL or the bus');
          return 0;
        });
        if (published < BATCH && !term.aborted) await signal.wait(LOOK_MS);
      }
    } finally {
      term.removeEventListener('abort', onAbort);
    }
  });
  return {
    async close() {
      unwatch();
      await leadership.close();
    },
  };
}

/** How many were published. Order holds per topic and key; a key that fails holds up only itself. */
async function relayBatch({ query, bus, topics, log }: OutboxRelayOptions): Promise<number> {
  const rows = await query<Row>(
    'SELECT sequence, id, topic, key, payload FROM outbox ORDER BY sequence LIMIT $1',
    [BATCH],
  );
  const byKey = Map.groupBy(rows, ({ topic, key }) => JSON.stringify([topic, key]));
  const published = await Promise.all(
    [...byKey.values()].map(async (ofKey) => {
      const done: string[] = [];
      try {
        for (const row of ofKey) {
          const topic = topics.find(({ name }) => name === row.topic);
          // Written by a newer version: that version's relay will know it.
          if (topic === undefined) break;
          await bus.publish(topic, row.key, row.payload, { id: row.id });
          done.push(row.sequence);
        }
      } catch (error) {
        log.warn({ err: error, topic: ofKey[0]?.topic }, 'The outbox waits for the bus');
      }
      return done;
    }),
  );
  const sequences = published.flat();
  if (sequences.length > 0) await query('DELETE FROM outbox WHERE sequence = ANY($1)', [sequences]);
  return sequences.length;
}
