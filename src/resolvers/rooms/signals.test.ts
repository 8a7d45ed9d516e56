import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Bus } from '#pubsub/bus.ts';
import type { RoomSignal } from '#pubsub/topics/rooms.ts';
import { startNaru, type TestNaru } from '../../../tests/support/naru.ts';
import { addMembers, makeRoom } from '../../../tests/support/rooms.ts';
import { createRoomSignals, type FollowedSignals, type RoomSignals } from './signals.ts';

const STRANGER = { userId: null, connectionId: null };

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru?.close());

/** Of a node that shares the bus and the database, whose next tails and statements may fail. */
function startSignals() {
  const { bus, database } = naru.app;
  const world = { tails: 0, open: 0, statements: 0, failing: 0, errors: 0 };
  const fail = () => {
    if (world.failing === 0) return;
    world.failing -= 1;
    throw new Error('Away');
  };
  const tail: Bus['tail'] = async (topic, options) => {
    fail();
    world.tails += 1;
    world.open += 1;
    const subscription = await bus.tail(topic, options);
    return {
      async close() {
        await subscription.close();
        world.open -= 1;
      },
    };
  };
  const signals = createRoomSignals({
    bus: { tail, publish: bus.publish },
    database: {
      ...database,
      query: async (...args: Parameters<typeof database.query>) => {
        world.statements += 1;
        fail();
        return database.query(...args) as Promise<never>;
      },
    },
    onError: () => {
      world.errors += 1;
    },
    retryMs: 10,
  });
  return { world, signals };
}

const typing = (userId: string) =>
  ({ type: 'TYPING', userId, isTyping: true, connectionId: null }) as const;
const online = (userId: string) =>
  ({ type: 'PRESENCE', userId, isOnline: true, changedAt: new Date().toISOString() }) as const;

async function hear(followed: FollowedSignals): Promise<RoomSignal | null> {
  await expect.poll(() => followed.isEmpty()).toBe(false);
  return followed.take();
}

async function tellOnline(signals: RoomSignals, userIds: readonly string[]): Promise<void> {
  await Promise.all(userIds.map((userId) => signals.send(`user:${userId}`, online(userId))));
}

test('a node listens once while anybody follows, and not at all after', async () => {
  const { world, signals } = startSignals();
  expect(world.tails).toBe(0);
  const [one, other] = [signals.follow('one', STRANGER), signals.follow('other', STRANGER)];
  const own = signals.followUser('mina');
  await Promise.all([one.opened, other.opened, own.opened]);
  await signals.send('other', typing('somebody'));
  expect(await hear(other)).toMatchObject({ userId: 'somebody' });
  expect(one.isEmpty()).toBe(true);
  for (const each of [one, other, own]) each.stop();
  // Twice is once.
  one.stop();
  await expect.poll(() => world).toMatchObject({ tails: 1, open: 0 });
  const again = signals.follow('one', STRANGER);
  await again.opened;
  await signals.send('one', typing('somebody'));
  expect(await hear(again)).toMatchObject({ userId: 'somebody' });
  await signals.close();
  expect(world).toMatchObject({ tails: 2, open: 0, errors: 0 });
});

test('a bus that was away is heard again once it is back', async () => {
  const { world, signals } = startSignals();
  world.failing = 2;
  const followed = signals.follow('one', STRANGER);
  await followed.opened;
  await expect.poll(() => world).toMatchObject({ tails: 1, errors: 2 });
  await expect
    .poll(async () => {
      await signals.send('one', typing('somebody'));
      return followed.isEmpty();
    })
    .toBe(false);
  await signals.close();
});

test('who comes online is told to the followed rooms that they are in, many by one statement', async () => {
  const { world, signals } = startSignals();
  const members = await addMembers(naru, 30);
  const [owner, ...others] = members;
  if (owner === undefined) throw new Error('Nobody was made');
  const room = await makeRoom(naru, { owner, members: others });
  const elsewhere = await makeRoom(naru, { owner });
  const followed = signals.follow(room.roomId, { userId: owner.userId, connectionId: null });
  const empty = signals.follow(elsewhere.roomId, STRANGER);
  await followed.opened;
  world.failing = 1;
  const stranger = crypto.randomUUID();
  await tellOnline(signals, [...members.map(({ userId }) => userId), stranger]);
  const heard = new Set<string>();
  while (heard.size < 29) {
    const signal = await hear(followed);
    if (signal?.type === 'PRESENCE') heard.add(signal.userId);
  }
  expect(heard).toEqual(new Set(others.map(({ userId }) => userId)));
  expect(followed.isEmpty()).toBe(true);
  expect(await hear(empty)).toMatchObject({ type: 'PRESENCE', userId: owner.userId });
  expect(empty.isEmpty()).toBe(true);
  expect(world.errors).toBe(1);
  expect(world.statements).toBeLessThan(20);
  await signals.close();
});
