import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { requireServer, startTestRedis, testRedisUrl } from '../../tests/support/servers.ts';
import { createRedis, type RedisClient } from './client.ts';
import { createQuotas, type GivenUnits } from './quota.ts';
import { createShares, type Shares } from './quota-shares.ts';

const LIMIT = 1_000;
const SIZE = LIMIT / 50;
/** So long that nothing comes back during a test. */
const FOR_EVER = { limit: LIMIT, windowSeconds: 1_000_000_000 };

const clients: RedisClient[] = [];
let redis: RedisClient;

beforeAll(async () => {
  redis = await connect(testRedisUrl());
});
afterAll(() => {
  for (const client of clients) client.disconnect();
});

async function connect(server: { readonly url: string; readonly keyPrefix: string }) {
  const client = createRedis({ ...server, onError: () => {} });
  clients.push(client);
  await once(client, 'ready');
  return client;
}

/** A node of its own, with a clock that stands still until it is told. */
function startNode({ client = redis, name = 'cost', quota = FOR_EVER } = {}) {
  let nowMs = 0;
  const quotas = createQuotas(client);
  const shares = createShares(quotas, { name, quota, now: () => nowMs });
  return {
    quotas,
    shares,
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

const isAtOnce = (answer: GivenUnits | Promise<GivenUnits>) => !(answer instanceof Promise);

/** All that is left of a key, as another node finds it: it takes it. */
async function drain(shares: Shares, key: string): Promise<number> {
  let sum = 0;
  for (let units = LIMIT; units >= 1; ) {
    const { given, remaining } = await shares.take(key, units);
    sum += given;
    units = Math.min(units, Math.floor(remaining));
  }
  return sum;
}

/** The same, as often as it is asked, together. */
function drained(shares: Shares, key: string): () => Promise<number> {
  let sum = 0;
  return async () => {
    sum += await drain(shares, key);
    return sum;
  };
}

describe('taking', () => {
  test('what this node holds is granted at once, and is not asked for', async () => {
    const { shares } = startNode();
    const key = randomUUID();
    expect(isAtOnce(shares.take(key, 1))).toBe(false);
    await expect.poll(() => isAtOnce(shares.take(key, 1))).toBe(true);
    expect(isAtOnce(shares.take(randomUUID(), 1))).toBe(false);
    expect(isAtOnce(shares.take(key, SIZE))).toBe(false);
  });

  test('what is left counts what this node holds, to the unit', async () => {
    const { shares } = startNode();
    const key = randomUUID();
    const remaining = async (units: number) => (await shares.take(key, units)).remaining;
    expect(await remaining(3)).toBe(997);
    expect(await remaining(3)).toBe(994);
    expect(await remaining(100)).toBe(894);
    shares.giveBack(key, 90, false);
    expect(await remaining(1)).toBe(983);
    expect(await remaining(983)).toBe(0);
    expect(await shares.take(key, 1)).toMatchObject({ given: 0, remaining: 0 });
  });

  test('units come back with time also while Redis is not asked', async () => {
    const { shares, pass } = startNode({ quota: { limit: LIMIT, windowSeconds: 100 } });
    const key = randomUUID();
    await shares.take(key, 500);
    const numbers = async () => {
      const { remaining, resetSeconds, retryAfterSeconds } = await shares.take(key, 1);
      return [remaining, resetSeconds, retryAfterSeconds];
    };
    const [first = 0] = await numbers();
    expect(first).toBeGreaterThanOrEqual(499);
    pass(1_000);
    expect(await numbers()).toEqual([first + 9, Math.ceil((LIMIT - first - 9) / 10), 0]);
  });

  test('200 at once on two nodes are given the limit, and at most a share a node less', async () => {
    const nodes = [startNode(), startNode()];
    const key = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, at) => nodes[at % 2]?.shares.take(key, 7)),
    );
    const given = answers.reduce((sum, answer) => sum + (answer?.given ?? 0), 0);
    expect(given).toBeLessThanOrEqual(LIMIT);
    expect(given).toBeGreaterThan(LIMIT - 2 * SIZE - 7);
  });

  test('where little is left, nobody holds what another may need', async () => {
    const [one, two] = [startNode(), startNode()];
    const key = randomUUID();
    await one.shares.take(key, LIMIT - 4 * SIZE);
    expect((await one.shares.take(key, 1)).given).toBe(1);
    await expect.poll(drained(two.shares, key)).toBe(4 * SIZE - 1);
  });

  test('a limit that is too small to be shared out is asked each time', async () => {
    const { shares } = startNode({ quota: { limit: 49, windowSeconds: 1_000_000 } });
    const key = randomUUID();
    for (let taken = 0; taken < 49; taken += 1) {
      const answer = shares.take(key, 1);
      expect(isAtOnce(answer)).toBe(false);
      expect((await answer).given).toBe(1);
    }
    expect((await shares.take(key, 1)).given).toBe(0);
  });

  test.each([Number.NaN, -1, Number.POSITIVE_INFINITY])(
    '%d units add nothing to what is held',
    async (units) => {
      const { shares } = startNode();
      const key = randomUUID();
      await shares.take(key, 1);
      expect(await shares.take(key, units)).toMatchObject({ given: 0 });
      shares.giveBack(key, units === Number.POSITIVE_INFINITY ? 0 : units, false);
      expect((await shares.take(key, 1)).remaining).toBe(LIMIT - 2);
    },
  );
});

describe('giving back', () => {
  test('what nobody used is back for other nodes once it is old', async () => {
    const [one, two] = [startNode(), startNode()];
    const key = randomUUID();
    await one.shares.take(key, 1);
    one.pass(2_000);
    await expect.poll(drained(two.shares, key), { timeout: 3_000 }).toBe(LIMIT - 1);
  });

  test('more than a share is back soon', async () => {
    const [one, two] = [startNode(), startNode()];
    const key = randomUUID();
    await one.shares.take(key, 900);
    one.shares.giveBack(key, 900, false);
    await expect.poll(drained(two.shares, key)).toBe(LIMIT - SIZE);
  });

  test('of more keys than a node holds shares of, those asked for longest ago go back', async () => {
    const [one, two] = [startNode(), startNode()];
    const run = randomUUID();
    await one.shares.take(run, 1);
    expect(isAtOnce(one.shares.take(run, 1))).toBe(true);
    for (let round = 0; round < 4; round += 1) {
      await Promise.all(
        Array.from({ length: 5_000 }, async (_, at) => one.shares.take(`${run}/${round}/${at}`, 1)),
      );
    }
    await expect.poll(drained(two.shares, run), { timeout: 3_000 }).toBe(LIMIT - 2);
    expect(isAtOnce(one.shares.take(`${run}/3/4999`, 1))).toBe(true);
  });

  test('what is old is not granted any more: Redis is asked how things stand', async () => {
    const [one, two] = [startNode(), startNode()];
    const key = randomUUID();
    await one.shares.take(key, 1);
    await drain(two.shares, key);
    one.pass(2_000);
    const answer = one.shares.take(key, 1);
    expect(isAtOnce(answer)).toBe(false);
    // It was its own, and went back in the very call.
    expect(await answer).toMatchObject({ given: 1 });
  });
});

interface Step {
  readonly node: number;
  readonly key: string;
  /** Or as many as are said to be left. */
  readonly units: number | 'rest';
  /** Of what was granted last on the node. */
  readonly unusedPart: number;
  readonly fault: 'none' | 'crash' | 'away' | 'back' | 'lost answer';
}

const stepsOf = (faults: readonly Step['fault'][], nodes: number, keys = ['one', 'two']) =>
  fc.array(
    fc.record({
      node: fc.nat(nodes - 1),
      key: fc.constantFrom(...keys),
      units: fc.oneof(fc.nat(SIZE), fc.nat(LIMIT), fc.constant('rest' as const)),
      unusedPart: fc.constantFrom(0, 0, 0.5, 1),
      fault: fc.constantFrom(...faults),
    }),
    { maxLength: 60, size: 'max' },
  );

describe('whatever comes in whatever order', () => {
  test('one node is counted as if there were no shares', async () => {
    await fc.assert(
      fc.asyncProperty(stepsOf(['none'], 1), async (steps) => {
        const { shares } = startNode();
        const run = randomUUID();
        const out = new Map<string, number>();
        for (const { key, unusedPart, ...step } of steps) {
          const before = out.get(key) ?? 0;
          const units = step.units === 'rest' ? LIMIT - before : step.units;
          const expected = units <= LIMIT - before ? units : 0;
          const answer = await shares.take(key + run, units);
          expect([answer.given, answer.remaining]).toEqual([expected, LIMIT - before - expected]);
          const unused = Math.floor(expected * unusedPart);
          shares.giveBack(key + run, unused, answer.isLocal);
          out.set(key, before + expected - unused);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('nodes that crash and lose Redis never have more out than the limit', async () => {
    const faults = ['none', 'none', 'none', 'crash', 'away', 'back', 'lost answer'] as const;
    await fc.assert(
      fc.asyncProperty(stepsOf(faults, 2, ['one']), async (steps) => {
        const run = randomUUID();
        const start = () => {
          const fault = faultyClient();
          return { fault, ...startNode({ client: fault.client }), localOut: new Map() };
        };
        const nodes = [start(), start()];
        const sharedOut = new Map<string, number>();
        for (const { node: at, key, unusedPart, fault, ...step } of steps) {
          if (fault === 'crash') nodes[at] = start();
          const node = nodes[at];
          if (node === undefined) throw new Error('There is no such node.');
          if (fault === 'away' || fault === 'back') node.fault.setAway(fault === 'away');
          if (fault === 'lost answer') node.fault.loseOne();
          const units =
            step.units === 'rest' ? (await node.shares.take(key + run, 0)).remaining : step.units;
          const { given, remaining, isLocal } = await node.shares.take(key + run, units);
          expect([0, units]).toContain(given);
          expect(remaining).toBeGreaterThanOrEqual(0);
          expect(remaining).toBeLessThanOrEqual(LIMIT);
          const unused = Math.floor(given * unusedPart);
          node.shares.giveBack(key + run, unused, isLocal);
          const out: Map<string, number> = isLocal ? node.localOut : sharedOut;
          out.set(key, (out.get(key) ?? 0) + given - unused);
          expect(out.get(key)).toBeLessThanOrEqual(LIMIT);
        }
      }),
      { numRuns: 150 },
    );
  });
});

/** A client whose Redis is away when it is told to, and counts without answering when it is told to. */
function faultyClient() {
  let isAway = false;
  let isLosing = false;
  const client = new Proxy(redis, {
    get(target, name) {
      if (name === 'status') return isAway ? 'reconnecting' : target.status;
      if (name !== 'evalsha') return Reflect.get(target, name, target);
      return async (...args: Parameters<RedisClient['evalsha']>) => {
        const answer = await target.evalsha(...args);
        if (!isLosing) return answer;
        isLosing = false;
        throw new Error('The connection is lost.');
      };
    },
  });
  return {
    client,
    setAway(next: boolean) {
      isAway = next;
    },
    loseOne() {
      isLosing = true;
    },
  };
}

describe('Redis away', () => {
  test('each node counts for itself, what is held is no second budget, and all is exact once it is back', async () => {
    const server = await startTestRedis();
    const [oneClient, twoClient] = await Promise.all(
      [1, 2].map(() => connect({ url: server.url, keyPrefix: 'shares:' })),
    );
    onTestFinished(() => server.stop());
    if (oneClient === undefined || twoClient === undefined) throw new Error('Two were asked for.');
    const [one, two] = [startNode({ client: oneClient }), startNode({ client: twoClient })];
    const key = randomUUID();
    await one.shares.take(key, 1);
    const away = Promise.all([oneClient, twoClient].map((client) => once(client, 'close')));
    await server.stop();
    await away;

    // Its share first, and then what is this process' own.
    expect(await drain(one.shares, key)).toBe(LIMIT);
    expect(await drain(one.shares, key)).toBe(0);
    expect(await drain(two.shares, key)).toBe(LIMIT);
    expect(isAtOnce(one.shares.take(key, 1))).toBe(false);

    await server.restart();
    const together = async () => {
      const fresh = randomUUID();
      const given = (await drain(one.shares, fresh)) + (await drain(two.shares, fresh));
      return given;
    };
    await expect.poll(together, { timeout: 5_000 }).toBe(LIMIT);
  });
});

const isNative = requireServer('redis-server') && process.env['NARU_EMBEDDED_REDIS'] !== 'js';
describe.skipIf(!isNative)('round trips', () => {
  test('of a thousand takes in turn few ask Redis, and nothing is asked for keys that rest', async () => {
    const server = await startTestRedis();
    onTestFinished(() => server.stop());
    const client = await connect({ url: server.url, keyPrefix: '' });
    const { shares } = startNode({ client, quota: { limit: 60_000, windowSeconds: 60 } });
    await shares.take('warm', 1);
    await client.config('RESETSTAT');
    for (let count = 0; count < 1_000; count += 1) await shares.take('busy', 3);
    const calls = /^cmdstat_evalsha:calls=(\d+),/m.exec(await client.info('commandstats'))?.[1];
    expect(Number(calls)).toBeLessThanOrEqual(4);
  });
});
