import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { anyPorts } from '../../embedded/ports.ts';
import { startRedis } from '../../embedded/redis.ts';
import { startTestRedis, testFolder, testRedisUrl } from '../../tests/support/servers.ts';
import { createRedis, type RedisClient } from './client.ts';
import { createPresenceStore, type PresenceStore } from './presence.ts';

const fresh = (userId: string) => ({ userId, since: null });

describe.each(['the Redis of the tests', 'the Redis in JavaScript'])('in %s', (name) => {
  let redis: RedisClient;
  let store: PresenceStore;
  /** Of which every place is silent at once. */
  let silent: PresenceStore;
  let mina: string;
  let stop = async () => {};
  beforeAll(async () => {
    if (name === 'the Redis of the tests') {
      redis = createRedis({ ...testRedisUrl(), onError: () => {} });
    } else {
      const server = await startRedis({ folder: testFolder(), ports: anyPorts, forceJs: true });
      stop = () => server.stop();
      redis = createRedis({ url: server.url, keyPrefix: 'presence:', onError: () => {} });
    }
    await redis.ping();
    store = createPresenceStore(redis, { ttlMs: 60_000, steadyMs: 60_000 });
    silent = createPresenceStore(redis, { ttlMs: 0, steadyMs: 60_000 });
  });
  afterAll(async () => {
    redis.disconnect();
    await stop();
  });
  beforeEach(async () => {
    mina = randomUUID();
    await redis.del('presence:due');
  });

  const isOnline = async (userId = mina) => (await store.find([userId])).get(userId)?.isOnline;

  test('of many places at which somebody comes at once, one is told so', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => store.attend(`place-${index}`, [fresh(mina)])),
    );
    expect(answers.flat().filter(({ hasCome }) => hasCome)).toHaveLength(1);
    expect(new Set(answers.flat().map(({ since }) => since)).size).toBe(1);
    expect(await isOnline()).toBe(true);
  });

  test('who leaves one place and is at another does not go; who leaves the last one does, once', async () => {
    await store.attend('one', [fresh(mina)]);
    await store.attend('other', [fresh(mina)]);
    expect(await store.leave('one', [fresh(mina)], 0)).toEqual([]);
    expect(await store.leave('one', [fresh(mina)], 0)).toEqual([]);
    expect(await isOnline()).toBe(true);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => store.leave('other', [fresh(mina)], 0)),
    );
    const went = answers.flat();
    expect(went).toEqual([{ userId: mina, isOnline: false, at: expect.any(Number) }]);
    expect((await store.find([mina])).get(mina)).toEqual({ isOnline: false, since: went[0]?.at });
    expect(await redis.pttl(`presence:${mina}`)).toBeGreaterThan(6 * 86_400_000);
  });

  test('a place that fell silent is found by one of all who look, and only that place counts no more', async () => {
    const noor = randomUUID();
    await silent.attend('dead', [fresh(mina), fresh(noor)]);
    await store.attend('alive', [fresh(noor)]);
    // Whoever asks is told so before anybody has looked.
    expect([await isOnline(mina), await isOnline(noor)]).toEqual([false, true]);
    expect(await store.listDue(10)).toEqual([mina]);
    const looks = await Promise.all(Array.from({ length: 10 }, () => store.settle([mina, noor])));
    expect(looks.flat().map(({ userId }) => userId)).toEqual([mina]);
    expect(await store.listDue(10)).toEqual([]);
  });

  test('who was taken for gone and speaks up again comes anew', async () => {
    const [first] = await silent.attend('here', [fresh(mina)]);
    await store.settle([mina]);
    const again = await store.attend('here', [{ userId: mina, since: first?.since ?? 0 }]);
    expect(again).toMatchObject([{ hasCome: true }]);
    expect(await isOnline()).toBe(true);
  });

  test('a Redis that lost everything is told again, and nobody comes or goes by that', async () => {
    const [first] = await store.attend('here', [fresh(mina)]);
    const account = { userId: mina, since: first?.since ?? 0 };
    await redis.del('presence:due', `presence:${mina}`);
    expect(await store.attend('here', [account])).toEqual([
      { since: first?.since, hasCome: false },
    ]);

    // Who leaves just then may be at another place that has not spoken yet.
    await redis.del('presence:due', `presence:${mina}`);
    expect(await store.leave('here', [account], 0)).toEqual([]);
    expect(await isOnline()).toBe(true);
    expect(await redis.zscore('presence:due', mina)).not.toBeNull();
    await store.attend('there', [account]);
    expect(await store.leave('there', [account], 0)).toEqual([]);
    const hurried = createPresenceStore(redis, { ttlMs: 60_000, steadyMs: 0 });
    expect(await hurried.leave('here', [account], 0)).toMatchObject([{ userId: mina }]);
  });

  test('more than fit into one script are answered in their order', async () => {
    const accounts = Array.from({ length: 700 }, () => fresh(randomUUID()));
    const answers = await silent.attend('here', accounts);
    expect(answers.filter(({ hasCome }) => hasCome)).toHaveLength(700);
    expect(await store.listDue(500)).toHaveLength(500);
    const gone = await store.settle(accounts.map(({ userId }) => userId));
    expect(gone.map(({ userId }) => userId)).toEqual(accounts.map(({ userId }) => userId));
    expect((await store.find(accounts.map(({ userId }) => userId))).size).toBe(700);
  });
});

test('without Redis nobody waits: it is said at once that nothing is known', async () => {
  const server = await startTestRedis();
  const redis = createRedis({ url: server.url, keyPrefix: 'p:', onError: () => {} });
  const store = createPresenceStore(redis, { ttlMs: 60_000, steadyMs: 60_000 });
  try {
    await redis.ping();
    const away = new Promise((resolve) => redis.once('close', resolve));
    await server.stop();
    await away;
    const startedAt = performance.now();
    const asked = [store.find(['a']), store.attend('here', [fresh('a')]), store.listDue(1)];
    for (const each of asked) await expect(each).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  } finally {
    redis.disconnect();
    await server.stop();
  }
});
