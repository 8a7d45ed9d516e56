/** Wakes a loop that sleeps. A call of `wake` while nobody waits is remembered once. */
export interface Signal {
  readonly wake: () => void;
  /** Resolves at the next `wake`, or after `timeoutMs`. */
  wait(timeoutMs?: number): Promise<void>;
}

export function createSignal(): Signal {
  let pending = false;
  let release: (() => void) | null = null;
  return {
    wake() {
      pending = true;
      release?.();
    },
    async wait(timeoutMs) {
      if (!pending) {
        await new Promise<void>((resolve) => {
          const timer = timeoutMs === undefined ? null : setTimeout(resolve, timeoutMs);
          release = () => {
            if (timer) clearTimeout(timer);
            resolve();
          };
        });
      }
      release = null;
      pending = false;
    },
  };
}
