// Chance that can be repeated: every actor draws from a stream of its own, so that what one draws does not
// depend on how far another has got.
import { createHash } from 'node:crypto';

export interface Chance {
  /** From 0 up to, and without, 1. */
  next(): number;
  /** A whole number from `minimum` to `maximum`, both included. */
  between(minimum: number, maximum: number): number;
  pick<Value>(values: readonly [Value, ...Value[]]): Value;
  /** True this often, e.g. 0.1 for one time in ten. */
  happens(probability: number): boolean;
}

/** The same seed and name give the same stream, on every machine. */
export function createChance(seed: number, name: string): Chance {
  let state = createHash('sha256').update(`${seed}/${name}`).digest().readUInt32BE();
  // Mulberry32: 32 bits of state are plenty for a schedule.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (minimum, maximum) => minimum + Math.floor(next() * (maximum - minimum + 1)),
    pick: (values) => values[Math.floor(next() * values.length)] ?? values[0],
    happens: (probability) => next() < probability,
  };
}
