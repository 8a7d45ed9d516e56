import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestRedis, testRedisUrl } from '../../tests/support/servers.ts';
import { takeDailyBytes } from './byte-quota.ts';
import { createRedis, type RedisClient } from './client.ts';

const NOON = new Date('2026-11-21T12:00:00Z');
let redis: RedisClient;

beforeAll(() => {
  redis = createRedis({ ...testRedisUrl(), onError: () => {} });
});
afterAll(() => redis.disconnect());

const take = (name: string, bytes: number, now = NOON) =>
  takeDailyBytes(redis, { name, bytes, limitBytes: 100, now });

test('what fits is counted and what does not is not', async () => {
  expect((await take('plain', 60)).isWithin).toBe(true);
  expect((await take('plain', 41)).isWithin).toBe(false);
  expect((await take('plain', 40)).isWithin).toBe(true);
  expect((await take('plain', 1)).isWithin).toBe(false);
});

test('however many ask at once, no more than the limit is given', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => take('together', 9)));
  const given = answers.filter(({ isWithin }) => isWithin).length * 9;
  expect(given).toBeLessThanOrEqual(100);
  expect(given).toBeGreaterThan(0);
});

test('each day and each name has its own budget, and is told when the day ends', async () => {
  const late = new Date('2026-11-21T23:59:59.500Z');
  expect(await take('days', 100, late)).toEqual({ isWithin: true, secondsLeft: 1 });
  expect((await take('days', 100, late)).isWithin).toBe(false);
  expect((await take('days', 100, new Date('2026-11-22T00:00:00Z'))).isWithin).toBe(true);
  expect((await take('names', 100, late)).isWithin).toBe(true);
  expect((await take('days', 1)).secondsLeft).toBe(12 * 3_600);
});

test('without Redis nothing is given, soon, and it is given again once Redis is back', async () => {
  const server = await startTestRedis();
  const client = createRedis({ url: server.url, keyPrefix: 'q:', onError: () => {} });
  const ask = () => takeDailyBytes(client, { name: 'n', bytes: 1, limitBytes: 100, now: NOON });
  try {
    expect((await ask()).isWithin).toBe(true);
    await server.stop();
    const startedAt = performance.now();
    await expect(ask()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    await server.restart();
    await expect
      .poll(() => ask().catch(() => null), { timeout: 10_000 })
      .toMatchObject({
        isWithin: true,
      });
  } finally {
    client.disconnect();
    await server.stop();
  }
});
