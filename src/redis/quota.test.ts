import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  requireServer,
  startTestRedis,
  type TestRedis,
  testRedisUrl,
} from '../../tests/support/servers.ts';
import { createRedis, type RedisClient } from './client.ts';
import { createQuotas, type GivenUnits, type Quotas, type WantedUnits } from './quota.ts';

const shared = testRedisUrl();
let redis: RedisClient;
let quotas: Quotas;
let other: Quotas;

beforeAll(async () => {
  redis = await connect(shared);
  quotas = createQuotas(redis);
  const another = await connect(shared);
  onEnd.push(() => another.disconnect());
  other = createQuotas(another);
});
const onEnd: (() => void)[] = [];
afterAll(() => {
  redis.disconnect();
  for (const end of onEnd) end();
});

async function connect(server: TestRedis): Promise<RedisClient> {
  const client = createRedis({ ...server, onError: () => {} });
  await once(client, 'ready');
  return client;
}

const MINUTE = { windowSeconds: 60 };
function wish(key: string, wanted: Partial<WantedUnits> & { limit?: number } = {}): WantedUnits {
  const { limit = 5, ...rest } = wanted;
  const quota = { limit, ...MINUTE };
  return { name: 'field', key, quota, units: 1, isDivisible: false, ...rest };
}

async function takeOne(from: Quotas, wanted: WantedUnits): Promise<GivenUnits> {
  const [given] = await from.take([wanted]);
  if (given === undefined) throw new Error('Every wish is answered.');
  return given;
}

async function countGiven(answers: readonly Promise<GivenUnits>[]): Promise<number> {
  return (await Promise.all(answers)).reduce((sum, { given }) => sum + given, 0);
}

/** How many of many are given, one by one. */
function countLeft(from: Quotas, wanted: WantedUnits): Promise<number> {
  return countGiven(Array.from({ length: 12 }, () => takeOne(from, wanted)));
}

/** The keys of Redis that this file's quotas wrote, with the client's prefix taken off. */
async function keysIn(client: RedisClient, keyPrefix: string): Promise<string[]> {
  return (await client.keys(`${keyPrefix}*`)).map((key) => key.slice(keyPrefix.length));
}

/** The one key that `spend` wrote. */
async function keyOf(spend: () => Promise<unknown>): Promise<string> {
  const before = new Set(await keysIn(redis, shared.keyPrefix));
  await spend();
  const [key, ...more] = (await keysIn(redis, shared.keyPrefix)).filter(
    (each) => !before.has(each),
  );
  if (key === undefined || more.length > 0) throw new Error('One key was expected.');
  return key;
}

/** As if so much time had passed. */
async function pass(key: string, seconds: number): Promise<void> {
  const [used, atMicros] = ((await redis.get(key)) ?? '').split(' ').map(Number);
  await redis.set(key, `${used} ${(atMicros ?? 0) - seconds * 1_000_000}`, 'KEEPTTL');
}

describe('taking', () => {
  test('200 takes at once of a limit of 5 are given 5', async () => {
    const wanted = wish(randomUUID());
    expect(await countGiven(Array.from({ length: 200 }, () => takeOne(quotas, wanted)))).toBe(5);
  });

  test('200 takes at once on two nodes of a limit of 5 are given 5', async () => {
    const wanted = wish(randomUUID());
    const takes = Array.from({ length: 200 }, (_, index) =>
      takeOne(index % 2 === 0 ? quotas : other, wanted),
    );
    expect(await countGiven(takes)).toBe(5);
  });

  test('1,000 wishes of one take are given 5, the first of them', async () => {
    const wanted = wish(randomUUID());
    const given = await quotas.take(Array.from({ length: 1_000 }, () => wanted));
    expect(given.map((each) => each.given)).toEqual(
      Array.from({ length: 1_000 }, (_, index) => (index < 5 ? 1 : 0)),
    );
    expect(given.slice(0, 6).map(({ remaining }) => remaining)).toEqual([4, 3, 2, 1, 0, 0]);
  });

  test('what can be divided is given as far as it goes, all else whole or not at all', async () => {
    const key = randomUUID();
    const given = await quotas.take([
      wish(key, { units: 3 }),
      wish(key, { units: 3 }),
      wish(key, { units: 50, isDivisible: true }),
      wish(key, { units: 1, isDivisible: true }),
    ]);
    expect(given.map((each) => each.given)).toEqual([3, 0, 2, 0]);
  });

  test('who wants too much takes nothing from who comes behind and wants less', async () => {
    const key = randomUUID();
    const wanted = [4, 4, 2, 1].map((units) => wish(key, { units }));
    const given = await Promise.all(wanted.map((each) => takeOne(quotas, each)));
    expect(given.map((each) => each.given)).toEqual([4, 0, 0, 1]);
  });

  test('each name and each key has its own units', async () => {
    const [one, two] = [randomUUID(), randomUUID()];
    expect(await countLeft(quotas, wish(one))).toBe(5);
    expect(await countLeft(quotas, wish(two))).toBe(5);
    expect(await countLeft(quotas, wish(one, { name: 'cost' }))).toBe(5);
  });

  test('nothing wanted is answered so, and a wish for nothing says how things stand', async () => {
    expect(await quotas.take([])).toEqual([]);
    const key = randomUUID();
    await takeOne(quotas, wish(key, { units: 3 }));
    expect(await takeOne(quotas, wish(key, { units: 0 }))).toEqual({
      given: 0,
      remaining: 2,
      resetSeconds: 36,
      retryAfterSeconds: 0,
      isLocal: false,
    });
  });

  test('an answer says what is left, when all is back, and when to come again', async () => {
    const key = randomUUID();
    const numbers = async (units: number, isDivisible = false) => {
      const answer = await takeOne(quotas, wish(key, { units, isDivisible }));
      return [answer.given, answer.remaining, answer.resetSeconds, answer.retryAfterSeconds];
    };
    expect(await numbers(4)).toEqual([4, 1, 48, 0]);
    expect(await numbers(2)).toEqual([0, 1, 48, 12]);
    expect(await numbers(3, true)).toEqual([1, 0, 60, 24]);
  });

  test('more than the limit is never given, not even if it is infinite or no number', async () => {
    const key = randomUUID();
    await takeOne(quotas, wish(key));
    for (const units of [6, Number.MAX_VALUE, Number.POSITIVE_INFINITY]) {
      const refused = await takeOne(quotas, wish(key, { units }));
      expect(refused).toMatchObject({ given: 0, remaining: 4, retryAfterSeconds: 12 });
    }
    expect(await takeOne(quotas, wish(key, { units: Number.NaN }))).toMatchObject({ given: 0 });
    const all = wish(key, { units: Number.POSITIVE_INFINITY, isDivisible: true });
    expect(await takeOne(quotas, all)).toMatchObject({ given: 4, remaining: 0 });
  });

  test('a limit of a thousand million is counted to the unit', async () => {
    const wanted = wish(randomUUID(), { limit: 1_000_000_000, units: 999_999_999 });
    expect((await takeOne(quotas, wanted)).given).toBe(999_999_999);
    // Some sixteen come back in a millisecond.
    const { remaining } = await takeOne(quotas, { ...wanted, units: 1 });
    expect(remaining).toBeLessThan(100_000_000);
  });
});

describe('time', () => {
  test('units come back one by one, evenly, and no more than there were', async () => {
    const wanted = wish(randomUUID());
    const key = await keyOf(() => countLeft(quotas, wanted));
    for (const [seconds, back] of [
      [11, 0],
      [1, 1],
      [12, 1],
      [36, 3],
      [59, 4],
      [3_600, 5],
    ] as const) {
      await pass(key, seconds);
      expect([seconds, await countLeft(quotas, wanted)]).toEqual([seconds, back]);
    }
  });

  test('a changed limit holds from now on', async () => {
    const key = randomUUID();
    await takeOne(quotas, wish(key, { limit: 100, units: 80 }));
    expect(await countLeft(quotas, wish(key, { limit: 10 }))).toBe(0);
    expect(await takeOne(quotas, wish(key, { limit: 20, units: 20 }))).toMatchObject({ given: 0 });
    expect(await countLeft(quotas, wish(key, { limit: 12 }))).toBe(2);
  });

  test('nothing stays in Redis for longer than the window', async () => {
    const key = await keyOf(() => countLeft(quotas, wish(randomUUID())));
    expect(await redis.pttl(key)).toBeLessThanOrEqual(60_001);
    expect(await redis.pttl(key)).toBeGreaterThan(0);
  });
});

describe('giving back', () => {
  test('what was given back can be taken again, at once', async () => {
    const wanted = wish(randomUUID());
    expect(await countLeft(quotas, wanted)).toBe(5);
    quotas.giveBack([{ ...wanted, units: 2 }]);
    expect(await countLeft(quotas, wanted)).toBe(2);
  });

  test('without another take it is back soon, for every node', async () => {
    const wanted = wish(randomUUID());
    expect(await countLeft(quotas, wanted)).toBe(5);
    quotas.giveBack([{ ...wanted, units: 1 }]);
    await expect.poll(() => countLeft(other, wanted)).toBe(1);
  });

  test('never more than was taken', async () => {
    const wanted = wish(randomUUID());
    await takeOne(quotas, wanted);
    quotas.giveBack([{ ...wanted, units: 1_000 }]);
    quotas.giveBack([{ ...wanted, units: Number.POSITIVE_INFINITY }]);
    quotas.giveBack([
      { ...wanted, units: -3 },
      { ...wanted, units: Number.NaN },
    ]);
    expect(await countLeft(quotas, wanted)).toBe(5);
  });

  test('whatever is taken and given back, at most the limit is out', async () => {
    const step = fc.record({
      key: fc.constantFrom('one', 'two'),
      units: fc.integer({ min: -9, max: 9 }),
      isDivisible: fc.boolean(),
      node: fc.constantFrom(quotas, other),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
        const run = randomUUID();
        const out = new Map<string, number>();
        for (const { key, units, isDivisible, node } of steps) {
          const before = out.get(key) ?? 0;
          const wanted = { ...wish(key + run, { units, isDivisible }) };
          wanted.quota = { limit: 10, windowSeconds: 1_000_000 };
          if (units < 0) {
            node.giveBack([{ ...wanted, units: -units }]);
            // It has arrived when a later take of the same node is answered.
            await takeOne(node, { ...wanted, units: 0 });
            out.set(key, Math.max(0, before + units));
            continue;
          }
          const free = 10 - before;
          const expected = isDivisible ? Math.min(units, free) : units <= free ? units : 0;
          const answer = await takeOne(node, wanted);
          expect([answer.given, answer.remaining]).toEqual([expected, free - expected]);
          out.set(key, before + expected);
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe('what is hostile', () => {
  test.each([
    ['text', 'poison'],
    ['nothing', ''],
    ['one number', '3'],
    ['no numbers', 'nan nan'],
    ['below zero', '-1000000 5'],
    ['a time that is none', '0 nan'],
    ['Lua', '" .. redis.call("FLUSHALL") .. " 1'],
  ])('a value that is %s counts as nothing used', async (_, poison) => {
    const wanted = wish(randomUUID());
    const key = await keyOf(() => countLeft(quotas, wanted));
    await redis.set(key, poison);
    expect(await countLeft(quotas, wanted)).toBe(5);
    expect(await redis.pttl(key)).toBeGreaterThan(0);
  });

  test.each(['inf inf', '1e999 1e300', '1e300 9e99', '1000000 99999999999999999'])(
    'a value beyond all bounds (%s) is spent, and comes back evenly',
    async (poison) => {
      const wanted = wish(randomUUID());
      const key = await keyOf(() => countLeft(quotas, wanted));
      await redis.set(key, poison);
      expect(await countLeft(quotas, wanted)).toBe(0);
      expect(await redis.pttl(key)).toBeLessThanOrEqual(60_001);
      await pass(key, 24);
      expect(await countLeft(quotas, wanted)).toBe(2);
    },
  );

  test('a value of another kind is overwritten', async () => {
    const wanted = wish(randomUUID());
    const key = await keyOf(() => countLeft(quotas, wanted));
    await redis.del(key);
    await redis.rpush(key, 'poison');
    expect(await countLeft(quotas, wanted)).toBe(5);
  });

  test('a key of a megabyte, or of any characters, is counted, and Redis sees none of it', async () => {
    for (const secret of ['s'.repeat(2 ** 20), 'naïve\r\n\0 *3\r\n$3', ' ', '']) {
      const name = `n${randomUUID()}`;
      const key = await keyOf(() => countLeft(quotas, wish(secret, { name })));
      expect(key.length).toBeLessThan(120);
      expect(key.slice(name.length)).toMatch(/^[\w:-]+$/);
      expect(await countLeft(quotas, wish(secret, { name }))).toBe(0);
    }
  });
});

/** A Redis of its own to stop, and two nodes of it. */
async function startNodes() {
  const server = await startTestRedis();
  const keyPrefix = `${randomUUID()}:`;
  const clients = await Promise.all([1, 2].map(() => connect({ url: server.url, keyPrefix })));
  onTestFinished(async () => {
    for (const client of clients) client.disconnect();
    await server.stop();
  });
  const [oneClient, twoClient] = clients;
  if (oneClient === undefined || twoClient === undefined) throw new Error('Two were asked for.');
  let localCount = 0;
  const onLocal = () => {
    localCount += 1;
  };
  return {
    server,
    one: createQuotas(oneClient, { onLocal }),
    two: createQuotas(twoClient),
    localCount: () => localCount,
    whenAway: () => Promise.all(clients.map((client) => once(client, 'close'))),
  };
}

/** Whether both count together again: what one takes the other has not. */
async function areTogether(one: Quotas, two: Quotas): Promise<boolean> {
  const wanted = wish(randomUUID(), { limit: 1 });
  return (await takeOne(one, wanted)).given === 1 && (await takeOne(two, wanted)).given === 0;
}

const isNative = requireServer('redis-server') && process.env['NARU_EMBEDDED_REDIS'] !== 'js';
describe.skipIf(!isNative)('round trips', () => {
  test('whatever comes together, of however many quotas, is one', async () => {
    const { server, one } = await startNodes();
    const client = await connect({ url: server.url, keyPrefix: '' });
    onTestFinished(() => client.disconnect());
    await takeOne(one, wish('known'));
    await client.config('RESETSTAT');
    const takes = Array.from({ length: 100 }, (_, index) =>
      one.take([wish('one'), wish(`of ${index}`), wish('cost', { name: 'cost', units: 7 })]),
    );
    one.giveBack([{ ...wish('known'), units: 1 }]);
    await Promise.all(takes);
    const calls = /^cmdstat_evalsha:calls=(\d+),/m.exec(await client.info('commandstats'))?.[1];
    expect(calls).toBe('1');
  });
});

describe('Redis away', () => {
  test('each node counts for itself, nothing waits, and it is exact within 5 s of its return', async () => {
    const { server, one, two, localCount, whenAway } = await startNodes();
    expect(await countLeft(one, wish('before'))).toBe(5);
    expect(localCount()).toBe(0);
    const away = whenAway();
    await server.stop();
    await away;

    const startedAt = performance.now();
    expect(await countLeft(one, wish('before'))).toBe(5);
    expect(await countLeft(one, wish('during'))).toBe(5);
    expect(await countLeft(two, wish('during'))).toBe(5);
    expect(await takeOne(one, wish('during'))).toMatchObject({
      given: 0,
      isLocal: true,
      retryAfterSeconds: 12,
    });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(localCount()).toBe(25);

    await server.restart();
    await expect.poll(() => areTogether(one, two), { timeout: 5_000 }).toBe(true);
    expect(await countLeft(one, wish('after'))).toBe(5);
    expect(await countLeft(two, wish('after'))).toBe(0);
  });

  test('a unit of the process is returned there, and not to Redis, where it would be one too many', async () => {
    const { server, one, two, whenAway } = await startNodes();
    const away = whenAway();
    await server.stop();
    await away;
    const wanted = wish('late');
    const { isLocal } = await takeOne(one, wanted);
    expect(isLocal).toBe(true);
    expect(await countLeft(one, wanted)).toBe(4);
    one.giveBack([{ ...wanted, isLocal }]);
    expect(await countLeft(one, wanted)).toBe(1);

    await server.restart();
    await expect.poll(() => areTogether(one, two), { timeout: 5_000 }).toBe(true);
    expect(await countLeft(two, wanted)).toBe(5);
    one.giveBack([{ ...wanted, isLocal }]);
    expect(await countLeft(one, wanted)).toBe(0);
  });

  test('units of Redis that are given back while it is away make none here', async () => {
    const { server, one, whenAway } = await startNodes();
    const wanted = wish('early');
    const { isLocal } = await takeOne(one, wanted);
    const away = whenAway();
    await server.stop();
    await away;
    expect(await countLeft(one, wanted)).toBe(5);
    one.giveBack([{ ...wanted, isLocal }]);
    expect(await countLeft(one, wanted)).toBe(0);
  });

  test('takes under way while Redis is killed are all answered, none beyond both budgets', async () => {
    const { server, one } = await startNodes();
    const takes = Array.from({ length: 100 }, () => takeOne(one, wish('cut')));
    await server.kill();
    const more = Array.from({ length: 100 }, () => takeOne(one, wish('cut')));
    const startedAt = performance.now();
    const given = await countGiven([...takes, ...more]);
    expect(given).toBeGreaterThanOrEqual(5);
    expect(given).toBeLessThanOrEqual(10);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  test('a Redis that is connected and silent is waited for once', async () => {
    const { server, one, two } = await startNodes();
    expect(await areTogether(one, two)).toBe(true);
    process.kill(-server.pid, 'SIGSTOP');
    try {
      expect(await countLeft(one, wish('silent'))).toBe(5);
      const startedAt = performance.now();
      expect(await countLeft(one, wish('silent'))).toBe(0);
      expect(await countLeft(one, wish('still'))).toBe(5);
      expect(performance.now() - startedAt).toBeLessThan(500);
    } finally {
      process.kill(-server.pid, 'SIGCONT');
    }
    await expect.poll(() => areTogether(one, two), { timeout: 5_000 }).toBe(true);
  });

  test('a Redis that never was there leaves the limits holding', async () => {
    const { server, whenAway } = await startNodes();
    const away = whenAway();
    await server.stop();
    await away;
    const client = createRedis({ url: server.url, keyPrefix: 'never:', onError: () => {} });
    onTestFinished(() => client.disconnect());
    expect(await countLeft(createQuotas(client), wish('never'))).toBe(5);
  });

  test('a flood of keys does not free what was spent', async () => {
    const { server, one, whenAway } = await startNodes();
    const away = whenAway();
    await server.stop();
    await away;
    expect(await countLeft(one, wish('spent'))).toBe(5);
    for (let round = 0; round < 12; round += 1) {
      await Promise.all(
        Array.from({ length: 5_000 }, (_, index) => one.take([wish(`${round}/${index}`)])),
      );
    }
    expect(await countLeft(one, wish('spent'))).toBe(0);
  });
});
