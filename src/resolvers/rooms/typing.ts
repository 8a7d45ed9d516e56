import { UnavailableError } from '#lib/errors.ts';
import { withDeadline } from '#pubsub/deadline.ts';
import type { RedisClient } from '#redis/client.ts';
import { createTypingStore, type TypingTimes } from '#redis/typing.ts';
import type { RoomSignals } from './signals.ts';

export interface Typist {
  readonly userId: string;
  readonly connectionId: string | null;
}

/** Who is typing in a channel; each says so again every 3 seconds, and is forgotten after 6. */
export interface Typing {
  /**
   * Tells the channel's followers, unless they were told the same within 3 seconds. Never throws: while Redis is
   * away each node counts those seconds for itself, and while the bus is away nobody is told.
   */
  set(channel: string, typist: Typist, isTyping: boolean): Promise<void>;
  /** Ids of the accounts. Throws `UnavailableError` while Redis is away. */
  find(channel: string): Promise<readonly string[]>;
}

const TIMES: TypingTimes = { typingMs: 6_000, againMs: 3_000 };
const LOCAL_MAX = 10_000;
/** So that what one typist says arrives in its order; longer nobody waits for a bus that is away. */
const TOLD_WITHIN_MS = 1_000;

export function createTyping({
  redis,
  signals,
  onError,
  times: given = {},
}: {
  readonly redis: RedisClient;
  readonly signals: Pick<RoomSignals, 'send'>;
  readonly onError: (error: unknown) => void;
  readonly times?: Partial<TypingTimes>;
}): Typing {
  const times = { ...TIMES, ...given };
  const store = createTypingStore(redis, times);
  /** What was told last and when, the oldest first; only while Redis is away. */
  const told = new Map<string, { readonly isTyping: boolean; readonly at: number }>();

  function isNewHere(channel: string, userId: string, isTyping: boolean): boolean {
    const name = `${userId} ${channel}`;
    const last = told.get(name);
    const at = performance.now();
    if (last?.isTyping === isTyping && at - last.at < times.againMs) return false;
    told.delete(name);
    told.set(name, { isTyping, at });
    const [oldest] = told.keys();
    if (told.size > LOCAL_MAX && oldest !== undefined) told.delete(oldest);
    return true;
  }

  async function isNew(channel: string, userId: string, isTyping: boolean): Promise<boolean> {
    try {
      return await store.set(channel, userId, isTyping);
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      return isNewHere(channel, userId, isTyping);
    }
  }

  return {
    async set(channel, { userId, connectionId }, isTyping) {
      try {
        if (!(await isNew(channel, userId, isTyping))) return;
        const telling = signals.send(channel, { type: 'TYPING', userId, isTyping, connectionId });
        await withDeadline(telling, TOLD_WITHIN_MS);
      } catch (error) {
        onError(error);
      }
    },
    find: (channel) => store.find(channel),
  };
}
