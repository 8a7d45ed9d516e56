// Where the units of a batch are counted: in Redis, or in this process while Redis is away.
import { hash } from 'node:crypto';
import type { RedisClient } from './client.ts';
import { type Meter, type Pace, TAKE_UNITS, takeFrom } from './meter.ts';
import type { Budget } from './quota.ts';

/** One wish of a batch; `given` and `used` are known once it was counted. */
export interface Entry extends Budget {
  /** Below zero where units are given back. */
  readonly units: number;
  readonly step: number;
  given: number;
  used: number;
  isLocal: boolean;
}

/** Entries that follow one another and want the same: counted as one. */
interface Run {
  units: number;
  readonly step: number;
  readonly entries: Entry[];
}

/** All runs of one budget. */
interface Account {
  readonly id: string;
  readonly pace: Pace;
  readonly runs: Run[];
}

const LOCAL_METERS_MAX = 20_000;
const MICROS_A_SECOND = 1_000_000;

/** The meters in Redis. */
export function createSharedMeters(redis: RedisClient) {
  const scriptHash = hash('sha1', TAKE_UNITS, 'hex');
  let isAnswering = true;
  let isProbing = false;

  /** One that failed is asked in the background whether it is back: no take waits for it again. */
  function isAway(): boolean {
    if (redis.status !== 'ready') return true;
    if (isAnswering) return false;
    if (!isProbing) void probe();
    return true;
  }

  async function probe(): Promise<void> {
    isProbing = true;
    try {
      await redis.ping();
      isAnswering = true;
    } catch {
      // The next take asks again.
    }
    isProbing = false;
  }

  async function ask(keys: readonly string[], args: readonly (string | number)[]) {
    try {
      return await redis.evalsha(scriptHash, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return redis.eval(TAKE_UNITS, keys.length, ...keys, ...args);
    }
  }

  return {
    isAway,
    /** False where Redis did not count. */
    async count(entries: readonly Entry[]): Promise<boolean> {
      if (isAway()) return false;
      const accounts = accountsOf(entries);
      const keys = accounts.map(({ id }) => id);
      const args = accounts.flatMap(({ pace, runs }) => [
        pace.limit,
        pace.perMicro,
        runs.length,
        ...runs.flatMap(({ units, step }) => [units, step]),
      ]);
      try {
        const answers = await ask(keys, args);
        if (!Array.isArray(answers)) return false;
        const runs = accounts.flatMap((account) => account.runs);
        runs.forEach((run, index) => {
          share(run, Number(answers[2 * index]), Number(answers[2 * index + 1]), false);
        });
        return true;
      } catch {
        isAnswering = false;
        return false;
      }
    },
  };
}

/**
 * The meters of this process. Bounded: where there are too many, those that have used least of
 * their limit begin anew.
 */
export function createLocalMeters() {
  const meters = new Map<string, { readonly meter: Meter; readonly pace: Pace }>();

  function dropLeastUsed(nowMicros: number): void {
    const shareUsed = ([id, { meter, pace }]: [string, { meter: Meter; pace: Pace }]) => {
      const now = takeFrom(meter, nowMicros, pace, { units: 0, step: 1 }).meter;
      return { id, share: now.used / pace.limit };
    };
    const byShare = [...meters].map(shareUsed).sort((one, other) => one.share - other.share);
    for (const { id } of byShare.slice(0, LOCAL_METERS_MAX / 2)) meters.delete(id);
  }

  return {
    count(entries: readonly Entry[]): void {
      const nowMicros = performance.now() * 1_000;
      for (const { id, pace, runs } of accountsOf(entries)) {
        let meter = meters.get(id)?.meter ?? null;
        for (const run of runs) {
          const taken = takeFrom(meter, nowMicros, pace, run);
          meter = taken.meter;
          share(run, taken.given, meter.used, true);
        }
        if (meter === null || meter.used === 0) meters.delete(id);
        else meters.set(id, { meter, pace });
      }
      if (meters.size > LOCAL_METERS_MAX) dropLeastUsed(nowMicros);
    },
  };
}

function accountsOf(entries: readonly Entry[]): Account[] {
  const accounts = new Map<string, Account>();
  for (const entry of entries) {
    const { name, key, quota, units, step } = entry;
    // The key itself is hashed once for all that want of it.
    const place = `${quota.limit}/${quota.windowSeconds} ${name} ${key}`;
    let account = accounts.get(place);
    if (account === undefined) {
      const perMicro = quota.limit / (quota.windowSeconds * MICROS_A_SECOND);
      const id = `quota:${name}:${hash('sha256', key, 'base64url')}`;
      account = { id, pace: { limit: quota.limit, perMicro }, runs: [] };
      accounts.set(place, account);
    }
    const last = account.runs.at(-1);
    if (last !== undefined && last.step === step && last.units < 0 === units < 0) {
      last.units += units;
      last.entries.push(entry);
    } else {
      account.runs.push({ units, step, entries: [entry] });
    }
  }
  return [...accounts.values()];
}

/** Who came first is served first, and sees what was used when his turn was over. */
function share(run: Run, given: number, used: number, isLocal: boolean): void {
  let left = given;
  for (const entry of run.entries) {
    entry.given = Math.max(0, Math.min(entry.units, left));
    left -= entry.given;
    entry.used = used - left;
    entry.isLocal = isLocal;
  }
}
