import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { readRoom } from '../support/messages.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { createActs } from '../support/room-acts.ts';
import { type RoomWatchOptions, type StartedWatch, watchRoom } from '../support/room-watch.ts';
import { addMember, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';

let naru: TestNaru;
let stop: () => void;
let mina: Member;
let noor: Member;
let room: MadeRoom;
const watches: StartedWatch[] = [];
const acts = createActs(() => naru.url);

beforeAll(async () => {
  naru = await startNaru();
  const warm = naru.app.roomSignals.follow('any', { userId: null, connectionId: null });
  await warm.opened;
  stop = () => warm.stop();
});
afterAll(async () => {
  stop?.();
  await naru?.close();
});
beforeEach(async () => {
  [mina, noor] = [await addMember(naru), await addMember(naru)];
  room = await makeRoom(naru, { owner: mina, members: [noor] });
});
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
});

const type = (who: Member, isTyping = true, input: object = {}) =>
  acts.act(who, 'setTyping', { roomId: room.id, isTyping, ...input });
const typists = async (who: Member, of = room) =>
  (await readRoom(naru.url, who, of, 'typing { id }')).typing.map(({ id }: Member) => id);

async function watch(who: Member, options: Partial<RoomWatchOptions> = {}): Promise<StartedWatch> {
  const opened = await watchRoom(naru.url, who.token, { roomId: room.id, ...options });
  watches.push(opened);
  return opened;
}

test('the others hear that somebody types and that they stopped, and the room shows it', async () => {
  const live = await watch(mina);
  const own = await watch(noor);
  expect(await type(noor)).toMatchObject({ __typename: 'SetTypingSucceeded' });
  // Said again at once it is no news.
  await type(noor);
  expect(await live.nextSignal('TypingChanged')).toMatchObject({
    user: { id: noor.id },
    isTyping: true,
  });
  expect([await typists(mina), await typists(noor)]).toEqual([[noor.id], []]);
  await type(noor, false);
  await type(noor, false);
  expect(await live.nextSignal('TypingChanged')).toMatchObject({ isTyping: false });
  expect(await typists(mina)).toEqual([]);
  await type(mina);
  // Nothing of their own came before it, and nothing twice.
  expect(await own.nextSignal('TypingChanged')).toMatchObject({ user: { id: mina.id } });
  await type(noor);
  expect(await live.nextSignal('TypingChanged')).toMatchObject({ isTyping: true });
});

test('of somebody who is not heard of any more it is told after 6 seconds that they stopped', async () => {
  const live = await watch(mina);
  await type(noor);
  expect(await live.nextSignal('TypingChanged')).toMatchObject({ isTyping: true });
  const saidAt = performance.now();
  expect(await live.nextSignal('TypingChanged')).toMatchObject({
    user: { id: noor.id },
    isTyping: false,
  });
  expect(performance.now() - saidAt).toBeGreaterThan(5_000);
  expect(performance.now() - saidAt).toBeLessThan(8_000);
  await expect.poll(() => typists(mina)).toEqual([]);
}, 15_000);

test('who may not send may not type, and a room that is not theirs is as one that is not there', async () => {
  const stranger = await addMember(naru);
  const answers = [
    await type(stranger),
    await type(stranger, true, { roomId: encodeGlobalId('Room', newId()) }),
  ];
  expect(answers[0]).toEqual(answers[1]);
  expect(answers[0]).toMatchObject({ code: 'NOT_FOUND' });
  expect(await type(noor, true, { connectionId: 'a b' })).toMatchObject({ code: 'INVALID_INPUT' });

  await naru.app.database.query(
    'UPDATE room_participant SET muted_at = naru_now() WHERE room_id = $1 AND user_id = $2',
    [room.roomId, noor.userId],
  );
  expect(await type(noor)).toMatchObject({ code: 'FORBIDDEN' });
  expect(await type(noor, false)).toMatchObject({ __typename: 'SetTypingSucceeded' });
  await naru.app.database.query('UPDATE room SET archived_at = naru_now() WHERE id = $1', [
    room.roomId,
  ]);
  expect(await type(mina)).toMatchObject({ code: 'CONFLICT' });
});

test('who left the room is not shown as typing, and is shown nobody', async () => {
  const kept = await makeRoom(naru, { owner: mina, members: [noor], historyVisibility: 'KEPT' });
  for (const who of [mina, noor]) await type(who, true, { roomId: kept.id });
  expect(await typists(noor, kept)).toEqual([mina.id]);
  await acts.leave(noor, kept);
  expect([await typists(mina, kept), await typists(noor, kept)]).toEqual([[], []]);
});
