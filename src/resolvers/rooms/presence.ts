import { newId } from '#lib/ids.ts';
import type { RedisClient } from '#redis/client.ts';
import { type Change, createPresenceStore } from '#redis/presence.ts';
import { createPresenceNews, type PresenceState } from './presence-news.ts';
import { createPresencePlace, type PlaceTimes } from './presence-place.ts';
import type { RoomSignals } from './signals.ts';

/** Who is there: an account with at least one live connection, on any node. */
export interface Presence {
  /** A live connection of the account: it is online until the returned function is called, or this node dies. */
  attend(userId: string): () => void;
  /** Throws `UnavailableError` while Redis is away. */
  find(userIds: readonly string[]): Promise<ReadonlyMap<string, PresenceState>>;
  /** Finds who is there no more because their node died; the work of one node at a time. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Together they bound how long a ghost stays after a node was killed: `ttlMs`, a sweep a second, and the seconds
 * in which another node takes over the sweeping, are under 45 seconds; and one heartbeat may be lost before
 * anybody is taken for gone.
 */
export interface PresenceTimes extends PlaceTimes {
  /** How long a node counts that is not heard of. */
  readonly ttlMs: number;
  /** After Redis was away nobody is taken for gone for so long: all nodes speak up again first. */
  readonly steadyMs: number;
}

const TIMES: PresenceTimes = {
  heartbeatMs: 15_000,
  ttlMs: 35_000,
  graceMs: 1_000,
  retryMs: 1_000,
  steadyMs: 5_000,
};

const SWEEP_MAX = 500;
const SWEEP_STEPS_MAX = 20;

/** Nothing of it throws but `find`: what Redis or the bus did not take is said again. */
export function createPresence({
  redis,
  signals,
  onError,
  times: given = {},
}: {
  readonly redis: RedisClient;
  readonly signals: Pick<RoomSignals, 'send'>;
  readonly onError: (error: unknown) => void;
  readonly times?: Partial<PresenceTimes>;
}): Presence {
  const times = { ...TIMES, ...given };
  const store = createPresenceStore(redis, times);
  let troubledAt = performance.now();
  let isClosed = false;

  const find = async (userIds: readonly string[]) => {
    const kept = await store.find(userIds);
    return new Map(
      [...kept].map(([userId, { isOnline, since }]): [string, PresenceState] => [
        userId,
        { isOnline, changedAt: since === null ? null : new Date(since) },
      ]),
    );
  };

  const isSteady = () =>
    redis.status === 'ready' && performance.now() - troubledAt >= times.steadyMs;
  const onReady = () => {
    troubledAt = performance.now();
  };
  redis.on('ready', onReady);

  const news = createPresenceNews({ find, isSteady, onError, retryMs: times.retryMs, signals });
  const tellAll = (changes: readonly Change[]) => {
    for (const { userId, isOnline, at } of changes) {
      news.tell(userId, { isOnline, changedAt: new Date(at) });
    }
  };
  const onTrouble = (userIds: readonly string[], error: unknown) => {
    troubledAt = performance.now();
    for (const userId of userIds) news.doubt(userId);
    // That it is away its client says itself.
    if (redis.status === 'ready') onError(error);
  };
  const place = createPresencePlace({ name: newId(), redis, store, times, tellAll, onTrouble });

  return {
    attend: (userId) => place.attend(userId),
    find,
    async sweep() {
      if (isClosed || !isSteady()) return;
      for (let step = 0; step < SWEEP_STEPS_MAX; step += 1) {
        let due: readonly string[] = [];
        try {
          due = await store.listDue(SWEEP_MAX);
          if (due.length > 0) tellAll(await store.settle(due));
        } catch (error) {
          return onTrouble(due, error);
        }
        if (due.length < SWEEP_MAX) return;
      }
    },
    async close() {
      isClosed = true;
      redis.off('ready', onReady);
      await place.close();
      await news.close();
    },
  };
}
