// What waits for somebody who takes it one by one.
import type { Asides } from '#feeds/follow.ts';

export type ListenedAsides<Value> = Asides<Value> & Required<Pick<Asides<Value>, 'listen'>>;

export interface Latest<Value> {
  /** In the place of what waits under the same name, else behind all that waits. */
  set(name: string, value: Value): void;
  /** What waits under the name gives up its place. */
  drop(name: string): void;
  readonly size: number;
  readonly asides: ListenedAsides<Value>;
}

/** Bounded: of what nobody takes the oldest goes. */
const WAITING_MAX = 4_096;

/** The latest value of each name, in the order in which the names came to wait. */
export function createLatest<Value>(): Latest<Value> {
  const waiting = new Map<string, Value>();
  const wakers = new Set<() => void>();
  return {
    set(name, value) {
      waiting.set(name, value);
      const [oldest] = waiting.keys();
      if (waiting.size > WAITING_MAX && oldest !== undefined) waiting.delete(oldest);
      for (const wake of [...wakers]) wake();
    },
    drop(name) {
      waiting.delete(name);
    },
    get size() {
      return waiting.size;
    },
    asides: {
      isEmpty: () => waiting.size === 0,
      take() {
        for (const [name, value] of waiting) {
          waiting.delete(name);
          return value;
        }
        return null;
      },
      listen(wake) {
        wakers.add(wake);
        return () => void wakers.delete(wake);
      },
    },
  };
}
