import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { RoomSignal } from '#pubsub/topics/rooms.ts';
import { createSignalChannel, type SignalFollower } from './signal-channel.ts';

const [MINA, NOOR, OMAR] = [randomUUID(), randomUUID(), randomUUID()] as const;

const typing = (userId: string, isTyping: boolean, connectionId: string | null = null) =>
  ({ type: 'TYPING', userId, isTyping, connectionId }) as const;
const marker = (userId: string, sequence: number) =>
  ({
    type: 'READ_MARKER',
    userId,
    sequence: `${sequence}`,
    readAt: new Date().toISOString(),
  }) as const;
const presence = (userId: string, isOnline: boolean, second: number) =>
  ({
    type: 'PRESENCE',
    userId,
    isOnline,
    changedAt: new Date(second * 1_000).toISOString(),
  }) as const;
const broadcast = (text: string, excludeConnectionIds: string[] = []) =>
  ({
    type: 'BROADCAST',
    broadcastId: randomUUID(),
    message: { text },
    excludeConnectionIds,
    sentAt: new Date().toISOString(),
    before: null,
  }) as const;

function open(follower: Partial<SignalFollower> = {}, typingMs = 60_000) {
  const channel = createSignalChannel(typingMs);
  const member = channel.join({ userId: MINA, connectionId: null, ...follower });
  return { channel, ...member };
}

function drain(queue: { take(): RoomSignal | null }): RoomSignal[] {
  const taken: RoomSignal[] = [];
  for (let signal = queue.take(); signal !== null; signal = queue.take()) taken.push(signal);
  return taken;
}

test('of what one account does only the latest waits, apart for each kind, in the order of their coming', () => {
  const { channel, queue } = open();
  channel.take(typing(NOOR, true));
  channel.take(typing(OMAR, true));
  channel.take(marker(NOOR, 3));
  channel.take(typing(NOOR, false));
  channel.take(marker(NOOR, 4));
  expect(queue.isEmpty()).toBe(false);
  expect(drain(queue)).toMatchObject([
    { type: 'TYPING', userId: NOOR, isTyping: false },
    { type: 'TYPING', userId: OMAR },
    { type: 'READ_MARKER', sequence: '4' },
  ]);
  expect(queue.isEmpty()).toBe(true);
  channel.close();
});

test('what comes late, after something later of the same account, or twice, is not told', () => {
  const { channel, queue } = open();
  channel.take(marker(NOOR, 10));
  channel.take(presence(NOOR, true, 10));
  expect(drain(queue)).toHaveLength(2);
  channel.take(marker(NOOR, 9));
  channel.take(marker(NOOR, 10));
  channel.take(presence(NOOR, false, 9));
  channel.take(presence(NOOR, true, 10));
  expect(queue.isEmpty()).toBe(true);
  channel.take(presence(NOOR, false, 11));
  expect(drain(queue)).toMatchObject([{ isOnline: false }]);
});

test('nobody is told of their own typing and presence, nor of what leaves their connection out', () => {
  const { channel, queue } = open({ connectionId: 'tab-1' });
  channel.take(typing(MINA, true, 'tab-2'));
  channel.take(typing('somebody elsewhere', true, 'tab-1'));
  channel.take(presence(MINA, true, 1));
  channel.take(broadcast('not here', ['tab-1']));
  expect(queue.isEmpty()).toBe(true);
  channel.take(broadcast('here', ['tab-2']));
  channel.take(marker(MINA, 1));
  expect(drain(queue)).toMatchObject([{ message: { text: 'here' } }, { type: 'READ_MARKER' }]);
  channel.close();
});

test('all broadcasts wait, each once, up to 256 or 1 MiB; then the oldest go', () => {
  const { channel, queue } = open();
  const texts = () =>
    drain(queue).flatMap((each) => (each.type === 'BROADCAST' ? [each.message['text']] : []));
  const first = broadcast('0');
  channel.take(first);
  channel.take(first);
  for (let count = 1; count < 256; count += 1) channel.take(broadcast(`${count}`));
  expect(texts()).toEqual(Array.from({ length: 256 }, (_, count) => `${count}`));
  for (let count = 0; count < 300; count += 1) channel.take(broadcast(`${count}`));
  expect(texts()).toEqual(Array.from({ length: 256 }, (_, count) => `${count + 44}`));
  const large = 'x'.repeat(2 ** 18);
  channel.take(typing(NOOR, true));
  for (let count = 0; count < 5; count += 1) channel.take(broadcast(`${count}${large}`));
  const left = drain(queue);
  expect(left[0]).toMatchObject({ type: 'TYPING' });
  expect(
    left.slice(1).map((each) => each.type === 'BROADCAST' && String(each.message['text'])[0]),
  ).toEqual(['2', '3', '4']);
  channel.close();
});

test('who is not heard of any more does not type, and nobody is woken after the end', async () => {
  const { channel, queue, leave } = open({}, 20);
  let wakes = 0;
  const unlisten = queue.listen(() => {
    wakes += 1;
  });
  channel.take(typing(NOOR, true));
  await expect.poll(() => wakes).toBe(2);
  expect(drain(queue)).toMatchObject([{ userId: NOOR, isTyping: false }]);
  // Who said that they stopped has stopped once.
  channel.take(typing(OMAR, true));
  channel.take(typing(OMAR, false));
  channel.take(typing(NOOR, true));
  await expect.poll(() => wakes).toBe(6);
  unlisten();
  channel.take(typing(OMAR, true));
  expect(wakes).toBe(6);
  leave();
  expect(channel.isEmpty()).toBe(true);
  channel.close();
});
