import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RoomSignal } from '#pubsub/topics/rooms.ts';
import { createRedis, type RedisClient } from '#redis/client.ts';
import type { EmbeddedServer } from '../../../embedded/server.ts';
import { startTestRedis, testRedisUrl } from '../../../tests/support/servers.ts';
import { createPresence, type Presence, type PresenceTimes } from './presence.ts';

/** One node after another, on one Redis, and what they tell all nodes. */
const TIMES: PresenceTimes = {
  heartbeatMs: 50,
  ttlMs: 1_000,
  graceMs: 40,
  retryMs: 20,
  steadyMs: 200,
};

let told: Extract<RoomSignal, { type: 'PRESENCE' }>[];
let isBusAway: boolean;
let closers: (() => unknown)[];
let shared = testRedisUrl();
beforeEach(() => {
  told = [];
  isBusAway = false;
  closers = [];
  shared = testRedisUrl();
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

interface Node {
  readonly presence: Presence;
  readonly redis: RedisClient;
  /** As `kill -9` does: nothing more is heard of it. */
  die(): void;
}

async function startNode(url = shared.url, times: Partial<PresenceTimes> = {}): Promise<Node> {
  const redis = createRedis({ url, keyPrefix: shared.keyPrefix, onError: () => {} });
  await redis.ping();
  const send = async (channel: string, signal: RoomSignal) => {
    if (isBusAway) throw new Error('The bus is away');
    if (signal.type !== 'PRESENCE') throw new Error('Only presence is told here');
    expect(channel).toBe(`user:${signal.userId}`);
    told.push(signal);
  };
  const presence = createPresence({
    redis,
    signals: { send },
    onError: () => {},
    times: { ...TIMES, ...times },
  });
  closers.push(async () => {
    await presence.close();
    redis.disconnect();
  });
  return { presence, redis, die: () => redis.disconnect() };
}

/** What was told of an account, in order. */
const toldOf = (userId: string) =>
  told.filter((signal) => signal.userId === userId).map(({ isOnline }) => isOnline);
/** Where an answer was lost, what is true may be told again. */
const changesOf = (userId: string) =>
  toldOf(userId).filter((each, index, all) => each !== all[index - 1]);
const isOnline = async ({ presence }: Node, userId: string) =>
  (await presence.find([userId])).get(userId)?.isOnline;

/** As the job does, until the test is over. */
function keepSweeping({ presence }: Node): void {
  const timer = setInterval(() => void presence.sweep(), 10);
  closers.push(() => clearInterval(timer));
}

test('an account is there with its first connection and gone with its last, on whatever nodes', async () => {
  const [one, other] = [await startNode(), await startNode()];
  const mina = randomUUID();
  const leaves = [one, one, other].map(({ presence }) => presence.attend(mina));
  await expect.poll(() => toldOf(mina)).toEqual([true]);
  const changedAt = (await other.presence.find([mina])).get(mina)?.changedAt;
  expect(told[0]?.changedAt).toBe(changedAt?.toISOString());
  leaves[0]?.();
  leaves[1]?.();
  // Twice is once.
  leaves[1]?.();
  const noor = randomUUID();
  one.presence.attend(noor)();
  await expect.poll(() => toldOf(noor)).toEqual([true, false]);
  expect(toldOf(mina)).toEqual([true]);
  leaves[2]?.();
  await expect.poll(() => toldOf(mina)).toEqual([true, false]);
  expect(await isOnline(one, mina)).toBe(false);
});

test('who comes back within the grace was never away, on the same node and on another', async () => {
  const [one, other] = [await startNode(), await startNode()];
  const mina = randomUUID();
  const leave = one.presence.attend(mina);
  await expect.poll(() => toldOf(mina)).toEqual([true]);
  leave();
  const leaveAgain = one.presence.attend(mina);
  leaveAgain();
  other.presence.attend(mina);
  const after = randomUUID();
  one.presence.attend(after)();
  await expect.poll(() => toldOf(after)).toEqual([true, false]);
  expect(toldOf(mina)).toEqual([true]);
});

test('when a node dies all of its people are gone in time, told once, and nobody who is at another', async () => {
  const [dying, living, third] = [await startNode(), await startNode(), await startNode()];
  const people = Array.from({ length: 300 }, () => randomUUID());
  for (const userId of people) dying.presence.attend(userId);
  const stayed = people.slice(0, 50);
  for (const userId of stayed) living.presence.attend(userId);
  await expect.poll(() => told.length).toBe(300);
  keepSweeping(living);
  keepSweeping(third);
  dying.die();
  const diedAt = performance.now();
  const gone = people.slice(50);
  await expect.poll(() => told.length, { interval: 5, timeout: 10_000 }).toBe(550);
  expect(performance.now() - diedAt).toBeLessThan(TIMES.ttlMs + 1_500);
  for (const userId of gone) expect(toldOf(userId)).toEqual([true, false]);
  for (const userId of stayed) expect(toldOf(userId)).toEqual([true]);
});

test('a node that is only slow to be heard keeps its people, and one that closes hands them on', async () => {
  const [one, other] = [await startNode(), await startNode()];
  keepSweeping(other);
  const [mina, noor] = [randomUUID(), randomUUID()];
  one.presence.attend(mina);
  other.presence.attend(noor);
  await expect.poll(() => told.length).toBe(2);
  const beats = performance.now() + 1.5 * TIMES.ttlMs;
  await expect.poll(() => performance.now() > beats, { timeout: 2_000 }).toBe(true);
  expect(told).toHaveLength(2);
  await one.presence.close();
  await expect.poll(() => toldOf(mina)).toEqual([true, false]);
  expect(toldOf(noor)).toEqual([true]);
});

test('what the bus did not take is told later, as it is then', async () => {
  const one = await startNode();
  const [mina, noor] = [randomUUID(), randomUUID()];
  isBusAway = true;
  one.presence.attend(mina);
  const leave = one.presence.attend(noor);
  await expect.poll(() => isOnline(one, noor)).toBe(true);
  leave();
  await expect.poll(() => isOnline(one, noor)).toBe(false);
  isBusAway = false;
  await expect.poll(() => [toldOf(mina), toldOf(noor)]).toEqual([[true], [false]]);
});

test('while Redis is away nothing throws but find; when it has lost everything, all are back and nobody is told', async () => {
  const server: EmbeddedServer = await startTestRedis();
  closers.push(() => server.stop());
  const [one, other] = [await startNode(server.url), await startNode(server.url)];
  keepSweeping(one);
  keepSweeping(other);
  const [mina, noor, late] = [randomUUID(), randomUUID(), randomUUID()];
  one.presence.attend(mina);
  const leave = other.presence.attend(noor);
  await expect.poll(() => told.length).toBe(2);

  await server.kill();
  await expect.poll(() => one.presence.find([mina]).catch(({ code }) => code)).toBe('UNAVAILABLE');
  one.presence.attend(late);
  leave();
  await server.restart();

  // The one who left meanwhile is the only one who goes, and the one who came is the only one who comes.
  await expect.poll(() => isOnline(other, mina).catch(() => null), { timeout: 10_000 }).toBe(true);
  await expect.poll(() => changesOf(noor), { timeout: 10_000 }).toEqual([true, false]);
  await expect.poll(() => changesOf(late), { timeout: 10_000 }).toEqual([true]);
  expect(changesOf(mina)).toEqual([true]);
  expect(await isOnline(one, mina)).toBe(true);
}, 30_000);

test('a Redis that hung for longer than anybody is silent for makes nobody leave', async () => {
  const server = await startTestRedis();
  closers.push(() => server.stop());
  const one = await startNode(server.url);
  keepSweeping(one);
  const mina = randomUUID();
  one.presence.attend(mina);
  await expect.poll(() => toldOf(mina)).toEqual([true]);
  process.kill(-server.pid, 'SIGSTOP');
  closers.push(() => void process.kill(-server.pid, 'SIGCONT'));
  const until = performance.now() + 1.5 * TIMES.ttlMs;
  await expect.poll(() => performance.now() > until, { timeout: 3_000 }).toBe(true);
  process.kill(-server.pid, 'SIGCONT');
  await expect.poll(() => isOnline(one, mina).catch(() => null), { timeout: 10_000 }).toBe(true);
  expect(toldOf(mina)).not.toContain(false);
}, 30_000);
