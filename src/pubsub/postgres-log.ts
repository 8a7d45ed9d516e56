// Reading a topic's log: head and entries in one statement, so that both are of one moment and a missing
// entry is a loss and never one that has yet to appear.

import type pg from 'pg';
import { UnavailableError } from '#lib/errors.ts';
import type { Place } from './bus.ts';
import type { StoredEntry } from './entry.ts';
import { runSql } from './postgres-sql.ts';

export interface LogSlice {
  readonly incarnation: string;
  readonly lastSequence: bigint;
  /** What is kept after the place asked for, in order; the first ones only, bounded by bytes too. */
  readonly entries: readonly StoredEntry[];
}

interface SliceRow {
  readonly incarnation: string;
  readonly last_sequence: string;
  readonly sequence: string | null;
  readonly id: string;
  readonly key: string;
  readonly frame: Buffer;
  readonly published_at: Date;
}

const SLICE_BYTES_MAX = 8 * 2 ** 20;

// The first entry is read whatever its size; the sum needs no frame to be fetched.
const READ = `
  SELECT t.incarnation, t.last_sequence, e.sequence, e.id, e.key, e.frame, e.published_at
  FROM bus_topic t
  LEFT JOIN LATERAL (
    SELECT f.*, row_number() OVER w AS ordinal, sum(octet_length(f.frame)) OVER w AS bytes
    FROM (
      SELECT * FROM bus_entry WHERE topic = t.name AND sequence > $2 ORDER BY sequence LIMIT $3
    ) f
    WINDOW w AS (ORDER BY f.sequence)
  ) e ON e.ordinal = 1 OR e.bytes <= ${SLICE_BYTES_MAX}
  WHERE t.name = $1
  ORDER BY e.sequence`;

/** Null when the topic's row is gone: the next publish makes it anew. */
export async function readSlice(
  pool: pg.Pool,
  topicName: string,
  afterSequence: bigint,
  limit: number,
): Promise<LogSlice | null> {
  const values = [topicName, afterSequence.toString(), limit];
  const rows = await runSql<SliceRow>(pool, READ, values, 'bus_read');
  const [first] = rows;
  if (!first) return null;
  const { incarnation } = first;
  return {
    incarnation,
    lastSequence: BigInt(first.last_sequence),
    entries: rows.flatMap((row) =>
      row.sequence === null ? [] : [toStoredEntry({ ...row, incarnation, sequence: row.sequence })],
    ),
  };
}

/** Makes the topic's row where it is missing. */
export async function readHead(pool: pg.Pool, topicName: string): Promise<Place> {
  await runSql(pool, 'INSERT INTO bus_topic (name) VALUES ($1) ON CONFLICT DO NOTHING', [
    topicName,
  ]);
  const text = 'SELECT incarnation, last_sequence FROM bus_topic WHERE name = $1';
  const [row] = await runSql<{ incarnation: string; last_sequence: string }>(pool, text, [
    topicName,
  ]);
  if (!row) throw new UnavailableError(`Topic ${topicName} was removed just now`);
  return { incarnation: row.incarnation, sequence: BigInt(row.last_sequence) };
}

export function toStoredEntry(row: {
  incarnation: string;
  sequence: string;
  id: string;
  key: string;
  frame: Buffer;
  published_at: Date;
}): StoredEntry {
  return {
    id: row.id,
    keyToken: row.key,
    frame: row.frame,
    place: { incarnation: row.incarnation, sequence: BigInt(row.sequence) },
    publishedAt: row.published_at,
  };
}
