import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '#lib/ids.ts';
import { createRedis, type RedisClient } from '#redis/client.ts';
import { until } from '../../../../tests/support/graphql-client.ts';
import { testRedisUrl } from '../../../../tests/support/servers.ts';
import { takeLease } from './lease.ts';

const unanswered = async () => false;

let redis: RedisClient;

beforeAll(async () => {
  redis = createRedis({ ...testRedisUrl(), onError: () => {} });
  await until(() => redis.status === 'ready');
});
afterAll(() => redis?.disconnect());

test('one node at a time asks about a user, and each user is one’s own', async () => {
  const userId = newId();
  const release = await takeLease(redis, userId, unanswered);
  expect(await takeLease(redis, userId, async () => true)).toBeNull();
  expect(await takeLease(redis, newId(), async () => true)).not.toBeNull();
  await release?.();
  expect(await takeLease(redis, userId, async () => true)).not.toBeNull();
});

test('who waits goes on when the other has finished without an answer', async () => {
  const userId = newId();
  const release = await takeLease(redis, userId, unanswered);
  const looked = Promise.withResolvers<void>();
  const waiting = takeLease(redis, userId, async () => {
    looked.resolve();
    return false;
  });
  await looked.promise;
  await release?.();
  expect(await waiting).not.toBeNull();
});

test('what a node that died has left runs out', async () => {
  const userId = newId();
  await redis.set(`github-permissions:${userId}`, 'dead', 'PX', 200);
  const release = await takeLease(redis, userId, unanswered);
  expect(await redis.get(`github-permissions:${userId}`)).not.toBe('dead');
  await release?.();
  expect(await redis.get(`github-permissions:${userId}`)).toBeNull();
});

test('one that ran out meanwhile is another’s, and is left to them', async () => {
  const userId = newId();
  const release = await takeLease(redis, userId, unanswered);
  await redis.set(`github-permissions:${userId}`, 'another');
  await release?.();
  expect(await redis.get(`github-permissions:${userId}`)).toBe('another');
});

test('without Redis each node asks for itself, at once', async () => {
  const away = createRedis({ url: 'redis://127.0.0.1:1', keyPrefix: '', onError: () => {} });
  const release = await takeLease(away, newId(), unanswered);
  expect(release).not.toBeNull();
  await release?.();
  away.disconnect();
});
