// What this node holds of budgets that all nodes share, so that few takes ask Redis (docs/decisions/0024).
import type { GivenUnits, Quota, Quotas } from './quota.ts';

/** One budget, by key. */
export interface Shares {
  /** All or nothing: at once where this node holds as much, and else as Redis says. Never rejects. */
  take(key: string, units: number): GivenUnits | Promise<GivenUnits>;
  /** No more than was taken, and `isLocal` as the take said. Never throws. */
  giveBack(key: string, units: number, isLocal: boolean): void;
}

export interface SharesOptions {
  readonly name: string;
  readonly quota: Quota;
  /** Milliseconds that never run backwards. */
  readonly now?: () => number;
}

interface Share {
  /** Taken from Redis, and used by nobody: 0 to the size of a share. */
  units: number;
  /** What was left in Redis beside them. */
  left: number;
  /** When Redis said so. */
  askedAt: number;
  isFetching: boolean;
}

/** Of a limit. Where a node dies with one, it is back after this part of the window. */
const SHARES_A_LIMIT = 50;
/** Where less than so many shares are left, nobody holds what others may need. */
const SPARED_SHARES = 4;
/** Then units that nobody used go back, and Redis is asked how things stand. */
const KEPT_MS = 2_000;
const SWEEP_MS = 500;
/** Beyond, those that were asked for longest ago go back. */
const SHARES_MAX = 20_000;

/**
 * Every unit that is held was taken from Redis before, so that together the nodes never give more than
 * there is; units of a node that dies come back with time. Whoever asks Redis first returns what is
 * held, in the same call: a budget that one node uses is counted as exactly as without shares. Units
 * that the process counted while Redis was away are never held.
 */
export function createShares(
  quotas: Quotas,
  { name, quota, now = () => performance.now() }: SharesOptions,
): Shares {
  const size = Math.floor(quota.limit / SHARES_A_LIMIT);
  const perMs = quota.limit / (quota.windowSeconds * 1_000);
  // In the order in which Redis was asked.
  const shares = new Map<string, Share>();
  let isSweeping = false;

  const budgetOf = (key: string) => ({ name, key, quota });

  const leftOf = ({ left, askedAt }: Share, at: number) =>
    Math.min(quota.limit, left + (at - askedAt) * perMs);

  const isFresh = ({ askedAt }: Share, at: number) => at - askedAt < KEPT_MS;

  const maySpare = (share: Share, at: number) => leftOf(share, at) >= SPARED_SHARES * size;

  function returnToRedis(key: string, share: Share, units: number): void {
    if (units <= 0) return;
    quotas.giveBack([{ ...budgetOf(key), units, isLocal: false }]);
    share.left += units;
  }

  /** As much of it as a share has room for, and as nobody else may need. */
  function hold(key: string, share: Share, units: number, at: number): void {
    const kept = maySpare(share, at) ? Math.min(units, size - share.units) : 0;
    share.units += kept;
    returnToRedis(key, share, units - kept);
  }

  function empty(key: string, share: Share): void {
    const { units } = share;
    share.units = 0;
    returnToRedis(key, share, units);
  }

  function drop(key: string, share: Share): void {
    shares.delete(key);
    empty(key, share);
  }

  function place(key: string, share: Share): void {
    shares.delete(key);
    shares.set(key, share);
    const [oldest] = shares.size > SHARES_MAX ? shares : [];
    if (oldest !== undefined) drop(...oldest);
    sweepLater();
  }

  function sweepLater(): void {
    if (isSweeping) return;
    isSweeping = true;
    setTimeout(sweep, SWEEP_MS).unref();
  }

  function sweep(): void {
    isSweeping = false;
    const at = now();
    for (const [key, share] of shares) {
      if (isFresh(share, at)) break;
      drop(key, share);
    }
    if (shares.size > 0) sweepLater();
  }

  async function ask(key: string, units: number): Promise<GivenUnits> {
    const at = now();
    // Of a key that Redis was not asked for lately, nobody else is expected to need much.
    const share = shares.get(key) ?? {
      units: 0,
      left: quota.limit,
      askedAt: at,
      isFetching: false,
    };
    if (!shares.has(key)) place(key, share);
    const mayFetch = !share.isFetching && maySpare(share, at);
    // It arrives before what is asked for now.
    empty(key, share);
    const wanted = { ...budgetOf(key), units, isDivisible: false };
    const spare = mayFetch ? Math.max(0, size - units) : 0;
    if (spare === 0) return answered(key, share, await quotas.take([wanted]));
    share.isFetching = true;
    const answer = await quotas.take([wanted, { ...wanted, units: spare, isDivisible: true }]);
    share.isFetching = false;
    return answered(key, share, answer);
  }

  function answered(
    key: string,
    share: Share,
    [given, fetched]: readonly GivenUnits[],
  ): GivenUnits {
    if (given === undefined) throw new Error('Every wish is answered.');
    const more = fetched?.given ?? 0;
    if (given.isLocal) {
      if (more > 0) quotas.giveBack([{ ...budgetOf(key), units: more, isLocal: true }]);
      if (shares.get(key) === share) drop(key, share);
      return given;
    }
    share.left = (fetched ?? given).remaining;
    share.askedAt = now();
    if (shares.get(key) === share) {
      place(key, share);
      hold(key, share, more, share.askedAt);
    } else {
      // Forgotten meanwhile: nobody would look for it here.
      returnToRedis(key, share, more);
    }
    return given;
  }

  function grant(share: Share, units: number, at: number): GivenUnits {
    share.units -= units;
    const remaining = Math.min(quota.limit, leftOf(share, at) + share.units);
    return {
      given: units,
      remaining: Math.floor(remaining),
      resetSeconds: Math.ceil((quota.limit - remaining) / perMs / 1_000 - 1e-6),
      retryAfterSeconds: 0,
      isLocal: false,
    };
  }

  return {
    take(key, units) {
      const share = shares.get(key);
      const at = now();
      if (share !== undefined && units >= 0 && units <= share.units && isFresh(share, at)) {
        return grant(share, units, at);
      }
      return ask(key, units);
    },
    giveBack(key, units, isLocal) {
      const share = shares.get(key);
      if (!(units > 0)) return;
      if (share === undefined || isLocal) {
        quotas.giveBack([{ ...budgetOf(key), units, isLocal }]);
      } else hold(key, share, units, now());
    },
  };
}
