import type { Bus, Subscription } from '#pubsub/bus.ts';
import type { Topic } from '#pubsub/topic.ts';

/** Whether anything has happened on a topic, for what is remembered only until then. */
export interface TopicVersions {
  /**
   * Another number after each entry. Null while this node may not hear of one: nothing may be
   * remembered then, nor be believed that was. Listens from the first question on.
   */
  of(topic: Topic<unknown>): number | null;
  close(): Promise<void>;
}

interface Heard {
  version: number;
  isOpen: boolean;
  retryAt: number;
  tail: Promise<Subscription | null> | null;
}

export interface TopicVersionsOptions {
  readonly bus: Pick<Bus, 'tail' | 'check'>;
  readonly onError: (error: unknown) => void;
  /** How often the bus is asked whether it is there, while anybody wants to know of a topic. */
  readonly checkMs?: number;
}

/** One tail a node and topic, whoever asks. Opened when first asked for. */
export function createTopicVersions(options: TopicVersionsOptions): TopicVersions {
  const { bus, onError, checkMs = 1_000 } = options;
  const heard = new Map<Topic<unknown>, Heard>();
  let isAway = false;
  let isChecking = false;
  let checkAt = 0;
  let closed = false;

  const open = (topic: Topic<unknown>, one: Heard) => {
    const advance = () => {
      one.version += 1;
    };
    one.tail = bus
      .tail(topic, { from: 'head', onEntry: advance, onLoss: advance })
      .then((subscription) => {
        one.isOpen = true;
        return subscription;
      })
      .catch((error: unknown) => {
        one.tail = null;
        one.retryAt = performance.now() + checkMs;
        onError(error);
        return null;
      });
  };

  /** A tail does not say that its server is away: it waits, and goes on where it was. */
  const check = async () => {
    isChecking = true;
    try {
      await bus.check();
      // What was remembered before is from before an outage: its news may still be on their way.
      if (isAway) for (const one of heard.values()) one.version += 1;
      isAway = false;
    } catch (error) {
      if (!isAway) onError(error);
      isAway = true;
    } finally {
      isChecking = false;
      checkAt = performance.now() + checkMs;
    }
  };

  return {
    of(topic) {
      if (closed) return null;
      const one = heard.get(topic) ?? { version: 0, isOpen: false, retryAt: 0, tail: null };
      heard.set(topic, one);
      const now = performance.now();
      if (one.tail === null && now >= one.retryAt) open(topic, one);
      if (!isChecking && now >= checkAt) void check();
      return one.isOpen && !isAway ? one.version : null;
    },
    async close() {
      closed = true;
      await Promise.all([...heard.values()].map(async ({ tail }) => (await tail)?.close()));
    },
  };
}
