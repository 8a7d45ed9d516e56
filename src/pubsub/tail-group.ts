// All tails of one topic on one node share one reader. Each keeps its own place, so that a tail which
// starts further back makes the reader read again from there, and the others skip what they have seen.

import type { Entry, Place, TailOptions } from './bus.ts';
import { openEntry, type StoredEntry } from './entry.ts';
import type { BusLog } from './log.ts';
import type { Topic } from './topic.ts';

export interface TailGroup<P> {
  /** `place` is where the tail stands: what follows it is delivered. */
  add(place: Place, options: TailOptions<P>): void;
  remove(options: TailOptions<P>): void;
  clear(): void;
  isEmpty(): boolean;
  /** Where the reader has to go on: the place furthest back. Null when nobody reads. */
  furthestBack(): Place | null;
  /** Who is here now; what is asked of the log hereafter is newer than all their places. */
  mark(): number;
  /**
   * Tells those of `mark` how the log stands. Tails of another incarnation, or ahead of the log, have
   * lost entries: they are told and moved. True when a place changed, so that the reader starts again.
   */
  observe(mark: number, incarnation: string, lastSequence: bigint): boolean;
  /**
   * The next entry found after the sequence `after`: nothing is kept between the two, and a tail that
   * stood there has lost it. Tails further back, which came meanwhile, are not concerned.
   */
  deliver(after: bigint, stored: StoredEntry): void;
  /** Nothing is kept between `after` and the end, which is `sequence`. */
  skipTo(after: bigint, sequence: bigint): void;
}

interface Tail<P> {
  place: Place;
  readonly joined: number;
  readonly options: TailOptions<P>;
}

export function createTailGroup<P>(topic: Topic<P>, log: BusLog): TailGroup<P> {
  const tails = new Map<TailOptions<P>, Tail<P>>();
  let joins = 0;

  function guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      log.error({ err: error, topic: topic.name }, 'A tail threw; it goes on with the next entry');
    }
  }

  function lose(tail: Tail<P>, place: Place, reason: string): void {
    const after = tail.place;
    tail.place = place;
    log.warn({ topic: topic.name, after, place, reason }, 'A tail has lost entries');
    guard(() => tail.options.onLoss({ after, reason }));
  }

  function open(stored: StoredEntry): Entry<P> | null {
    try {
      return openEntry(topic, stored);
    } catch (error) {
      log.error({ err: error, topic: topic.name, place: stored.place }, 'An entry cannot be read');
      return null;
    }
  }

  return {
    add: (place, options) => void tails.set(options, { place, joined: ++joins, options }),
    remove: (options) => void tails.delete(options),
    clear: () => tails.clear(),
    isEmpty: () => tails.size === 0,
    furthestBack() {
      let back: Place | null = null;
      for (const { place } of tails.values()) {
        if (back === null || place.sequence < back.sequence) back = place;
      }
      return back;
    },
    mark: () => joins,
    observe(mark, incarnation, lastSequence) {
      let moved = false;
      for (const tail of tails.values()) {
        if (tail.joined > mark) continue;
        if (tail.place.incarnation !== incarnation) {
          lose(tail, { incarnation, sequence: 0n }, 'The log was made anew');
        } else if (tail.place.sequence > lastSequence) {
          lose(tail, { incarnation, sequence: lastSequence }, 'The log ends before this place');
        } else continue;
        moved = true;
      }
      return moved;
    },
    deliver(after, stored) {
      const { place } = stored;
      let entry: Entry<P> | null | undefined;
      for (const tail of tails.values()) {
        if (tail.place.incarnation !== place.incarnation) continue;
        if (tail.place.sequence < after || tail.place.sequence >= place.sequence) continue;
        const before = { ...place, sequence: place.sequence - 1n };
        if (tail.place.sequence < before.sequence) lose(tail, before, 'Entries were removed');
        if (entry === undefined) entry = open(stored);
        if (entry === null) lose(tail, place, 'An entry cannot be read');
        else {
          tail.place = place;
          const readable = entry;
          guard(() => tail.options.onEntry(readable));
        }
      }
    },
    skipTo(after, sequence) {
      for (const tail of tails.values()) {
        if (tail.place.sequence >= after && tail.place.sequence < sequence) {
          lose(tail, { ...tail.place, sequence }, 'Entries were removed');
        }
      }
    },
  };
}
