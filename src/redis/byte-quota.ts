import { UnavailableError } from '#lib/errors.ts';
import type { RedisClient } from './client.ts';

const DAY_SECONDS = 86_400;

/** `secondsLeft`: until the day's counter starts again, at midnight UTC. */
export interface QuotaAnswer {
  readonly isWithin: boolean;
  readonly secondsLeft: number;
}

/**
 * Counts bytes against a daily budget shared by all nodes. What does not fit is not counted, so a
 * flood of refused bodies cannot eat the budget. Throws `UnavailableError` when Redis is away: a
 * quota that fails open is none.
 */
export async function takeDailyBytes(
  redis: RedisClient,
  input: {
    readonly name: string;
    readonly bytes: number;
    readonly limitBytes: number;
    readonly now: Date;
  },
): Promise<QuotaAnswer> {
  const day = input.now.toISOString().slice(0, 10);
  const key = `bytes-per-day:${input.name}:${day}`;
  const midnight = Date.parse(`${day}T00:00:00Z`) + DAY_SECONDS * 1000;
  const secondsLeft = Math.max(1, Math.ceil((midnight - input.now.getTime()) / 1000));
  try {
    const taken = await redis.incrby(key, input.bytes);
    await redis.expire(key, 2 * DAY_SECONDS);
    if (taken <= input.limitBytes) return { isWithin: true, secondsLeft };
    await redis.decrby(key, input.bytes);
    return { isWithin: false, secondsLeft };
  } catch (cause) {
    throw new UnavailableError('The daily quota cannot be counted', { cause });
  }
}
