import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { anyPorts } from '../../embedded/ports.ts';
import { startRedis } from '../../embedded/redis.ts';
import { testFolder, testRedisUrl } from '../../tests/support/servers.ts';
import { createRedis, type RedisClient } from './client.ts';
import { createTypingStore } from './typing.ts';

describe.each(['the Redis of the tests', 'the Redis in JavaScript'])('in %s', (name) => {
  let redis: RedisClient;
  let channel: string;
  let stop = async () => {};
  beforeAll(async () => {
    if (name === 'the Redis of the tests') {
      redis = createRedis({ ...testRedisUrl(), onError: () => {} });
    } else {
      const server = await startRedis({ folder: testFolder(), ports: anyPorts, forceJs: true });
      stop = () => server.stop();
      redis = createRedis({ url: server.url, keyPrefix: 'typing:', onError: () => {} });
    }
    await redis.ping();
  });
  afterAll(async () => {
    redis.disconnect();
    await stop();
  });
  beforeEach(() => {
    channel = randomUUID();
  });

  test('the others are told of a beginning and an end, and not of the same again', async () => {
    const store = createTypingStore(redis, { typingMs: 60_000, againMs: 30_000 });
    const told = await Promise.all(Array.from({ length: 10 }, () => store.set(channel, 'a', true)));
    expect(told.filter(Boolean)).toHaveLength(1);
    expect(await store.set(channel, 'b', true)).toBe(true);
    expect(await store.find(channel)).toEqual(expect.arrayContaining(['a', 'b']));
    expect(await store.set(channel, 'a', false)).toBe(true);
    expect(await store.set(channel, 'a', false)).toBe(false);
    expect(await store.find(channel)).toEqual(['b']);
    expect(await store.find(randomUUID())).toEqual([]);
    expect(await redis.pttl(`typing:${channel}`)).toBeGreaterThan(50_000);
  });

  test('who goes on typing is told of again after a while', async () => {
    const store = createTypingStore(redis, { typingMs: 60_000, againMs: 0 });
    expect(await store.set(channel, 'a', true)).toBe(true);
    expect(await store.set(channel, 'a', true)).toBe(true);
  });

  test('who is not heard of any more does not type', async () => {
    const store = createTypingStore(redis, { typingMs: 1, againMs: 1 });
    await store.set(channel, 'a', true);
    await expect.poll(() => store.find(channel)).toEqual([]);
    await expect.poll(() => redis.exists(`typing:${channel}`)).toBe(0);
  });
});
