import { UnavailableError } from '#lib/errors.ts';
import type { RedisClient } from './client.ts';
import { ATTEND, FIND, LIST_DUE, SETTLE } from './presence-scripts.ts';
import { createScript, type RunScript } from './script.ts';

/** What a place, e.g. a node, says of an account that is there. */
export interface Attendance {
  readonly userId: string;
  /** Since when they are online, as the place was told before; null: they have just come. */
  readonly since: number | null;
}

export interface Change {
  readonly userId: string;
  readonly isOnline: boolean;
  readonly at: number;
}

export interface KeptPresence {
  readonly isOnline: boolean;
  /** When that began; null where it is not known any more. */
  readonly since: number | null;
}

/** Everything throws `UnavailableError` while Redis is away; what was asked then may have happened. */
export interface PresenceStore {
  /**
   * They are at the place for another `ttlMs`. Answers, in order, since when they are online; `hasCome` for whom
   * nobody has been told of yet. Who is online by a place's word and unknown to Redis, which has lost what it
   * knew, is put back without ado.
   */
  attend(
    place: string,
    accounts: readonly Attendance[],
  ): Promise<readonly { readonly since: number; readonly hasCome: boolean }[]>;
  /**
   * They will have left the place in `afterMs`. Answers who went offline by that. Where Redis has lost what it
   * knew, nobody does yet: others may be about to say that they are there.
   */
  leave(
    place: string,
    accounts: readonly Attendance[],
    afterMs: number,
  ): Promise<readonly Change[]>;
  /** At most so many accounts that nobody has spoken for in time. */
  listDue(limit: number): Promise<readonly string[]>;
  /** Looks at them again; answers who went offline. */
  settle(userIds: readonly string[]): Promise<readonly Change[]>;
  find(userIds: readonly string[]): Promise<ReadonlyMap<string, KeptPresence>>;
}

export interface PresenceStoreTimes {
  /** How long a place counts that is not heard of. */
  readonly ttlMs: number;
  /** How long it takes at most until all places have spoken again after Redis was away. */
  readonly steadyMs: number;
}

const DUE = 'presence:due';
/** A week: after it nobody knows any more since when somebody is offline. */
const KEEP_MS = 7 * 86_400_000;
/** In one script, so that none holds up Redis for long. */
const ACCOUNTS_MAX = 250;

export function createPresenceStore(
  redis: RedisClient,
  { ttlMs, steadyMs }: PresenceStoreTimes,
): PresenceStore {
  const attend = createScript(redis, ATTEND);
  const settle = createScript(redis, SETTLE);
  const listDue = createScript(redis, LIST_DUE);
  const find = createScript(redis, FIND);

  const settleAll = async (
    place: string,
    accounts: readonly Attendance[],
    afterMs: number,
  ): Promise<Change[]> => {
    requireReady();
    const head = [place, afterMs, steadyMs, KEEP_MS];
    const answers = await inParts(accounts, (part) => ask(settle, [DUE], head, part));
    return accounts.flatMap(({ userId }, index) => {
      const at = Number(answers[index]);
      return at > 0 ? [{ userId, isOnline: false, at }] : [];
    });
  };

  /** Else a command would wait for the connection, and be run when it means nothing any more. */
  const requireReady = () => {
    if (redis.status !== 'ready') throw unavailable();
  };

  return {
    async attend(place, accounts) {
      requireReady();
      const head = [place, ttlMs, KEEP_MS];
      const answers = await inParts(accounts, (part) => ask(attend, [DUE], head, part));
      return accounts.map((_account, index) => ({
        since: Number(answers[2 * index]),
        hasCome: Number(answers[2 * index + 1]) === 1,
      }));
    },
    leave: settleAll,
    async listDue(limit) {
      requireReady();
      return (await orUnavailable(listDue([DUE], [limit]))).map(String);
    },
    settle: (userIds) =>
      settleAll(
        '',
        userIds.map((userId) => ({ userId, since: null })),
        0,
      ),
    async find(userIds) {
      requireReady();
      const accounts = [...new Set(userIds)];
      const answers = await inParts(accounts, (part) => orUnavailable(find(part.map(keyOf), [])));
      return new Map(
        accounts.map((userId, index): [string, KeptPresence] => [
          userId,
          {
            isOnline: Number(answers[2 * index]) === 1,
            since: Number(answers[2 * index + 1]) || null,
          },
        ]),
      );
    },
  };
}

function keyOf(userId: string): string {
  return `presence:${userId}`;
}

function ask(
  script: RunScript,
  keys: readonly string[],
  args: readonly (string | number)[],
  accounts: readonly Attendance[],
): Promise<unknown[]> {
  return orUnavailable(
    script(
      [...keys, ...accounts.map(({ userId }) => keyOf(userId))],
      [...args, ...accounts.flatMap(({ userId, since }) => [userId, since ?? ''])],
    ),
  );
}

/** One round trip: all parts are sent before the first is answered. */
async function inParts<Item>(
  items: readonly Item[],
  run: (part: readonly Item[]) => Promise<unknown[]>,
): Promise<unknown[]> {
  const parts: Promise<unknown[]>[] = [];
  for (let start = 0; start < items.length; start += ACCOUNTS_MAX) {
    parts.push(run(items.slice(start, start + ACCOUNTS_MAX)));
  }
  return (await Promise.all(parts)).flat();
}

async function orUnavailable(answer: Promise<unknown>): Promise<unknown[]> {
  try {
    const answers = await answer;
    if (Array.isArray(answers)) return answers;
  } catch (cause) {
    throw unavailable(cause);
  }
  throw unavailable();
}

function unavailable(cause?: unknown): UnavailableError {
  return new UnavailableError('Who is there is not known right now', { cause });
}
