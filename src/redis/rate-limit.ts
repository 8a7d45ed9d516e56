import { hash } from 'node:crypto';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { RateLimitedError } from '#lib/errors.ts';
import type { RedisClient } from './client.ts';

/**
 * `points` in a window that opens with the first of them. Whole seconds, 24 days at most: a timer
 * of the process lasts no longer.
 */
export interface RateLimit {
  readonly points: number;
  readonly perSeconds: number;
}

/** One point of the limit `name` for `key`, which may be secret: Redis sees only its hash. */
export interface WantedPoint<Name extends string> {
  readonly name: Name;
  readonly key: string;
}

export interface Taken {
  /**
   * Returns the points to where they came from, once, unless their window is over. Never throws: a
   * point that cannot be returned stays used until its window ends.
   */
  giveBack(): Promise<void>;
}

export interface RateLimiter<Name extends string> {
  /**
   * Takes one point of each, in one round trip, or throws `RateLimitedError` with the longest of
   * the waits. Call it before what is limited: points are taken atomically, so that what runs at
   * the same time, on any node, cannot share one.
   */
  take(wanted: readonly WantedPoint<Name>[]): Promise<Taken>;
  /** Whether there was a point; it is used then. */
  tryTake(wanted: WantedPoint<Name>): Promise<boolean>;
}

/** One point, given or refused. */
interface Answer {
  readonly isGiven: boolean;
  /** When the window ends, by the clock of this process. */
  readonly endsAt: number;
  giveBack(): Promise<void>;
}

type Budget = (keyHash: string) => Promise<Answer>;

/** How long a refusal is repeated without asking again: the shortest wait that one ever names. */
const REFUSAL_HELD_MS = 1_000;

/**
 * Takes (1) or returns (-1) a point. Unlike the library's own script it does not count a refused
 * take, so that returning one point frees one, and returns none that was not taken: a counter below
 * zero would be points beyond the limit.
 */
const COUNT_POINT = `
  local change = tonumber(ARGV[1])
  local used = tonumber(redis.call('get', KEYS[1]) or '0') + change
  if used <= 0 then
    redis.call('del', KEYS[1])
    return {0, 0}
  end
  if change < 0 or used <= tonumber(ARGV[3]) then
    redis.call('incrby', KEYS[1], ARGV[1])
  end
  local leftMs = redis.call('pttl', KEYS[1])
  if leftMs < 0 then
    redis.call('expire', KEYS[1], ARGV[2])
    leftMs = 1000 * tonumber(ARGV[2])
  end
  return {used, leftMs}`;

/**
 * Limits that all nodes share through Redis. While Redis is away each process counts for itself
 * from zero: the limits hold, but once a process, and what was counted so is forgotten when Redis
 * answers again. A Redis that is connected and silent costs the client's command timeout.
 *
 * When one point is refused, the others of the same take are returned at once: who has used up the
 * budget of his network must not use up that of somebody's login name. It is no free probe for all
 * that: nothing runs, nobody is told which limit it was, and what is spent stays spent.
 */
export function createRateLimiter<Name extends string>(
  redis: RedisClient,
  limits: Readonly<Record<Name, RateLimit>>,
): RateLimiter<Name> {
  const budgets = new Map<string, Budget>();
  for (const [name, limit] of Object.entries<RateLimit>(limits)) {
    budgets.set(name, createBudget(redis, name, limit));
  }
  const refusals = createRefusals();

  async function takePoint(name: Name, keyHash: string, id: string): Promise<Answer> {
    const budget = budgets.get(name);
    if (budget === undefined) throw new TypeError(`No limit is named ${name}.`);
    const answer = await budget(keyHash);
    if (answer.isGiven) {
      const giveBack = () => {
        refusals.forget(id);
        return answer.giveBack();
      };
      return { ...answer, giveBack };
    }
    refusals.remember(id, answer.endsAt);
    return answer;
  }

  async function take(wanted: readonly WantedPoint<Name>[]): Promise<Taken> {
    const points = wanted.map(({ name, key }) => {
      const keyHash = hash('sha256', key, 'base64url');
      return { name, keyHash, id: `${name}:${keyHash}` };
    });
    throwIfAny(points.flatMap(({ id }) => refusals.recall(id) ?? []));
    const answers = await Promise.all(
      points.map(({ name, keyHash, id }) => takePoint(name, keyHash, id)),
    );
    let isTaken = true;
    const giveBack = async () => {
      if (!isTaken) return;
      isTaken = false;
      await Promise.all(answers.filter(({ isGiven }) => isGiven).map((given) => given.giveBack()));
    };
    const refused = answers.filter(({ isGiven }) => !isGiven);
    if (refused.length > 0) await giveBack();
    throwIfAny(refused.map(({ endsAt }) => endsAt));
    return { giveBack };
  }

  async function tryTake(wanted: WantedPoint<Name>): Promise<boolean> {
    try {
      await take([wanted]);
      return true;
    } catch (error) {
      if (error instanceof RateLimitedError) return false;
      throw error;
    }
  }
  return { take, tryTake };
}

function throwIfAny(refusedUntil: readonly number[]): void {
  if (refusedUntil.length === 0) return;
  const waitMs = Math.max(...refusedUntil) - Date.now();
  const waitSeconds = Math.max(1, Math.ceil(waitMs / 1_000));
  throw new RateLimitedError(`Too many attempts: try again in ${waitSeconds} s.`, waitSeconds);
}

function createBudget(redis: RedisClient, name: string, limit: RateLimit): Budget {
  const options = { keyPrefix: `limit:${name}`, points: limit.points, duration: limit.perSeconds };
  const shared = new RateLimiterRedis({
    ...options,
    storeClient: redis,
    // Else a command would wait for the connection, and every caller with it.
    rejectIfRedisNotReady: true,
    customIncrTtlLuaScript: COUNT_POINT,
  });
  const own = new RateLimiterMemory(options);
  // The library can fall back by itself, but then nobody knows where a point is to be returned to.
  return async (keyHash) => {
    try {
      return await askForPoint(shared, keyHash);
    } catch {
      const answer = await askForPoint(own, keyHash);
      // In memory the library counts refused takes, too.
      if (!answer.isGiven) await answer.giveBack();
      return answer;
    }
  };
}

/** Rejects when the limiter cannot be asked. */
async function askForPoint(
  limiter: RateLimiterRedis | RateLimiterMemory,
  keyHash: string,
): Promise<Answer> {
  const askedAt = Date.now();
  const answer = (isGiven: boolean, { msBeforeNext }: RateLimiterRes): Answer => {
    const endsAt = askedAt + msBeforeNext;
    const giveBack = async () => {
      // In the next window it would be a point beyond the limit.
      if (Date.now() < endsAt) await limiter.reward(keyHash).catch(() => {});
    };
    return { isGiven, endsAt, giveBack };
  };
  try {
    return answer(true, await limiter.consume(keyHash));
  } catch (reason) {
    if (reason instanceof RateLimiterRes) return answer(false, reason);
    throw reason;
  }
}

/**
 * Remembers for a moment what was refused. A flood of takes that are refused anyway would else hold
 * the points of others, each for a round trip, and all of them all the time; so it does not even
 * reach Redis, but for the first take a second.
 */
function createRefusals() {
  const refusals = new Map<string, { readonly heldUntil: number; readonly endsAt: number }>();
  return {
    /** When the window ends that had no point left. */
    recall(id: string): number | null {
      const refusal = refusals.get(id);
      return refusal !== undefined && Date.now() < refusal.heldUntil ? refusal.endsAt : null;
    },
    remember(id: string, endsAt: number): void {
      const now = Date.now();
      refusals.delete(id);
      refusals.set(id, { heldUntil: Math.min(now + REFUSAL_HELD_MS, endsAt), endsAt });
      // All are held equally long: the oldest stand first.
      for (const [oldest, { heldUntil }] of refusals) {
        if (now < heldUntil) break;
        refusals.delete(oldest);
      }
    },
    forget(id: string): void {
      refusals.delete(id);
    },
  };
}
