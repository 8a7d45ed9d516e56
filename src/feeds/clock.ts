/** Time as feeds see it, so that tests can let it pass. */
export interface FeedClock {
  /** Milliseconds from any start; never runs back. */
  now(): number;
  /** Calls `tick` this often until what it answers with is called. */
  every(intervalMs: number, tick: () => void): () => void;
}

export const systemClock: FeedClock = {
  now: () => performance.now(),
  every(intervalMs, tick) {
    const timer = setInterval(tick, intervalMs);
    return () => clearInterval(timer);
  },
};
