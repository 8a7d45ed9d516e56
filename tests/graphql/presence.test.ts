import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { EmbeddedServer } from '../../embedded/server.ts';
import { post } from '../support/graphql-client.ts';
import { readRoom } from '../support/messages.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { createActs } from '../support/room-acts.ts';
import {
  type StartedWatch,
  watchRoom,
  watchRoomByEventStream,
  watchRooms,
} from '../support/room-watch.ts';
import { addMember, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';
import { startTestRedis } from '../support/servers.ts';

const PRESENCE = 'presence { isOnline changedAt user { id } }';

let redis: EmbeddedServer;
let naru: TestNaru;
let stop: () => void;
let mina: Member;
let noor: Member;
let room: MadeRoom;
const watches: StartedWatch[] = [];
const acts = createActs(() => naru.url);

beforeAll(async () => {
  redis = await startTestRedis();
  naru = await startNaru({ settings: { REDIS_URL: redis.url } });
  const warm = naru.app.roomSignals.follow('any', { userId: null, connectionId: null });
  await warm.opened;
  stop = () => warm.stop();
});
afterAll(async () => {
  stop?.();
  await naru?.close();
  await redis?.stop();
});
beforeEach(async () => {
  [mina, noor] = [await addMember(naru), await addMember(naru)];
  room = await makeRoom(naru, { owner: mina, members: [noor] });
});
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
});

const presenceOf = async (who: Member, of = room) =>
  (await readRoom(naru.url, who, of, PRESENCE)).presence;
/** Whether each of the room is online, as `who` sees it. */
const onlineOf = async (who: Member) =>
  Object.fromEntries(
    (await presenceOf(who)).map((each: { user: Member; isOnline: boolean }) => [
      each.user.id,
      each.isOnline,
    ]),
  );

async function watch(opening: Promise<StartedWatch>): Promise<StartedWatch> {
  const opened = await opening;
  watches.push(opened);
  return opened;
}
const inRoom = (who: Member, open = watchRoom) =>
  watch(open(naru.url, who.token, { roomId: room.id }));

test('who opens a live stream is online to those in the room, and a second after the last one is not', async () => {
  const live = await inRoom(mina);
  await expect.poll(() => onlineOf(noor)).toEqual({ [mina.id]: true, [noor.id]: false });
  const first = await watchRoomByEventStream(naru.url, noor.token, { roomId: room.id });
  const second = await watchRooms(naru.url, noor.token);
  const came = await live.nextSignal('PresenceChanged');
  expect(came).toMatchObject({ user: { id: noor.id }, presence: { isOnline: true } });
  expect(await onlineOf(mina)).toEqual({ [mina.id]: true, [noor.id]: true });

  // A page that loads again, and the second device, keep them there: the next news is their leaving.
  await first.close();
  const reloaded = await watchRoom(naru.url, noor.token, { roomId: room.id });
  await reloaded.close();
  await second.close();
  const leftAt = performance.now();
  const went = await live.nextSignal('PresenceChanged');
  expect(went).toMatchObject({ user: { id: noor.id }, presence: { isOnline: false } });
  expect(performance.now() - leftAt).toBeGreaterThan(900);
  // The proof holds it to two seconds; a busy machine is not the matter here.
  expect(performance.now() - leftAt).toBeLessThan(4_000);
  const [, seen] = await presenceOf(mina);
  expect(seen).toMatchObject({ user: { id: noor.id }, isOnline: false });
  expect(Date.now() - Date.parse(seen.changedAt)).toBeLessThan(5_000);
});

test('who is online is shown first, and can be asked for alone; who is not in the room is shown nobody', async () => {
  const third = await addMember(naru);
  const kept = await makeRoom(naru, {
    owner: mina,
    members: [noor, third],
    historyVisibility: 'KEPT',
  });
  await watch(watchRooms(naru.url, third.token));
  const ids = (list: { user: Member }[]) => list.map(({ user }) => user.id);
  await expect
    .poll(async () => ids(await presenceOf(mina, kept)))
    .toEqual([third.id, mina.id, noor.id]);
  const shown = await readRoom(
    naru.url,
    mina,
    kept,
    `online: presence(isOnline: true) { user { id } } first: presence(limit: 2) { user { id } }`,
  );
  expect([ids(shown.online), ids(shown.first)]).toEqual([[third.id], [third.id, mina.id]]);
  for (const limit of [0, 1_001]) {
    const asked = readRoom(naru.url, mina, kept, `presence(limit: ${limit}) { isOnline }`);
    await expect(asked).rejects.toThrow(/INVALID_INPUT.*"field":"limit"|"field":"limit".*INVALID/);
  }
  await acts.leave(noor, kept);
  expect(await presenceOf(noor, kept)).toEqual([]);
  expect(ids(await presenceOf(mina, kept))).toEqual([third.id, mina.id]);
});

test('while Redis is away presence is not known, and streams go on; once it is back and empty, all are there and nobody went', async () => {
  const live = await inRoom(mina);
  const theirs = await inRoom(noor);
  await live.nextSignal('PresenceChanged');
  await redis.kill();
  const query = `query ($id: ID!) { room(id: $id) { name ${PRESENCE} typing { id } } }`;
  const ask = async () =>
    (await post(naru.url, { query, variables: { id: room.id } }, mina.token)).result;
  await expect.poll(async () => (await ask()).data?.room?.presence).toBeNull();
  const { data, errors } = await ask();
  expect(data.room).toMatchObject({ name: 'A room', presence: null, typing: null });
  expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
  // Typing is told all the same.
  expect(await acts.act(noor, 'setTyping', { roomId: room.id, isTyping: true })).toMatchObject({
    __typename: 'SetTypingSucceeded',
  });
  expect(await live.nextSignal('TypingChanged')).toMatchObject({ user: { id: noor.id } });
  const late = await watch(watchRooms(naru.url, mina.token));
  await redis.restart();
  await expect
    .poll(() => onlineOf(mina).catch(() => null), { timeout: 10_000 })
    .toEqual({ [mina.id]: true, [noor.id]: true });
  await late.close();
  await acts.say(mina, room, 'Still here');
  expect(await theirs.nextEvent()).toMatchObject({ __typename: 'MessageSent' });
  // Had they been taken for gone, it would have been told before what they do now.
  await theirs.close();
  expect(await live.nextSignal('PresenceChanged')).toMatchObject({ presence: { isOnline: false } });
}, 30_000);
