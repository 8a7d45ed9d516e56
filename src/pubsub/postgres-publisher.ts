// Publishing coalesces: what is asked for while a statement is under way goes together in the next one,
// so that the topic's row lock and the commit are paid once for many entries.

import type pg from 'pg';
import { UnavailableError } from '#lib/errors.ts';
import type { Place } from './bus.ts';
import type { SealedEntry } from './entry.ts';
import { runSql } from './postgres-sql.ts';

export interface PostgresPublisher {
  /** In the order of the calls; rejects with `UnavailableError` within 5 s. */
  publish(entry: SealedEntry): Promise<Place>;
  /** Resolves when nothing is under way. */
  drain(): Promise<void>;
}

interface Waiting extends PromiseWithResolvers<Place> {
  readonly entry: SealedEntry;
  readonly deadlineAt: number;
}

interface PlaceRow {
  readonly incarnation: string;
  readonly sequence: string;
}

const PUBLISH_TIMEOUT_MS = 4_500;
const BATCH_ENTRIES_MAX = 1_000;
const BATCH_BYTES_MAX = 8 * 2 ** 20;

const PUBLISH = 'SELECT incarnation, sequence FROM bus_publish($1, $2, $3, $4, $5)';

/** One a topic. `onStored` is called after each commit. */
export function createPostgresPublisher(
  pool: pg.Pool,
  topicName: string,
  onStored: () => void,
): PostgresPublisher {
  let queue: Waiting[] = [];
  let running: Promise<void> | null = null;

  async function run(): Promise<void> {
    // One turn later, so that calls of the same turn share the first statement too.
    await Promise.resolve();
    while (queue.length > 0) {
      const batch = takeBatch();
      try {
        const places = await store(batch);
        for (const [index, waiting] of batch.entries()) {
          const place = places[index];
          if (place) waiting.resolve(place);
          else waiting.reject(new Error(`Publishing on ${topicName} brought no place`));
        }
        onStored();
      } catch (error) {
        for (const waiting of batch) waiting.reject(error);
        // Those behind have waited for as long: a second timeout in a row would break the promise.
        if (!(error instanceof UnavailableError)) continue;
        for (const waiting of queue.splice(0)) waiting.reject(error);
      }
    }
    running = null;
  }

  function takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { entry } of queue) {
      bytes += entry.frame.length;
      if (count > 0 && (bytes > BATCH_BYTES_MAX || count === BATCH_ENTRIES_MAX)) break;
      count++;
    }
    const batch = queue.slice(0, count);
    queue = queue.slice(count);
    return batch;
  }

  async function store(batch: readonly Waiting[]): Promise<Place[]> {
    const leftMs = Math.max(1, (batch[0]?.deadlineAt ?? 0) - performance.now());
    const frames = batch.map(({ entry }) => entry.frame);
    const values = [
      topicName,
      batch.map(({ entry }) => entry.id),
      batch.map(({ entry }) => entry.keyToken),
      frames.map((frame) => frame.length),
      frames.length === 1 ? frames[0] : Buffer.concat(frames),
    ];
    const rows = await runSql<PlaceRow>(pool, PUBLISH, values, 'bus_publish', leftMs);
    return rows.map((row) => ({ incarnation: row.incarnation, sequence: BigInt(row.sequence) }));
  }

  return {
    publish(entry) {
      const deadlineAt = performance.now() + PUBLISH_TIMEOUT_MS;
      const waiting = { ...Promise.withResolvers<Place>(), entry, deadlineAt };
      queue.push(waiting);
      running ??= run();
      return waiting.promise;
    },
    drain: async () => {
      await running;
    },
  };
}
