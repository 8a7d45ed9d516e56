interface Waiting<Key, Value> {
  readonly key: Key;
  readonly resolve: (value: Value | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export interface BatchOptions {
  /** Loads under way at once; what is asked meanwhile goes together into the next one. */
  readonly concurrency: number;
  readonly keysMax: number;
}

/**
 * Joins calls into few loads without ever answering from the past: a load begins after every call
 * that it answers. The busier it is, the more calls share one load. A key absent from the answer
 * resolves to undefined.
 */
export function createBatcher<Key, Value>(
  load: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
  { concurrency, keysMax }: BatchOptions,
): (key: Key) => Promise<Value | undefined> {
  let waiting: Waiting<Key, Value>[] = [];
  let underWay = 0;
  let scheduled = false;

  const run = async () => {
    scheduled = false;
    if (underWay >= concurrency || waiting.length === 0) return;
    const batch = waiting.slice(0, keysMax);
    waiting = waiting.slice(keysMax);
    underWay += 1;
    try {
      const values = await load([...new Set(batch.map(({ key }) => key))]);
      for (const { key, resolve } of batch) resolve(values.get(key));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      underWay -= 1;
      schedule();
    }
  };

  const schedule = () => {
    if (scheduled || underWay >= concurrency || waiting.length === 0) return;
    scheduled = true;
    // After the turn's other requests have been read, so that they go along.
    setImmediate(() => void run());
  };

  return (key) =>
    new Promise((resolve, reject) => {
      waiting.push({ key, resolve, reject });
      schedule();
    });
}
