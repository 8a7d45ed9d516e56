import { UnavailableError } from '#lib/errors.ts';
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
        await relayAll(options, term).catch((error: unknown) =>
          log.warn({ err: error }, 'The outbox waits for PostgreSQL or the bus'),
        );
        if (!term.aborted) await signal.wait(LOOK_MS);
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

// Topics of a newer version wait for that version's relay; keys that failed wait for the next look. Neither
// may fill the batch, or they would hold up all the others.
const READ = `
  SELECT sequence, id, topic, key, payload FROM outbox
  WHERE topic = ANY($1)
    AND (topic, key) NOT IN (SELECT * FROM unnest($2::text[], $3::text[]))
  ORDER BY sequence LIMIT $4`;

/** Until nothing is left but what cannot be published now. */
async function relayAll(options: OutboxRelayOptions, term: AbortSignal): Promise<void> {
  const { query, topics } = options;
  const held: Row[] = [];
  while (!term.aborted) {
    const rows = await query<Row>(READ, [
      topics.map(({ name }) => name),
      held.map(({ topic }) => topic),
      held.map(({ key }) => key),
      BATCH,
    ]);
    const byKey = Map.groupBy(rows, ({ topic, key }) => JSON.stringify([topic, key]));
    const results = await Promise.all(
      [...byKey.values()].map((ofKey) => relayKey(options, ofKey, term)),
    );
    const done = results.flatMap(({ published }) => published);
    if (done.length > 0) await query('DELETE FROM outbox WHERE sequence = ANY($1)', [done]);
    held.push(...results.flatMap(({ refused }) => refused ?? []));
    // Without the bus the next keys would only wait in vain as well.
    if (rows.length < BATCH || results.some(({ outage }) => outage)) return;
  }
}

interface KeyResult {
  readonly published: readonly string[];
  /** The row at which it stopped; the rest of its key has to wait behind it. */
  readonly refused: Row | null;
  readonly outage: boolean;
}

async function relayKey(
  { bus, topics, log }: OutboxRelayOptions,
  ofKey: readonly Row[],
  term: AbortSignal,
): Promise<KeyResult> {
  const published: string[] = [];
  for (const row of ofKey) {
    const topic = topics.find(({ name }) => name === row.topic);
    if (topic === undefined || term.aborted) return { published, refused: row, outage: false };
    try {
      await bus.publish(topic, row.key, row.payload, { id: row.id });
      published.push(row.sequence);
    } catch (error) {
      log.warn({ err: error, topic: row.topic, id: row.id }, 'The outbox waits for the bus');
      return { published, refused: row, outage: error instanceof UnavailableError };
    }
  }
  return { published, refused: null, outage: false };
}
