import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { catchUpRooms, feedRooms, pruneRoomsFeed } from '#resolvers/rooms/rooms-feed-writer.ts';
import { passTime } from '../support/accounts.ts';
import { post, until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { type Acts, createActs } from '../support/room-acts.ts';
import {
  type StartedWatch,
  type StreamEntry,
  take,
  watchRooms,
  watchRoomsByEventStream,
} from '../support/room-watch.ts';
import { addMember, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';
import { requireServer, testNatsUrl } from '../support/servers.ts';

const ON_NATS = () => ({ NATS_URL: testNatsUrl(), NATS_NAMESPACE: `t${randomUUID().slice(0, 8)}` });

/** Whichever is sooner: the entry that finds it revoked, or who watches over the socket's credential. */
const ENDED = /UNAUTHENTICATED|closed with 4401/;

const watches: StartedWatch[] = [];
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
});

async function watch(
  naru: TestNaru,
  who: Pick<Member, 'token'>,
  options: { readonly after?: string } = {},
  open = watchRooms,
): Promise<StartedWatch> {
  const opened = await open(naru.url, who.token, options);
  watches.push(opened);
  return opened;
}

const cursorsOf = (items: readonly StreamEntry[]) => items.map(({ cursor }) => cursor);

describe.each([
  { bus: 'PostgreSQL', isThere: true, settings: () => ({}) },
  { bus: 'NATS', isThere: requireServer('nats-server'), settings: ON_NATS },
])('the stream over all rooms, with the log in $bus', ({ isThere, settings }) => {
  describe.skipIf(!isThere)('', () => {
    let naru: TestNaru;
    let acts: Acts;
    let owner: Member;
    let member: Member;
    let other: Member;
    let room: MadeRoom;

    beforeAll(async () => {
      naru = await startNaru({ settings: settings() });
      acts = createActs(() => naru.url);
    });
    afterAll(() => naru.close());
    beforeEach(async () => {
      [owner, member, other] = await Promise.all([
        addMember(naru),
        addMember(naru),
        addMember(naru),
      ]);
      room = await makeRoom(naru, { owner, members: [member] });
    });

    /** Its own making was announced to nobody: what is seen first of it brings the rest along. */
    async function takeUp(): Promise<void> {
      await catchUpRooms(naru.app);
    }

    test('tells of every room that the viewer is in, and of no other', async () => {
      await takeUp();
      const second = await makeRoom(naru, { owner, members: [member, other], name: 'Second' });
      await takeUp();
      const [his, theirs] = [await watch(naru, member), await watch(naru, other)];
      const one = await acts.say(owner, room, 'One');
      expect(await his.nextEvent()).toMatchObject({
        __typename: 'RoomChanged',
        kind: 'MESSAGE_SENT',
        room: { id: room.id },
        message: { id: one, body: 'One' },
        actor: { id: owner.id },
      });
      const two = await acts.say(owner, second, 'Two');
      expect((await his.nextEvent())['message'].id).toBe(two);
      expect((await theirs.nextEvent())['message'].id).toBe(two);
      await acts.rename(owner, second, 'Another');
      expect(await theirs.nextEvent()).toMatchObject({
        kind: 'ROOM_UPDATED',
        room: { id: second.id, name: 'Another' },
        message: null,
      });
    });

    test('tells who enters a room and who leaves it, and nothing of it after', async () => {
      await takeUp();
      const theirs = await watch(naru, other);
      await acts.add(owner, room, other);
      expect(await theirs.nextEvent()).toMatchObject({
        __typename: 'RoomEntered',
        room: { id: room.id },
        addedBy: { id: owner.id },
      });
      await acts.say(owner, room, 'Hello');
      expect(await theirs.nextEvent()).toMatchObject({ kind: 'MESSAGE_SENT' });
      await acts.ban(owner, room, other);
      expect(await theirs.nextEvent()).toMatchObject({
        __typename: 'RoomLeft',
        roomId: room.id,
        reason: 'BANNED',
        actor: { id: owner.id },
      });
      await acts.say(owner, room, 'Not for them');
      const made = await acts.act(
        other,
        'createRoom',
        { name: 'Theirs', userIds: [owner.id] },
        '... on CreateRoomSucceeded { room { id } }',
      );
      await acts.say(owner, made.room, 'Thanks');
      // The second is the owner's joining.
      const [entered, , said] = await take(theirs, 3);
      expect(entered).toMatchObject({ __typename: 'RoomEntered', room: { id: made.room.id } });
      expect(said?.['message'].body).toBe('Thanks');
    });

    test('joins the list of rooms without a seam: what was not listed is told', async () => {
      await takeUp();
      const { data } = (
        await post(naru.url, { query: '{ rooms { followCursor nodes { id } } }' }, other.token)
      ).result;
      expect(data.rooms.nodes).toEqual([]);
      const input = { name: 'In between', userIds: [other.id] };
      const made = await acts.act(
        owner,
        'createRoom',
        input,
        '... on CreateRoomSucceeded { room { id } }',
      );
      const theirs = await watch(naru, other, { after: data.rooms.followCursor });
      expect(await theirs.nextEvent()).toMatchObject({
        __typename: 'RoomEntered',
        room: { id: made.room.id },
      });
    });

    test('says whom it is about, where that is somebody', async () => {
      await takeUp();
      const his = await watch(naru, member);
      await acts.add(owner, room, other);
      await acts.act(owner, 'muteParticipant', { roomId: room.id, userId: other.id });
      await acts.remove(owner, room, other);
      await acts.say(owner, room, 'To all');
      await acts.rename(owner, room, 'For all');
      const items = await take(his, 5);
      expect(items.map(({ kind, user, actor }) => [kind, user?.id ?? null, actor.id])).toEqual([
        ['PARTICIPANT_JOINED', other.id, owner.id],
        ['PARTICIPANT_UPDATED', other.id, owner.id],
        ['PARTICIPANT_LEFT', other.id, owner.id],
        ['MESSAGE_SENT', null, owner.id],
        ['ROOM_UPDATED', null, owner.id],
      ]);
    });

    test('replays after a cursor and goes on live, in order, without a seam, by both transports', async () => {
      await takeUp();
      const rooms = [room, await makeRoom(naru, { owner, members: [member] })] as const;
      await takeUp();
      const his = await watch(naru, member);
      const said: string[][] = [[], []];
      const say = async (index: 0 | 1, who: Member, body: string) => {
        said[index]?.push(await acts.say(who, rooms[index], body));
      };
      for (let index = 0; index < 6; index += 1)
        await say(index % 2 === 0 ? 0 : 1, owner, `${index}`);
      const after = his.startCursor;
      const sending = Promise.all([
        (async () => {
          for (let index = 0; index < 6; index += 1) await say(0, owner, `a${index}`);
        })(),
        (async () => {
          for (let index = 0; index < 6; index += 1) await say(1, member, `b${index}`);
        })(),
      ]);
      const again = await watch(naru, member, { after }, watchRoomsByEventStream);
      const [live, replayed] = await Promise.all([take(his, 18), take(again, 18)]);
      await sending;
      expect(replayed).toEqual(live);
      rooms.forEach(({ id }, index) => {
        const ofRoom = live.filter((item) => item['room'].id === id);
        expect(ofRoom.map(({ message }) => message.id)).toEqual(said[index]);
      });
      const [tenth] = live.slice(9);
      const resumed = await watch(naru, member, { after: tenth?.cursor ?? '' });
      expect(cursorsOf(await take(resumed, 8))).toEqual(cursorsOf(live.slice(10)));
    });

    test('tells on every device that one of them has read on, live only', async () => {
      const id = await acts.say(owner, room, 'Read me');
      const tabs = [await watch(naru, member), await watch(naru, member)];
      await acts.act(member, 'markRead', { roomId: room.id, upToMessageId: id });
      for (const tab of tabs) {
        expect(await tab.nextSignal('RoomUnreadChanged')).toMatchObject({ room: { id: room.id } });
      }
    });

    test('ends for a token that is revoked, at the next change', async () => {
      const his = await watch(naru, member);
      await naru.app.prisma.personalAccessToken.updateMany({
        where: { userId: member.userId },
        data: { revokedAt: new Date() },
      });
      await acts.say(owner, room, 'Hello');
      await expect(his.nextEvent()).rejects.toThrow(ENDED);
    });
  });
});

describe('who was away', () => {
  let naru: TestNaru;
  let acts: Acts;
  let owner: Member;
  let member: Member;

  beforeAll(async () => {
    naru = await startNaru();
    acts = createActs(() => naru.url);
  });
  afterAll(() => naru.close());
  beforeEach(async () => {
    [owner, member] = [await addMember(naru), await addMember(naru)];
  });

  /** A room with a message, a member who goes, a message, and a mark in another room of theirs. */
  async function goThrough(historyVisibility: 'SHARED' | 'SINCE_JOINED' | 'KEPT') {
    const room = await makeRoom(naru, { owner, members: [member], historyVisibility });
    const elsewhere = await makeRoom(naru, { owner, members: [member] });
    await catchUpRooms(naru.app);
    const { startCursor: after } = await watch(naru, member);
    const first = await acts.say(owner, room, 'First');
    await acts.remove(owner, room, member);
    await acts.edit(owner, first, 'First, edited');
    await acts.say(owner, room, 'Second');
    const mark = await acts.say(owner, elsewhere, 'Mark');
    const itemsUntilMark = async () => {
      const again = await watch(naru, member, { after });
      const items: StreamEntry[] = [];
      while (items.at(-1)?.['message']?.id !== mark) items.push(await again.nextEvent());
      return items.slice(0, -1);
    };
    return { room, itemsUntilMark };
  }

  test('when removed is told so, and nothing else of the room', async () => {
    const { room, itemsUntilMark } = await goThrough('SHARED');
    expect(await itemsUntilMark()).toMatchObject([
      { __typename: 'RoomLeft', roomId: room.id, reason: 'REMOVED' },
    ]);
  });

  test('under KEPT is told what was there until then, as it was', async () => {
    const { room, itemsUntilMark } = await goThrough('KEPT');
    expect(await itemsUntilMark()).toMatchObject([
      { __typename: 'RoomChanged', message: { body: 'First' } },
      { __typename: 'RoomLeft', roomId: room.id },
    ]);
  });

  test('when removed and back again is told of what they were there for', async () => {
    const { room, itemsUntilMark } = await goThrough('SHARED');
    await acts.add(owner, room, member);
    // Not of the time between, which is in the room’s history.
    expect(await itemsUntilMark()).toMatchObject([
      { __typename: 'RoomChanged', message: { body: 'First, edited' } },
      { __typename: 'RoomLeft' },
    ]);
    const { room: other, itemsUntilMark: itemsOfOther } = await goThrough('SINCE_JOINED');
    await acts.add(owner, other, member);
    const ofOther = (await itemsOfOther()).filter(
      (item) => item['roomId'] === other.id || item['room']?.id === other.id,
    );
    expect(ofOther).toEqual([]);
  });

  test('when a message was deleted gets its tombstone', async () => {
    const room = await makeRoom(naru, { owner, members: [member] });
    await catchUpRooms(naru.app);
    const his = await watch(naru, member);
    const id = await acts.say(owner, room, 'A secret');
    expect((await his.nextEvent())['message'].body).toBe('A secret');
    await acts.erase(owner, id);
    const again = await watch(naru, member, { after: his.startCursor });
    expect((await again.nextEvent())['message']).toMatchObject({ id, body: null });
  });
});

describe('the one writer', () => {
  let naru: TestNaru;
  let acts: Acts;
  let owner: Member;
  let room: MadeRoom;

  beforeAll(async () => {
    naru = await startNaru({ runsJobs: false });
    acts = createActs(() => naru.url);
  });
  afterAll(() => naru.close());
  beforeEach(async () => {
    owner = await addMember(naru);
    room = await makeRoom(naru, { owner });
  });

  const newsOf = (...rooms: readonly MadeRoom[]) =>
    rooms.map(({ roomId }) => ({
      id: randomUUID(),
      key: roomId,
      payload: { position: '1' },
      attachment: null,
      place: { incarnation: '1', sequence: 1n },
      publishedAt: new Date(),
    }));

  interface Taken {
    readonly position: string;
    readonly room_id: string;
    readonly room_position: string;
  }
  const taken = () =>
    naru.app.database.query<Taken>('SELECT * FROM rooms_change ORDER BY position');

  /** Of the room, in the order of the feed. */
  const positionsOf = async ({ roomId }: MadeRoom) =>
    (await taken()).flatMap((row) => (row.room_id === roomId ? Number(row.room_position) : []));

  const head = async () => (await naru.app.roomsFeed.readHead('')).head;

  test('takes up all of a room by any news of it, once', async () => {
    for (const body of ['1', '2', '3']) await acts.say(owner, room, body);
    await feedRooms(naru.app, newsOf(room));
    expect(await positionsOf(room)).toEqual([1, 2, 3, 4]);
    const before = await taken();
    await feedRooms(naru.app, newsOf(room, room));
    await feedRooms(naru.app, newsOf(room));
    expect(await taken()).toEqual(before);
  });

  test('gives each change the next position, without a hole, though two write at once', async () => {
    const rooms = [room, await makeRoom(naru, { owner }), await makeRoom(naru, { owner })];
    const sending = rooms.map(async (one) => {
      for (let index = 0; index < 6; index += 1) await acts.say(owner, one, `${index}`);
    });
    const writing = [1, 2].map(async () => {
      for (let index = 0; index < 10; index += 1) await feedRooms(naru.app, newsOf(...rooms));
    });
    await Promise.all([...sending, ...writing]);
    await feedRooms(naru.app, newsOf(...rooms));
    for (const one of rooms) expect(await positionsOf(one)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    const positions = (await taken()).map(({ position }) => Number(position));
    expect(positions).toEqual(positions.map((_position, index) => index + (positions[0] ?? 0)));
    expect(await head()).toBe(BigInt(positions.at(-1) ?? 0));
  });

  test('that is interrupted leaves nothing half done', async () => {
    await acts.say(owner, room, '1');
    const before = await head();
    const broken = {
      ...naru.app,
      session: naru.app.session,
      database: {
        ...naru.app.database,
        transaction: <Result>(work: Parameters<typeof naru.app.database.transaction<Result>>[0]) =>
          naru.app.database.transaction(async (sql) => {
            await work(sql);
            throw new Error('killed before the commit');
          }),
      },
    };
    await expect(feedRooms(broken, newsOf(room))).rejects.toThrow('killed');
    expect(await head()).toBe(before);
    await feedRooms(naru.app, newsOf(room));
    expect(await positionsOf(room)).toEqual([1, 2]);
  });

  test('finds by itself what no news told of', async () => {
    await acts.say(owner, room, '1');
    await catchUpRooms(naru.app);
    expect(await positionsOf(room)).toEqual([1, 2]);
    const before = await head();
    await catchUpRooms(naru.app);
    expect(await head()).toBe(before);
  });

  test('forgets after 30 days, and says so to who asks for what is gone', async () => {
    await acts.say(owner, room, 'Old');
    await catchUpRooms(naru.app);
    const { startCursor: after } = await watch(naru, owner);
    const old = await head();
    await acts.say(owner, room, 'Old, too');
    await catchUpRooms(naru.app);
    await passTime(naru.app.database.query, 31 * 86_400);
    await acts.say(owner, room, 'New');
    await catchUpRooms(naru.app);
    await pruneRoomsFeed(naru.app);
    expect((await taken()).map(({ position }) => BigInt(position))).toEqual([old + 2n]);
    await expect(watch(naru, owner, { after })).rejects.toThrow('CURSOR_EXPIRED');
    await until(async () => (await naru.app.roomsFeed.readHead('')).pruned === old + 1n);
  });
});
