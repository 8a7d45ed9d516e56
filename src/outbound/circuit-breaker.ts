import { LRUCache } from 'lru-cache';
import { backoffMs } from '#lib/backoff.ts';

/** Says how the call went, exactly once, whatever became of it. */
export type Settle = (isAway: boolean) => void;

/**
 * Spares a host that is away our calls, and our callers the wait for it: after five failures in a row
 * nobody is let through for 10 s; then one at a time is, on trial. A trial that fails doubles the pause,
 * up to 5 min; one that succeeds ends the trouble.
 */
export interface CircuitBreaker {
  /** Lets the caller through, or says in how many milliseconds to ask again. */
  enter(host: string): Settle | number;
}

export const FAILURES_MAX = 5;
const PAUSE = { baseMs: 10_000, maxMs: 300_000, random: 0 };
const TRIAL_WAIT_MS = 1_000;
/** Only hosts in trouble are remembered; past this many the one that nobody has called longest is not. */
export const HOSTS_MAX = 1_000;

interface Trouble {
  failures: number;
  /** Since the last success; 0 while everybody is let through. */
  pauses: number;
  pausedUntilMs: number;
  isOnTrial: boolean;
}

/** `now` is in milliseconds and never goes back. */
export function createCircuitBreaker(now: () => number): CircuitBreaker {
  const troubles = new LRUCache<string, Trouble>({ max: HOSTS_MAX });

  function pause(trouble: Trouble): void {
    trouble.pauses += 1;
    trouble.pausedUntilMs = now() + backoffMs(trouble.pauses, PAUSE);
  }

  return {
    enter(host) {
      const trouble = troubles.get(host);
      if (trouble === undefined || trouble.pauses === 0) {
        return (isAway) => {
          const current = troubles.get(host);
          // Called before the pause began: it knows no more than those that brought it about.
          if (current !== undefined && current.pauses > 0) return;
          if (!isAway) {
            troubles.delete(host);
            return;
          }
          const failed = current ?? { failures: 0, pauses: 0, pausedUntilMs: 0, isOnTrial: false };
          failed.failures += 1;
          troubles.set(host, failed);
          if (failed.failures >= FAILURES_MAX) pause(failed);
        };
      }
      const waitMs = trouble.pausedUntilMs - now();
      if (waitMs > 0) return waitMs;
      if (trouble.isOnTrial) return TRIAL_WAIT_MS;
      trouble.isOnTrial = true;
      return (isAway) => {
        trouble.isOnTrial = false;
        if (isAway) pause(trouble);
        else if (troubles.peek(host) === trouble) troubles.delete(host);
      };
    },
  };
}
