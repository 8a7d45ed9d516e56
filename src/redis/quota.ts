import type { RedisClient } from './client.ts';
import { createLocalMeters, createSharedMeters, type Entry } from './quota-meters.ts';

/** `limit` units, which come back evenly over `windowSeconds`. Both are above zero. */
export interface Quota {
  readonly limit: number;
  readonly windowSeconds: number;
}

export interface Budget {
  /** Of our own, without spaces. */
  readonly name: string;
  /** May be secret, and long: Redis sees only its hash. */
  readonly key: string;
  readonly quota: Quota;
}

export interface WantedUnits extends Budget {
  readonly units: number;
  /** Give what there is, rather than all or nothing. */
  readonly isDivisible: boolean;
}

export interface GivenUnits {
  /** 0 to `units`. */
  readonly given: number;
  /** Units left now. */
  readonly remaining: number;
  /** Until all are back. */
  readonly resetSeconds: number;
  /**
   * Until what was not given could be; 0 where all was given. More than the limit can never be
   * given: then until full.
   */
  readonly retryAfterSeconds: number;
  /** Whether this process counted alone. */
  readonly isLocal: boolean;
}

export interface ReturnedUnits extends Budget {
  readonly units: number;
  /** As the take said: a unit of this process is none of Redis'. Unsaid: where units come from now. */
  readonly isLocal?: boolean | undefined;
}

export interface Quotas {
  /** In the order of `wanted`. Never rejects: without Redis each process counts for itself. */
  take(wanted: readonly WantedUnits[]): Promise<readonly GivenUnits[]>;
  /**
   * Sent with the next take, or soon. Never more than was taken. Never throws: what does not arrive
   * comes back with time.
   */
  giveBack(units: readonly ReturnedUnits[]): void;
}

interface Take {
  readonly entries: readonly Entry[];
  readonly resolve: (given: readonly GivenUnits[]) => void;
}

const ENTRIES_MAX = 500;
const RETURN_WITHIN_MS = 50;

/**
 * Quotas that all nodes share through Redis, whatever their number in one round trip: what is asked
 * while one is under way goes together into the next. While Redis is away each process counts for
 * itself, from zero, and nothing waits for the connection; a Redis that is connected and silent
 * costs the client's command timeout, once. `onLocal` hears of each take that was counted so.
 */
export function createQuotas(
  redis: RedisClient,
  { onLocal = () => {} }: { readonly onLocal?: () => void } = {},
): Quotas {
  const shared = createSharedMeters(redis);
  const local = createLocalMeters();
  let waiting: Take[] = [];
  let returned: Entry[] = [];
  let isScheduled = false;
  let returnTimer: NodeJS.Timeout | null = null;

  async function countBatch(): Promise<void> {
    if (returnTimer !== null) clearTimeout(returnTimer);
    returnTimer = null;
    const takes = nextTakes();
    const entries = takes.flatMap((take) => take.entries);
    const isShared = await shared.count([...nextReturned(), ...entries]);
    if (!isShared) local.count(entries);
    for (const take of takes) {
      if (!isShared) onLocal();
      take.resolve(take.entries.map(describe));
    }
    isScheduled = false;
    if (waiting.length > 0) schedule();
    else scheduleReturn();
  }

  function nextTakes(): Take[] {
    let count = 0;
    for (let entries = 0; entries < ENTRIES_MAX && count < waiting.length; count += 1) {
      entries += waiting[count]?.entries.length ?? 0;
    }
    const takes = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return takes;
  }

  function nextReturned(): Entry[] {
    const entries = returned.slice(0, ENTRIES_MAX);
    returned = returned.slice(ENTRIES_MAX);
    return entries;
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    // After the turn's other requests have been read, so that they go along.
    setImmediate(() => void countBatch());
  }

  function scheduleReturn(): void {
    if (returned.length === 0 || isScheduled) return;
    returnTimer ??= setTimeout(schedule, RETURN_WITHIN_MS).unref();
  }

  return {
    take(wanted) {
      if (wanted.length === 0) return Promise.resolve([]);
      return new Promise((resolve) => {
        waiting.push({ entries: wanted.map(entryOf), resolve });
        schedule();
      });
    },
    giveBack(units) {
      for (const unit of units) {
        const entry = { ...entryOf({ ...unit, isDivisible: true }), units: -countable(unit.units) };
        if (entry.units === 0) continue;
        if (unit.isLocal ?? shared.isAway()) local.count([entry]);
        else returned.push(entry);
      }
      scheduleReturn();
    },
  };
}

function entryOf({ name, key, quota, units, isDivisible }: WantedUnits): Entry {
  const wanted = countable(units);
  const step = isDivisible || wanted === 0 ? 1 : wanted;
  return { name, key, quota, units: wanted, step, given: 0, used: 0, isLocal: false };
}

/** An estimate may be infinite, and that is more than any limit. */
function countable(units: number): number {
  return units > 0 ? Math.min(units, Number.MAX_SAFE_INTEGER) : 0;
}

function describe({ quota, units, given, used, isLocal }: Entry): GivenUnits {
  const missing = units - given;
  // Rounded up, but not for what rounding left of a unit.
  const secondsOf = (count: number) =>
    Math.max(0, Math.ceil((count * quota.windowSeconds) / quota.limit - 1e-6));
  return {
    given,
    remaining: Math.floor(quota.limit - used),
    resetSeconds: secondsOf(used),
    retryAfterSeconds:
      missing > 0 ? Math.max(1, secondsOf(used + Math.min(missing, quota.limit) - quota.limit)) : 0,
    isLocal,
  };
}
