import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { RedisClient } from '#redis/client.ts';

/** Gives the lease back; never throws. */
export type Release = () => Promise<void>;

/** Longer than most asking takes, and no longer than a node that died may keep the others waiting. */
const HELD_MS_MAX = 30_000;
const WAIT_MS_MAX = 5_000;
const LOOK_MS = 100;

/**
 * Lets one node at a time ask about a user. Null when `isAnswered` said, while this node waited for another,
 * that there is nothing left to ask. It saves calls and decides nothing: without Redis, and after 5 s of
 * waiting, the caller goes ahead, and PostgreSQL refuses the older of two answers.
 */
export async function takeLease(
  redis: RedisClient,
  userId: string,
  isAnswered: () => Promise<boolean>,
): Promise<Release | null> {
  const key = `github-permissions:${userId}`;
  const holder = randomUUID();
  const giveUpAt = performance.now() + WAIT_MS_MAX;
  while (redis.status === 'ready' && performance.now() < giveUpAt) {
    const taken = await redis.set(key, holder, 'PX', HELD_MS_MAX, 'NX').catch(() => undefined);
    if (taken === undefined) break;
    if (taken === 'OK') return () => release(redis, key, holder);
    if (await isAnswered()) return null;
    await delay(LOOK_MS, undefined, { ref: false });
  }
  return async () => {};
}

async function release(redis: RedisClient, key: string, holder: string): Promise<void> {
  try {
    // Another's by now, where this one has run out. In between it may do so too: then two nodes ask.
    if ((await redis.get(key)) === holder) await redis.del(key);
  } catch {
    // It runs out by itself.
  }
}
