import type pg from 'pg';
import { backoffMs } from '#lib/backoff.ts';
import type { Subscription, TailOptions } from './bus.ts';
import type { BusLog } from './log.ts';
import { readHead, readSlice } from './postgres-log.ts';
import type { PostgresSession } from './postgres-session.ts';
import { createSignal } from './signal.ts';
import { createTailGroup } from './tail-group.ts';
import type { Topic } from './topic.ts';

export interface PostgresTails<P> {
  /** Throws `UnavailableError` when the head cannot be read. */
  open(options: TailOptions<P>): Promise<Subscription>;
  close(): Promise<void>;
}

const SLICE_ENTRIES_MAX = 500;

/** All tails of one topic on this node: one reader that runs while there is any. */
export function createPostgresTails<P>(
  pool: pg.Pool,
  session: PostgresSession,
  topic: Topic<P>,
  log: BusLog,
): PostgresTails<P> {
  const group = createTailGroup(topic, log);
  const signal = createSignal();
  let running: Promise<void> | null = null;

  async function run(): Promise<void> {
    const unwatch = session.watch(topic.name, signal.wake);
    for (let failures = 0; !group.isEmpty(); ) {
      try {
        if (await advance()) continue;
        failures = 0;
        await signal.wait();
      } catch (error) {
        failures++;
        log.warn({ err: error, topic: topic.name, failures }, 'A topic could not be read');
        const random = Math.random();
        await signal.wait(backoffMs(failures, { baseMs: 100, maxMs: 2_000, random }));
      }
    }
    unwatch();
    running = null;
    // Somebody may have come while the last look was under way.
    if (!group.isEmpty()) running = run();
  }

  /** True when there may be more at once. */
  async function advance(): Promise<boolean> {
    const from = group.furthestBack();
    if (from === null) return false;
    const mark = group.mark();
    const slice = await readSlice(pool, topic.name, from.sequence, SLICE_ENTRIES_MAX);
    if (slice === null) return false;
    const { incarnation, lastSequence, entries } = slice;
    if (group.observe(mark, incarnation, lastSequence)) return true;
    let after = from.sequence;
    for (const entry of entries) {
      group.deliver(after, entry);
      after = entry.place.sequence;
    }
    if (entries.length === 0) group.skipTo(after, lastSequence);
    return entries.length > 0 && after < lastSequence;
  }

  return {
    async open(options) {
      const place = options.from === 'head' ? await readHead(pool, topic.name) : options.from;
      group.add(place, options);
      running ??= run();
      signal.wake();
      return {
        async close() {
          group.remove(options);
          signal.wake();
          if (group.isEmpty()) await running;
        },
      };
    },
    async close() {
      group.clear();
      signal.wake();
      await running;
    },
  };
}
