import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { openSocket } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { type Acts, createActs } from '../support/room-acts.ts';
import {
  type RoomWatchOptions,
  type StartedWatch,
  type StreamEntry,
  take,
  watchRoom,
  watchRoomByEventStream,
} from '../support/room-watch.ts';
import { addMember, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';

let naru: TestNaru;
let acts: Acts;
let owner: Member;
let member: Member;
let other: Member;
let room: MadeRoom;
/** Whichever is sooner: the entry that finds it revoked, or who watches over the socket's credential. */
const ENDED = /UNAUTHENTICATED|closed with 4401/;

const watches: StartedWatch[] = [];

beforeAll(async () => {
  naru = await startNaru();
  acts = createActs(() => naru.url);
});
afterAll(() => naru.close());

beforeEach(async () => {
  [owner, member, other] = await Promise.all([addMember(naru), addMember(naru), addMember(naru)]);
  room = await makeRoom(naru, { owner, members: [member] });
});
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
});

async function watch(
  who: Pick<Member, 'token'>,
  options: Partial<RoomWatchOptions> = {},
  open = watchRoom,
): Promise<StartedWatch> {
  const opened = await open(naru.url, who.token, { roomId: room.id, ...options });
  watches.push(opened);
  return opened;
}

const typesOf = (items: readonly StreamEntry[]) => items.map(({ __typename }) => __typename);
const bodiesOf = (items: readonly StreamEntry[]) => items.map(({ message }) => message?.body);

/** The cursor of the room's beginning, as its owner got it before anything happened. */
async function startOf(who: Pick<Member, 'token'>): Promise<string> {
  return (await watch(who)).startCursor;
}

describe('the stream', () => {
  test.each([
    { by: 'graphql-ws', open: watchRoom },
    { by: 'server-sent events', open: watchRoomByEventStream },
  ])(
    'replays after a cursor and goes on live, in order, without a seam, by $by',
    async ({ open }) => {
      const first = await startOf(owner);
      const sent: string[] = [];
      for (let index = 0; index < 10; index += 1)
        sent.push(await acts.say(owner, room, `${index}`));
      const sending = (async () => {
        for (let index = 10; index < 20; index += 1)
          sent.push(await acts.say(owner, room, `${index}`));
      })();
      const second = await watch(member, { after: first }, open);
      const seen = await take(second, 20);
      await sending;
      expect(seen.map(({ message }) => message.id)).toEqual(sent);
    },
  );

  test('tells each kind of event as what it is', async () => {
    const hers = await watch(owner);
    const id = await acts.say(member, room, 'Hello');
    await acts.edit(member, id, 'Hello you');
    await acts.react(owner, id, '👍');
    await acts.rename(owner, room, 'Another name');
    await acts.add(owner, room, other);
    await acts.remove(owner, room, other);
    await acts.erase(member, id);
    const items = await take(hers, 7);
    expect(typesOf(items)).toEqual([
      'MessageSent',
      'MessageEdited',
      'ReactionsChanged',
      'RoomUpdated',
      'ParticipantJoined',
      'ParticipantLeft',
      'MessageDeleted',
    ]);
    const [sent, edited, reacted, renamed, joined, left, deleted] = items;
    expect(sent).toMatchObject({ message: { id, sequence: 1 }, actor: { id: member.id } });
    expect(edited?.['message'].id).toBe(id);
    expect(reacted).toMatchObject({
      message: { reactions: [{ emoji: '👍', count: 1 }] },
      actor: { id: owner.id },
    });
    expect(renamed?.['room']).toEqual({ name: 'Another name' });
    expect(joined).toMatchObject({ user: { id: other.id }, actor: { id: owner.id } });
    expect(left).toMatchObject({
      user: { id: other.id },
      reason: 'REMOVED',
      actor: { id: owner.id },
    });
    expect(deleted?.['message']).toMatchObject({ id, body: null });
    expect(deleted?.['message'].deletedAt).not.toBeNull();
  });

  test('resumes after any of its items and repeats none', async () => {
    const hers = await watch(owner);
    for (let index = 0; index < 6; index += 1) await acts.say(member, room, `${index}`);
    const items = await take(hers, 6);
    await hers.close();
    for (const at of [0, 2, 4]) {
      const resumed = await watch(owner, { after: items[at]?.cursor ?? '' });
      expect(bodiesOf(await take(resumed, 1))).toEqual([`${at + 1}`]);
    }
  });

  test('tells two tabs of one account the same', async () => {
    const tabs = [await watch(owner), await watch(owner, {}, watchRoomByEventStream)] as const;
    for (let index = 0; index < 5; index += 1) await acts.say(member, room, `${index}`);
    const [one, two] = await Promise.all(tabs.map((tab) => take(tab, 5)));
    expect(one).toEqual(two);
  });

  test('replays what was deleted as a tombstone, also out of what a node remembers', async () => {
    const hers = await watch(owner);
    const id = await acts.say(member, room, 'A secret');
    await acts.say(member, room, 'Nothing');
    expect(bodiesOf(await take(hers, 2))).toEqual(['A secret', 'Nothing']);
    await acts.erase(member, id);
    // Hers keeps the node's memory of the room; the other one resumes from before.
    const again = await watch(member, { after: hers.startCursor });
    expect(bodiesOf(await take(again, 3))).toEqual([null, 'Nothing', null]);
  });

  test('makes the viewer be there for the others, for as long as it is open', async () => {
    const hers = await watch(owner);
    const his = await watch(member);
    expect(await hers.nextSignal('PresenceChanged')).toMatchObject({
      user: { id: member.id },
      presence: { isOnline: true },
    });
    await his.close();
    expect(await hers.nextSignal('PresenceChanged')).toMatchObject({
      user: { id: member.id },
      presence: { isOnline: false },
    });
  });

  test('tells the others what is live only, and never replays it', async () => {
    const hers = await watch(owner, { connectionId: 'hers' });
    const typing = { roomId: room.id, isTyping: true, connectionId: 'his' };
    await acts.act(member, 'setTyping', typing);
    expect(await hers.nextSignal('TypingChanged')).toMatchObject({
      cursor: hers.startCursor,
      user: { id: member.id },
      isTyping: true,
    });
    const id = await acts.say(owner, room, 'Read me');
    await acts.act(member, 'markRead', { roomId: room.id, upToMessageId: id });
    expect(await hers.nextSignal('ReadMarkerMoved')).toMatchObject({
      user: { id: member.id },
      sequence: 1,
    });
    const again = await watch(owner, { after: hers.startCursor });
    expect((await again.next()).__typename).toBe('MessageSent');
    await expect(watch(owner, { connectionId: 'no space' })).rejects.toThrow('INVALID_INPUT');
  });

  test('ends for a token that is revoked, at the next event', async () => {
    const his = await watch(member);
    await naru.app.prisma.personalAccessToken.updateMany({
      where: { userId: member.userId },
      data: { revokedAt: new Date() },
    });
    await acts.say(owner, room, 'Hello');
    await expect(his.nextEvent()).rejects.toThrow(ENDED);
  });
});

describe('who is not in the room', () => {
  const NO_ROOM = 'Um9vbTowMTk5MDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDA';

  test('is refused alike for a room that is there and for one that is not', async () => {
    const query = `subscription ($roomId: ID!, $after: Cursor) {
      roomEvents(roomId: $roomId, after: $after) { __typename } }`;
    const after = await startOf(owner);
    const answers = [];
    for (const roomId of [room.id, NO_ROOM]) {
      for (const variables of [{ roomId }, { roomId, after }, { roomId, after: 'no cursor' }]) {
        const socket = await openSocket(naru.url, other.token);
        const { errors } = await socket.run({ query, variables });
        socket.ws.close();
        answers.push(errors?.map(({ message, extensions }) => ({ message, ...extensions })));
      }
    }
    const expected = { code: 'NOT_FOUND', message: 'There is no such room for you' };
    for (const errors of answers) expect(errors).toMatchObject([expected]);
    expect(new Set(answers.map((errors) => Object.keys(errors?.[0] ?? {}).join())).size).toBe(1);
  });

  test('is refused without the scope, and as a guest', async () => {
    const reader = await addMember(naru, ['rooms:write']);
    await acts.add(owner, room, reader);
    await expect(watch(reader)).rejects.toThrow('FORBIDDEN');
    await expect(watch({ token: '' })).rejects.toThrow();
  });

  test('with a cursor of another room, or none at all, is told that it is none', async () => {
    const elsewhere = await makeRoom(naru, { owner });
    const { startCursor } = await watch(owner, { roomId: elsewhere.id });
    await expect(watch(owner, { after: startCursor })).rejects.toThrow('CURSOR_INVALID');
    await expect(watch(owner, { after: 'no cursor' })).rejects.toThrow('CURSOR_INVALID');
  });
});

describe('a participant who is removed', () => {
  test('is told so last, and then the stream ends', async () => {
    const his = await watch(member);
    await acts.say(owner, room, 'Before');
    await acts.remove(owner, room, member);
    await acts.say(owner, room, 'After');
    const [before, left] = await take(his, 2);
    expect(before?.['message'].body).toBe('Before');
    expect(left).toMatchObject({
      __typename: 'ParticipantLeft',
      user: { id: member.id },
      reason: 'REMOVED',
      actor: { id: owner.id },
    });
    await expect(his.next()).rejects.toThrow('NOT_FOUND');
    await expect(watch(member)).rejects.toThrow('NOT_FOUND');
    await expect(watch(member, { after: his.startCursor })).rejects.toThrow('NOT_FOUND');
  });

  test('and banned, by the reason of it', async () => {
    const his = await watch(member);
    await acts.ban(owner, room, member);
    const [left] = await take(his, 1);
    expect(left).toMatchObject({ __typename: 'ParticipantLeft', reason: 'BANNED' });
    await expect(his.next()).rejects.toThrow('NOT_FOUND');
  });

  test('by themselves, and then banned and not any more, is told apart by that', async () => {
    const hers = await watch(owner);
    await acts.leave(member, room);
    await acts.ban(owner, room, member);
    // Each is told as it is then.
    const [, banned] = await take(hers, 2);
    await acts.act(owner, 'unbanParticipant', { roomId: room.id, userId: member.id });
    const [lifted] = await take(hers, 1);
    for (const [item, isBanned] of [
      [banned, true],
      [lifted, false],
    ] as const) {
      expect(item).toMatchObject({
        __typename: 'ParticipantUpdated',
        user: { id: member.id },
        participant: null,
        isBanned,
      });
    }
  });

  test.each([
    // What is not theirs any more when it would be handed out is not, also where it came before.
    { historyVisibility: 'SHARED', isWhole: false },
    { historyVisibility: 'KEPT', isWhole: true },
  ] as const)(
    'while others send hears nothing past the removal, live or replayed, under $historyVisibility',
    async ({ historyVisibility, isWhole }) => {
      for (let trial = 0; trial < 4; trial += 1) {
        // Others each time: an account sends 20 messages in 10 seconds.
        const [boss, second] = [await addMember(naru), await addMember(naru)];
        const here = await makeRoom(naru, {
          owner: boss,
          members: [member, second],
          historyVisibility,
        });
        const hers = await watch(boss, { roomId: here.id });
        const after = hers.startCursor;
        const streams = [
          await watch(member, { roomId: here.id }),
          await watch(member, { roomId: here.id, after }, watchRoomByEventStream),
        ];
        const sending = [boss, second].map(async (who) => {
          for (let index = 0; index < 8; index += 1) await acts.say(who, here, `${trial}`);
        });
        const first = await take(hers, 4);
        const removing = acts.remove(boss, here, member);
        const all = take(hers, 13).then((rest) => [...first, ...rest]);
        for (const stream of streams) {
          const cursors: string[] = [];
          const reading = (async () => {
            for (;;) cursors.push((await stream.nextEvent()).cursor);
          })();
          await expect(reading).rejects.toThrow('NOT_FOUND');
          const log = (await all).map(({ cursor }) => cursor);
          const place = typesOf(await all).indexOf('ParticipantLeft');
          const before = isWhole ? place : cursors.length - 1;
          expect(cursors).toEqual([...log.slice(0, before), log[place]]);
        }
        await Promise.all([...sending, removing]);
      }
    },
  );

  test('and comes back reads on from where they were, the time between included', async () => {
    const his = await watch(member);
    await acts.remove(owner, room, member);
    const [left] = await take(his, 1);
    await acts.say(owner, room, 'Between');
    await acts.add(owner, room, member);
    await acts.say(owner, room, 'Back');
    const again = await watch(member, { after: left?.cursor ?? '' });
    const items = await take(again, 3);
    expect(typesOf(items)).toEqual(['MessageSent', 'ParticipantJoined', 'MessageSent']);
    expect(bodiesOf(items)).toEqual(['Between', undefined, 'Back']);
  });
});

describe('under SINCE_JOINED', () => {
  beforeEach(async () => {
    room = await makeRoom(naru, { owner, members: [member], historyVisibility: 'SINCE_JOINED' });
  });

  test('what came before the joining is passed over, and what happens to it later', async () => {
    const start = await startOf(owner);
    const old = await acts.say(owner, room, 'Old');
    await acts.add(owner, room, other);
    await acts.edit(owner, old, 'Old and edited');
    await acts.say(owner, room, 'New');
    const theirs = await watch(other, { after: start });
    const items = await take(theirs, 2);
    expect(typesOf(items)).toEqual(['ParticipantJoined', 'MessageSent']);
    expect(items[1]?.['message'].body).toBe('New');
  });

  test('who comes back hears nothing of the time before', async () => {
    const his = await watch(member);
    await acts.leave(member, room);
    await take(his, 1);
    await acts.say(owner, room, 'Between');
    await acts.add(owner, room, member);
    const again = await watch(member, { after: his.startCursor });
    expect(typesOf(await take(again, 1))).toEqual(['ParticipantJoined']);
  });
});

describe('under KEPT', () => {
  beforeEach(async () => {
    room = await makeRoom(naru, { owner, members: [member], historyVisibility: 'KEPT' });
  });

  test('who left replays what was there, as it was then, and no more', async () => {
    const start = await startOf(owner);
    const first = await acts.say(owner, room, 'First');
    const second = await acts.say(owner, room, 'Second');
    await acts.leave(member, room);
    await acts.edit(owner, first, 'First, edited');
    await acts.react(owner, first, '👍');
    await acts.erase(owner, second);
    await acts.say(owner, room, 'Third');
    const his = await watch(member, { after: start });
    const items = await take(his, 3);
    expect(typesOf(items)).toEqual(['MessageSent', 'MessageSent', 'ParticipantLeft']);
    // What was deleted is gone for them, too.
    expect(bodiesOf(items)).toEqual(['First', null, undefined]);
    await expect(his.next()).rejects.toThrow('NOT_FOUND');
    await expect(watch(member)).rejects.toThrow('NOT_FOUND');
    await expect(watch(member, { after: items[2]?.cursor ?? '' })).rejects.toThrow('NOT_FOUND');
  });

  test('who is banned replays nothing', async () => {
    const start = await startOf(owner);
    await acts.say(owner, room, 'First');
    await acts.ban(owner, room, member);
    await expect(watch(member, { after: start })).rejects.toThrow('NOT_FOUND');
  });
});

test('who is removed while their stream begins is told nothing of it, not even where the room is', async () => {
  const { roomFeed } = naru.app;
  const { readHead } = roomFeed;
  const spy = vi.spyOn(roomFeed, 'readHead').mockImplementation(async (key) => {
    // Let in already, and the room's head is not read yet.
    spy.mockRestore();
    await acts.remove(owner, room, member);
    return readHead(key);
  });
  await expect(watch(member)).rejects.toThrow('NOT_FOUND');
});
