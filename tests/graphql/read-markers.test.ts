import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { post } from '../support/graphql-client.ts';
import { readRoom, send } from '../support/messages.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { createActs } from '../support/room-acts.ts';
import { type StartedWatch, watchRoom, watchRooms } from '../support/room-watch.ts';
import { addMember, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';

const STATE = 'unreadCount mentionCount lastReadMessage { id } viewerParticipant { readSequence }';

let naru: TestNaru;
let stop: () => void;
let mina: Member;
let noor: Member;
let room: MadeRoom;
/** What mina has said, the first message first. */
let said: string[];
const watches: StartedWatch[] = [];
const acts = createActs(() => naru.url);

beforeAll(async () => {
  naru = await startNaru();
  const follower = { userId: null, connectionId: null };
  const warm = naru.app.roomSignals.follow('any', follower);
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
  said = [];
  for (let index = 0; index < 4; index += 1) said.push(await acts.say(mina, room, `${index}`));
});
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
});

const mark = (who: Member, messageId: string | undefined, roomId = room.id) =>
  acts.act(
    who,
    'markRead',
    { roomId, upToMessageId: messageId ?? '' },
    `... on MarkReadSucceeded { room { ${STATE} } }`,
  );
const stateOf = (who: Member, of = room) => readRoom(naru.url, who, of, STATE);

async function watch(opening: Promise<StartedWatch>): Promise<StartedWatch> {
  const opened = await opening;
  watches.push(opened);
  return opened;
}

test('unread are the messages behind the marker; who sends has read what they sent', async () => {
  expect(await stateOf(noor)).toMatchObject({ unreadCount: 4, lastReadMessage: null });
  const { room: marked } = await mark(noor, said[1]);
  expect(marked).toMatchObject({
    unreadCount: 2,
    lastReadMessage: { id: said[1] },
    viewerParticipant: { readSequence: 2 },
  });
  expect(await stateOf(mina)).toMatchObject({ unreadCount: 0, lastReadMessage: { id: said[3] } });
});

test('a marker that goes back changes nothing, and nobody is told', async () => {
  const live = await watch(watchRoom(naru.url, mina.token, { roomId: room.id }));
  await mark(noor, said[2]);
  expect(await live.nextSignal('ReadMarkerMoved')).toMatchObject({
    user: { id: noor.id },
    sequence: 3,
    readAt: expect.any(String),
  });
  for (const messageId of [said[0], said[2]]) {
    expect((await mark(noor, messageId)).room).toMatchObject({
      unreadCount: 1,
      viewerParticipant: { readSequence: 3 },
    });
  }
  await mark(noor, said[3]);
  expect(await live.nextSignal('ReadMarkerMoved')).toMatchObject({ sequence: 4 });
});

test('two tabs that mark at once end at the further one, and the room is told no step back', async () => {
  const live = await watch(watchRoom(naru.url, mina.token, { roomId: room.id }));
  const order = [0, 3, 1, 2, 3, 0, 2, 1];
  const marked = await Promise.all(order.map((index) => mark(noor, said[index])));
  expect(marked.map(({ __typename }) => __typename)).toEqual(order.map(() => 'MarkReadSucceeded'));
  expect(await stateOf(noor)).toMatchObject({ unreadCount: 0, lastReadMessage: { id: said[3] } });
  let last = 0;
  while (last < 4) {
    const { sequence } = await live.nextSignal('ReadMarkerMoved');
    expect(sequence).toBeGreaterThan(last);
    last = sequence;
  }
});

test('the other devices of an account hear that it has read', async () => {
  const rooms = await watch(watchRooms(naru.url, noor.token));
  await mark(noor, said[0]);
  expect(await rooms.nextSignal('RoomUnreadChanged')).toMatchObject({ room: { id: room.id } });
});

test('mentions count while they are unread and not deleted', async () => {
  const first = await send(naru.url, mina, room, { body: 'You', mentionIds: [noor.id] });
  const second = await send(naru.url, mina, room, { body: 'And you', mentionIds: [noor.id] });
  expect(await stateOf(noor)).toMatchObject({ unreadCount: 6, mentionCount: 2 });
  await acts.erase(mina, second.message.id);
  expect(await stateOf(noor)).toMatchObject({ unreadCount: 6, mentionCount: 1 });
  await mark(noor, first.message.id);
  expect(await stateOf(noor)).toMatchObject({ unreadCount: 1, mentionCount: 0 });
});

test('what came before somebody joined never was unread, and who left has nothing unread', async () => {
  const late = await addMember(naru);
  await acts.add(mina, room, late);
  expect(await stateOf(late)).toMatchObject({ unreadCount: 0, lastReadMessage: null });
  await acts.say(mina, room, 'Welcome');
  expect(await stateOf(late)).toMatchObject({ unreadCount: 1 });
  const kept = await makeRoom(naru, { owner: mina, members: [late], historyVisibility: 'KEPT' });
  const messageId = await acts.say(mina, kept, 'Once');
  await mark(late, messageId, kept.id);
  await acts.say(mina, kept, 'Twice');
  await acts.leave(late, kept);
  expect(await stateOf(late, kept)).toMatchObject({
    unreadCount: 0,
    mentionCount: 0,
    lastReadMessage: null,
  });
  expect(await mark(late, messageId, kept.id)).toMatchObject({ code: 'NOT_FOUND' });
});

test('a room or message that is not theirs is answered as one that is not there', async () => {
  const [stranger, elsewhere] = [
    await addMember(naru),
    await makeRoom(naru, { owner: mina, members: [noor] }),
  ];
  const other = await acts.say(mina, elsewhere, 'Elsewhere');
  const none = encodeGlobalId('ChatMessage', newId());
  const answers = [
    await mark(stranger, said[0]),
    await mark(stranger, said[0], encodeGlobalId('Room', newId())),
  ];
  expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
  expect(answers[0]).toMatchObject({ code: 'NOT_FOUND' });
  const theirs = [await mark(noor, other), await mark(noor, none)];
  expect(new Set(theirs.map((answer) => JSON.stringify(answer))).size).toBe(1);
  expect(theirs[0]).toMatchObject({ code: 'NOT_FOUND' });
});

test('under SINCE_JOINED nobody marks what they may not read', async () => {
  const closed = await makeRoom(naru, { owner: mina, historyVisibility: 'SINCE_JOINED' });
  const before = await acts.say(mina, closed, 'Before');
  await acts.add(mina, closed, noor);
  const after = await acts.say(mina, closed, 'After');
  expect(await mark(noor, before, closed.id)).toMatchObject({ code: 'NOT_FOUND' });
  expect((await mark(noor, after, closed.id)).room).toMatchObject({ unreadCount: 0 });
});

test('many rooms of a list are counted in one statement', async () => {
  for (let index = 0; index < 5; index += 1) {
    await makeRoom(naru, { owner: noor, members: [mina] });
  }
  const statements: string[] = [];
  const { database } = naru.app;
  const original = database.query;
  const spy = ((text: string, values: unknown[], name: string) => {
    statements.push(name);
    return original(text, values, name);
  }) as typeof original;
  Object.assign(database, { query: spy });
  try {
    const query = `{ rooms(first: 20) { nodes { ${STATE} } } }`;
    const { result } = await post(naru.url, { query }, noor.token);
    expect(result.data.rooms.nodes).toHaveLength(6);
  } finally {
    Object.assign(database, { query: original });
  }
  expect(statements.filter((name) => name === 'load-read-states')).toHaveLength(1);
});
