// A durable consumer: one node leads it at a time. What a handler could not take becomes a row of its own
// with its next attempt's time, so that the floor moves on and a poison entry blocks nothing.

import type pg from 'pg';
import { backoffMs } from '#lib/backoff.ts';
import { UnavailableError } from '#lib/errors.ts';
import {
  ATTEMPTS_MAX_DEFAULT,
  attemptBatch,
  BATCH_MAX_DEFAULT,
  type Outcome,
  RETRY,
} from './attempt.ts';
import type { ConsumeOptions, Place, Subscription } from './bus.ts';
import type { StoredEntry } from './entry.ts';
import type { BusLog } from './log.ts';
import { createFailureStore } from './postgres-failures.ts';
import { type LogSlice, readSlice } from './postgres-log.ts';
import type { PostgresSession } from './postgres-session.ts';
import { runSql } from './postgres-sql.ts';
import { createSignal } from './signal.ts';
import type { Topic } from './topic.ts';

// A consumer that is new begins at the oldest entry kept.
const LOAD_FLOOR = `
  WITH made AS (
    INSERT INTO bus_consumer (topic, name, incarnation, floor)
    SELECT t.name, $2, t.incarnation, coalesce(
      (SELECT min(sequence) - 1 FROM bus_entry WHERE topic = t.name), t.last_sequence)
    FROM bus_topic t WHERE t.name = $1
    ON CONFLICT DO NOTHING
    RETURNING incarnation, floor
  )
  SELECT incarnation, floor FROM made
  UNION ALL SELECT incarnation, floor FROM bus_consumer WHERE topic = $1 AND name = $2`;

// Compared and set: a node whose lock was lost unnoticed must not move the floor of its successor.
const MOVE_FLOOR = `
  UPDATE bus_consumer SET incarnation = $5, floor = $6
  WHERE topic = $1 AND name = $2 AND incarnation = $3 AND floor = $4
  RETURNING 1`;

export function openPostgresConsumer<P>(
  pool: pg.Pool,
  session: PostgresSession,
  topic: Topic<P>,
  options: ConsumeOptions<P>,
  log: BusLog,
): Subscription {
  const { name, handle } = options;
  const batchMax = options.batchMax ?? BATCH_MAX_DEFAULT;
  const attemptsMax = options.attemptsMax ?? ATTEMPTS_MAX_DEFAULT;
  const about = { topic: topic.name, consumer: name };
  const failures = createFailureStore(pool, topic.name, name);
  const signal = createSignal();
  let floor: Place | null = null;

  async function work(term: AbortSignal): Promise<void> {
    const unwatch = session.watch(topic.name, signal.wake);
    term.addEventListener('abort', signal.wake);
    floor = null;
    for (let outages = 0; !term.aborted; ) {
      try {
        const retryInMs = await retryOne(term);
        const moved = await takeBatch(term);
        outages = 0;
        if (retryInMs > 0 && !moved) await signal.wait(retryInMs);
      } catch (error) {
        outages++;
        const fields = { ...about, err: error, outages };
        if (error instanceof UnavailableError) log.warn(fields, 'A consumer waits');
        else log.error(fields, 'A consumer failed');
        const waitMs = backoffMs(outages, { baseMs: 250, maxMs: 5_000, random: Math.random() });
        // Not woken by news: the wait is for what is down.
        const until = performance.now() + waitMs;
        while (!term.aborted && performance.now() < until) {
          await signal.wait(Math.max(1, until - performance.now()));
        }
      }
    }
    unwatch();
  }

  /** Tries again what is due longest; returns the time until there is another one. */
  async function retryOne(term: AbortSignal): Promise<number> {
    const next = await failures.next();
    if (next === null) return IDLE_MS;
    if (next.stored === null) return Math.min(next.dueInMs, IDLE_MS);
    const { stored, attempts } = next;
    const { outcomes, outage } = await attemptBatch(topic, [stored], handle, term);
    const [outcome] = outcomes;
    if (outcome?.kind === 'handled') await failures.remove(stored.id);
    if (outcome?.kind === 'failed') await noteFailure(stored, attempts + 1, outcome.reason);
    if (outage) throw outage;
    return 0;
  }

  /** False when there was nothing to do. */
  async function takeBatch(term: AbortSignal): Promise<boolean> {
    if (term.aborted) return false;
    floor ??= await loadFloor();
    if (floor === null) return false;
    const slice = await readSlice(pool, topic.name, floor.sequence, batchMax);
    if (slice === null) return false;
    const kept = placeBefore(slice, floor);
    if (kept.incarnation !== floor.incarnation || kept.sequence !== floor.sequence) {
      log.error({ ...about, floor, kept }, 'A consumer has lost entries that were not handled');
      await moveFloor(kept);
      return true;
    }
    if (slice.entries.length === 0) return false;
    const { outcomes, outage } = await attemptBatch(topic, slice.entries, handle, term);
    await settle(slice.entries, outcomes);
    if (outage) throw outage;
    return true;
  }

  // The failures' rows first: were the floor moved before them, a kill in between would lose them.
  async function settle(entries: readonly StoredEntry[], outcomes: readonly Outcome[]) {
    let last: Place | null = null;
    for (const [index, stored] of entries.entries()) {
      const outcome = outcomes[index];
      if (!outcome || outcome.kind === 'untouched') break;
      if (outcome.kind === 'failed') await noteFailure(stored, 1, outcome.reason);
      last = stored.place;
    }
    if (last) await moveFloor(last);
  }

  async function noteFailure(stored: StoredEntry, attempts: number, reason: string) {
    const fields = { ...about, entryId: stored.id, attempts, reason };
    const parked = attempts >= attemptsMax;
    if (parked) log.error(fields, 'An entry is parked as a dead letter');
    else log.warn(fields, 'An entry could not be handled; it is tried again');
    const retryInMs = parked ? null : backoffMs(attempts, { ...RETRY, random: Math.random() });
    await failures.note(stored, attempts, reason, retryInMs);
  }

  async function loadFloor(): Promise<Place | null> {
    const [row] = await runSql<{ incarnation: string; floor: string }>(pool, LOAD_FLOOR, [
      topic.name,
      name,
    ]);
    return row ? { incarnation: row.incarnation, sequence: BigInt(row.floor) } : null;
  }

  async function moveFloor(to: Place): Promise<void> {
    const from = floor;
    // Whatever happens to the statement, the next batch starts from what is stored.
    floor = null;
    if (from === null) return;
    const values = [from.incarnation, `${from.sequence}`, to.incarnation, `${to.sequence}`];
    const moved = await runSql(pool, MOVE_FLOOR, [topic.name, name, ...values], 'bus_floor');
    if (moved.length > 0) floor = to;
    else log.warn({ ...about, from, to }, 'Another node has taken over a consumer');
  }

  return session.lead(`${topic.name}:${name}`, work);
}

// Without a failure in sight a consumer is woken by news only; this is its own net below that.
const IDLE_MS = 60_000;

/** Where the consumer has to stand so that the slice follows: elsewhere than at its floor after a loss. */
function placeBefore(slice: LogSlice, floor: Place): Place {
  const { incarnation, lastSequence } = slice;
  if (incarnation !== floor.incarnation) return { incarnation, sequence: 0n };
  const [first] = slice.entries;
  const sequence = first ? first.place.sequence - 1n : lastSequence;
  return { incarnation, sequence };
}
