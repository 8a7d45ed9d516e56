// JetStream removes old entries by itself; here the node that leads does it, a step a transaction, so that
// publishers wait for a topic's row for a moment only.

import type pg from 'pg';
import type { BusLog } from './log.ts';
import { runSql } from './postgres-sql.ts';
import { createSignal } from './signal.ts';
import type { Topic } from './topic.ts';

const EVERY_MS = 60_000;
const STEP_ENTRIES = 1_000;
// Bytes do not push out what is younger: a publisher that tries again must still find its id.
const DEDUPE_WINDOW = "interval '2 minutes'";

const PRUNE = `
  WITH oldest AS (
    SELECT sequence, published_at, octet_length(frame) AS bytes
    FROM bus_entry WHERE topic = $1 ORDER BY sequence LIMIT ${STEP_ENTRIES}
  ), summed AS (
    SELECT *, sum(bytes) OVER (ORDER BY sequence) - bytes AS freed_before FROM oldest
  ), doomed AS (
    SELECT max(s.sequence) AS last FROM summed s, bus_topic t
    WHERE t.name = $1 AND (
      s.published_at < clock_timestamp() - $2::float8 * interval '1 millisecond'
      OR (s.published_at < clock_timestamp() - ${DEDUPE_WINDOW}
          AND t.stored_bytes - s.freed_before > $3))
  ), removed AS (
    DELETE FROM bus_entry e USING doomed d WHERE e.topic = $1 AND e.sequence <= d.last
    RETURNING octet_length(e.frame) AS bytes
  ), freed AS (
    SELECT count(*) AS entries, coalesce(sum(bytes), 0) AS bytes FROM removed
  )
  UPDATE bus_topic t SET stored_bytes = t.stored_bytes - f.bytes
  FROM freed f WHERE t.name = $1 AND f.entries > 0
  RETURNING f.entries::int AS entries`;

/** Removes what a topic need not keep; returns how many entries went. */
export async function pruneTopic(
  pool: pg.Pool,
  { name, retainMs, retainBytesMax }: Topic<unknown>,
): Promise<number> {
  for (let total = 0; ; ) {
    const values = [name, retainMs, retainBytesMax];
    const [row] = await runSql<{ entries: number }>(pool, PRUNE, values, 'bus_prune');
    total += row?.entries ?? 0;
    if ((row?.entries ?? 0) < STEP_ENTRIES) return total;
  }
}

/** Work for the node that leads: prunes all topics each minute until `term` aborts. */
export async function keepPruning(
  pool: pg.Pool,
  topics: readonly Topic<unknown>[],
  log: BusLog,
  term: AbortSignal,
): Promise<void> {
  const signal = createSignal();
  term.addEventListener('abort', signal.wake);
  while (!term.aborted) {
    for (const topic of topics) {
      if (term.aborted) return;
      try {
        const entries = await pruneTopic(pool, topic);
        if (entries > 0) log.info({ topic: topic.name, entries }, 'Old entries were removed');
      } catch (error) {
        log.warn({ err: error, topic: topic.name }, 'Old entries could not be removed');
      }
    }
    await signal.wait(EVERY_MS);
  }
}
