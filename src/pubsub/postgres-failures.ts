import type pg from 'pg';
import type { DeadLetter } from './bus.ts';
import type { StoredEntry } from './entry.ts';
import { decodeKey } from './key.ts';
import { toStoredEntry } from './postgres-log.ts';
import { runSql } from './postgres-sql.ts';

/** What one consumer could not handle. */
export interface FailureStore {
  /** The failure whose next attempt is due first; `stored` is null while it is not due yet. */
  next(): Promise<{ stored: StoredEntry | null; attempts: number; dueInMs: number } | null>;
  /** Parks the entry when `retryInMs` is null. */
  note(
    stored: StoredEntry,
    attempts: number,
    reason: string,
    retryInMs: number | null,
  ): Promise<void>;
  remove(entryId: string): Promise<void>;
}

const NEXT = `
  SELECT *, CASE WHEN due_in_ms <= 0 THEN (
    SELECT frame FROM bus_failure f
    WHERE f.topic = $1 AND f.consumer = $2 AND f.entry_id = soonest.id) END AS frame
  FROM (
    SELECT entry_id AS id, key, incarnation, sequence, published_at, attempts,
           extract(epoch FROM retry_at - clock_timestamp())::float8 * 1000 AS due_in_ms
    FROM bus_failure
    WHERE topic = $1 AND consumer = $2 AND retry_at IS NOT NULL
    ORDER BY retry_at LIMIT 1
  ) soonest`;

const NOTE = `
  INSERT INTO bus_failure AS f (topic, consumer, entry_id, incarnation, sequence, key, frame,
    published_at, attempts, reason, retry_at, parked_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
    clock_timestamp() + $11::float8 * interval '1 millisecond',
    CASE WHEN $11::float8 IS NULL THEN clock_timestamp() END)
  ON CONFLICT (topic, consumer, entry_id) DO UPDATE SET
    incarnation = excluded.incarnation, sequence = excluded.sequence, key = excluded.key,
    frame = excluded.frame, published_at = excluded.published_at, attempts = excluded.attempts,
    reason = excluded.reason, retry_at = excluded.retry_at, parked_at = excluded.parked_at`;

const PARKED = `
  SELECT topic, consumer, entry_id, key, reason, attempts, parked_at
  FROM bus_failure WHERE parked_at IS NOT NULL ORDER BY parked_at DESC LIMIT $1`;

interface NextRow {
  readonly id: string;
  readonly key: string;
  readonly incarnation: string;
  readonly sequence: string;
  readonly published_at: Date;
  readonly attempts: number;
  readonly due_in_ms: number;
  readonly frame: Buffer | null;
}

export function createFailureStore(
  pool: pg.Pool,
  topicName: string,
  consumerName: string,
): FailureStore {
  return {
    async next() {
      const values = [topicName, consumerName];
      const [row] = await runSql<NextRow>(pool, NEXT, values, 'bus_next_failure');
      if (!row) return null;
      const { attempts, frame } = row;
      const stored = frame && toStoredEntry({ ...row, frame });
      return { stored, attempts, dueInMs: Math.max(1, Math.ceil(row.due_in_ms)) };
    },
    async note({ id, place, keyToken, frame, publishedAt }, attempts, reason, retryInMs) {
      await runSql(pool, NOTE, [
        topicName,
        consumerName,
        id,
        place.incarnation,
        place.sequence.toString(),
        keyToken,
        frame,
        publishedAt,
        attempts,
        reason,
        retryInMs,
      ]);
    },
    async remove(entryId) {
      const text = 'DELETE FROM bus_failure WHERE topic = $1 AND consumer = $2 AND entry_id = $3';
      await runSql(pool, text, [topicName, consumerName, entryId]);
    },
  };
}

/** Newest first. */
export async function listParked(pool: pg.Pool, limit: number): Promise<readonly DeadLetter[]> {
  const rows = await runSql<{
    topic: string;
    consumer: string;
    entry_id: string;
    key: string;
    reason: string;
    attempts: number;
    parked_at: Date;
  }>(pool, PARKED, [limit]);
  return rows.map((row) => ({
    topic: row.topic,
    consumer: row.consumer,
    entryId: row.entry_id,
    key: decodeKey(row.key),
    reason: row.reason,
    attempts: row.attempts,
    parkedAt: row.parked_at,
  }));
}
