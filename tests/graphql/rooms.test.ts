import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { passTime } from '../support/accounts.ts';
import { post } from '../support/graphql-client.ts';
import { mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  addMember,
  addMembers,
  type MadeRoom,
  type Member,
  makeDirectRoom,
  makeRoom,
} from '../support/rooms.ts';

let naru: TestNaru;
let owner: Member;
let moderator: Member;
let member: Member;
let stranger: Member;
let room: MadeRoom;

beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru?.close());

beforeEach(async () => {
  [owner, moderator, member, stranger] = (await addMembers(naru, 4)) as [
    Member,
    Member,
    Member,
    Member,
  ];
  room = await makeRoom(naru, { owner, moderators: [moderator], members: [member] });
});

type Input = Readonly<Record<string, unknown>>;

const call = (who: Member, field: string, input: Input, selection?: string) =>
  mutate(naru.url, field, input, {
    token: who.token,
    ...(selection !== undefined && { selection }),
  });
/** What it came to: `OK`, or the code of the error. */
const codeOf = async (who: Member, field: string, input: Input) =>
  (await call(who, field, input)).code ?? 'OK';
const read = async (who: Member, query: string, variables: Input = {}) =>
  (await post(naru.url, { query, variables }, who.token)).result;

const ROOM = `query ($id: ID!) { room(id: $id) { id kind name historyVisibility participantCount followCursor
  archivedAt createdBy { id } viewerParticipant { role isMuted mutedUntil }
  participants(first: 100) { nodes { role user { id username email } addedBy { id } } } } }`;
const readRoom = async (who: Member, id = room.id) => (await read(who, ROOM, { id })).data.room;

interface EventRow {
  readonly kind: string;
  readonly user: string | null;
  readonly actor: string | null;
  readonly reason: string | null;
}

/** What was logged since it was made, with who is who by name. */
async function logOf(made: MadeRoom = room): Promise<string[]> {
  const rows = await naru.app.database.query<EventRow>(
    `SELECT kind::text, user_id AS user, actor_id AS actor, left_reason::text AS reason
     FROM room_event WHERE room_id = $1 AND position > $2 ORDER BY position`,
    [made.roomId, made.head],
  );
  const names: Readonly<Record<string, Member>> = { owner, moderator, member, stranger };
  const nameOf = (id: string | null) =>
    Object.entries(names).find(([, { userId }]) => userId === id)?.[0] ?? '-';
  return rows.map(({ kind, user, actor, reason }) =>
    [kind, nameOf(user), nameOf(actor), ...(reason === null ? [] : [reason])].join(' '),
  );
}

async function auditOf(userId: string): Promise<string[]> {
  const rows = await naru.app.database.query<{ action: string }>(
    `SELECT action FROM audit_entry WHERE details ->> 'userId' = $1 ORDER BY id`,
    [userId],
  );
  return rows.map(({ action }) => action);
}

const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();

describe('a group room', () => {
  test('is owned by who makes it, with the others as members, each with a place in its log', async () => {
    const answer = await call(
      owner,
      'createRoom',
      {
        name: '  점심  ',
        userIds: [member.id, owner.id],
        usernames: [stranger.username.toUpperCase()],
      },
      `room { id kind name externalId historyVisibility participantCount viewerParticipant { role }
        participants { nodes { role user { id } addedBy { id } } } }`,
    );
    expect(answer.room).toMatchObject({
      kind: 'GROUP',
      name: '점심',
      externalId: null,
      historyVisibility: 'SHARED',
      participantCount: 3,
      viewerParticipant: { role: 'OWNER' },
      participants: {
        nodes: [
          { role: 'OWNER', user: { id: owner.id }, addedBy: { id: owner.id } },
          { role: 'MEMBER', user: { id: member.id }, addedBy: { id: owner.id } },
          { role: 'MEMBER', user: { id: stranger.id }, addedBy: { id: owner.id } },
        ],
      },
    });
    const news = await naru.app.database.query(
      `SELECT payload FROM outbox WHERE topic = 'rooms.logged' AND payload ->> 'position' = '3'`,
    );
    expect(news.length).toBeGreaterThan(0);
  });

  test('is made once for an idempotency key', async () => {
    const input = { name: 'Once', idempotencyKey: randomUUID() };
    const first = await call(owner, 'createRoom', input, 'room { id }');
    const second = await call(owner, 'createRoom', input, 'room { id }');
    expect(second.room.id).toBe(first.room.id);
    expect(await codeOf(owner, 'createRoom', { ...input, name: 'Other' })).toBe(
      'IDEMPOTENCY_MISMATCH',
    );
    await call(owner, 'leaveRoom', { roomId: first.room.id });
    expect(await codeOf(owner, 'createRoom', input)).toBe('NOT_FOUND');
  });

  test.each([
    ['an empty name', { name: ' ' }, 'input.name'],
    ['a long name', { name: 'x'.repeat(101) }, 'input.name'],
    ['a name with U+0000', { name: 'a\u0000b' }, 'input.name'],
    ['a name with half a pair', { name: 'a\ud800' }, 'input.name'],
    ['an external id of spaces', { name: 'x', externalId: ' ' }, 'input.externalId'],
    [
      'an external id of 600 bytes',
      { name: 'x', externalId: '방'.repeat(200) },
      'input.externalId',
    ],
    ['a user name that is none', { name: 'x', usernames: ['alice', '!'] }, 'input.usernames.1'],
    [
      'more than 100 accounts',
      { name: 'x', userIds: Array.from({ length: 101 }, () => encodeGlobalId('User', newId())) },
      'input.userIds',
    ],
  ])('is not made with %s', async (_what, input, field) => {
    const answer = await call(owner, 'createRoom', input);
    expect(answer).toMatchObject({ code: 'INVALID_INPUT', field });
  });

  test('is not made with an account that is not there, or no longer, which is named by its place', async () => {
    await naru.app.database.query('UPDATE users SET deleted_at = naru_now() WHERE id = $1', [
      stranger.userId,
    ]);
    for (const [others, field] of [
      [{ userIds: [member.id, encodeGlobalId('User', newId())] }, 'input.userIds.1'],
      [{ usernames: [member.username, owner.username, 'nobody-here'] }, 'input.usernames.2'],
      [{ userIds: [stranger.id] }, 'input.userIds.0'],
      [{ userIds: [member.id], usernames: [stranger.username] }, 'input.usernames.0'],
    ] as const) {
      const answer = await call(owner, 'createRoom', { name: 'x', ...others });
      expect(answer).toMatchObject({ code: 'INVALID_INPUT', field });
    }
    const rows = await naru.app.database.query('SELECT id FROM room WHERE created_by_id = $1', [
      owner.userId,
    ]);
    expect(rows).toHaveLength(1);
  });

  test('is found by another system’s id, which an operator gave it, by those who may read it', async () => {
    const oscar = await naru.tokenFor('oscar');
    const externalId = `conv ${randomUUID()}`;
    const input = { name: 'x', externalId, userIds: [member.id] };
    expect(await codeOf(owner, 'createRoom', input)).toBe('FORBIDDEN');
    const made = await mutate(naru.url, 'createRoom', input, {
      token: oscar,
      selection: 'room { id }',
    });
    const again = await mutate(naru.url, 'createRoom', input, { token: oscar });
    expect(again.code).toBe('CONFLICT');
    const query =
      'query ($externalId: String!) { roomByExternalId(externalId: $externalId) { id } }';
    const found = async (who: Member, id: string) =>
      (await read(who, query, { externalId: id })).data.roomByExternalId;
    expect(await found(member, externalId)).toEqual({ id: made.room.id });
    expect(await found(stranger, externalId)).toBeNull();
    expect(await found(member, 'none')).toBeNull();
  });

  test('is renamed by owners and moderators, and its history opened by owners only', async () => {
    const rename = { roomId: room.id, name: 'Renamed' };
    const open = { roomId: room.id, historyVisibility: 'KEPT' };
    expect(await codeOf(member, 'updateRoom', rename)).toBe('FORBIDDEN');
    expect(await codeOf(moderator, 'updateRoom', open)).toBe('FORBIDDEN');
    expect(await codeOf(moderator, 'updateRoom', rename)).toBe('OK');
    expect(await codeOf(moderator, 'updateRoom', rename)).toBe('OK');
    expect(await codeOf(owner, 'updateRoom', open)).toBe('OK');
    expect(await codeOf(owner, 'updateRoom', { roomId: room.id })).toBe('INVALID_INPUT');
    expect(await readRoom(member)).toMatchObject({ name: 'Renamed', historyVisibility: 'KEPT' });
    expect(await logOf()).toEqual(['ROOM_UPDATED - moderator', 'ROOM_UPDATED - owner']);
  });

  test('that is archived is read on and left, by will or not, and nothing else is done in it until it is unarchived', async () => {
    const { roomId } = { roomId: room.id };
    expect(await codeOf(moderator, 'archiveRoom', { roomId })).toBe('FORBIDDEN');
    expect(await codeOf(owner, 'archiveRoom', { roomId })).toBe('OK');
    expect(await codeOf(owner, 'archiveRoom', { roomId })).toBe('OK');
    const userId = member.id;
    for (const [field, input] of [
      ['updateRoom', { roomId, name: 'x' }],
      ['addParticipants', { roomId, userIds: [stranger.id] }],
      ['muteParticipant', { roomId, userId }],
      ['unmuteParticipant', { roomId, userId }],
      ['setParticipantRole', { roomId, userId, role: 'OWNER' }],
    ] as const) {
      expect(await codeOf(owner, field, input), field).toBe('CONFLICT');
    }
    expect((await readRoom(member)).archivedAt).not.toBeNull();
    expect(await codeOf(member, 'leaveRoom', { roomId })).toBe('OK');
    expect(await codeOf(owner, 'removeParticipant', { roomId, userId: moderator.id })).toBe('OK');
    expect(await codeOf(owner, 'banParticipant', { roomId, userId: moderator.id })).toBe('OK');
    expect(await codeOf(owner, 'unbanParticipant', { roomId, userId: moderator.id })).toBe('OK');
    expect(await codeOf(owner, 'unarchiveRoom', { roomId })).toBe('OK');
    expect(await codeOf(owner, 'addParticipants', { roomId, userIds: [member.id] })).toBe('OK');
    expect(await logOf()).toEqual([
      'ROOM_UPDATED - owner',
      'PARTICIPANT_LEFT member member LEFT',
      'PARTICIPANT_LEFT moderator owner REMOVED',
      'PARTICIPANT_UPDATED moderator owner',
      'PARTICIPANT_UPDATED moderator owner',
      'ROOM_UPDATED - owner',
      'PARTICIPANT_JOINED member owner',
    ]);
  });
});

describe('who is not in a room', () => {
  test('is answered in every way as if it were not there', async () => {
    await makeDirectRoom(naru, [owner, member]);
    const none = encodeGlobalId('Room', newId());
    const userId = member.id;
    for (const [field, input] of [
      ['updateRoom', { name: 'x' }],
      ['archiveRoom', {}],
      ['unarchiveRoom', {}],
      ['addParticipants', { userIds: [stranger.id] }],
      ['addParticipants', { usernames: ['nobody-here'] }],
      ['removeParticipant', { userId }],
      ['removeParticipant', { userId: stranger.id }],
      ['leaveRoom', {}],
      ['banParticipant', { userId }],
      ['banParticipant', { userId, until: '2001-01-01T00:00:00Z' }],
      ['unbanParticipant', { userId }],
      ['muteParticipant', { userId }],
      ['unmuteParticipant', { userId }],
      ['setParticipantRole', { userId, role: 'OWNER' }],
    ] as const) {
      const theirs = await call(stranger, field, { roomId: room.id, ...input });
      expect(theirs, field).toMatchObject({ code: 'NOT_FOUND' });
      expect(await call(stranger, field, { roomId: none, ...input }), field).toEqual(theirs);
    }
    const query = 'query ($id: ID!) { room(id: $id) { name } node(id: $id) { id } }';
    for (const id of [room.id, none]) {
      expect(await read(stranger, query, { id })).toEqual({ data: { room: null, node: null } });
    }
    expect(await logOf()).toEqual([]);
  });

  test('holds up nobody in it, and costs the same as for no room', async () => {
    const { database } = naru.app;
    const { query, transaction } = database;
    const statementsOf = async (roomId: string) => {
      const statements: string[] = [];
      Object.assign(database, {
        query: (...given: Parameters<typeof query>) => {
          const [, , name = ''] = given;
          if (/room|member|account/.test(name)) statements.push(name);
          return query(...given);
        },
        transaction: (...given: Parameters<typeof transaction>) => {
          statements.push('BEGIN');
          return transaction(...given);
        },
      });
      await call(stranger, 'updateRoom', { roomId, name: 'x' });
      await call(stranger, 'leaveRoom', { roomId });
      await call(stranger, 'addParticipants', { roomId, usernames: [member.username] });
      Object.assign(database, { query, transaction });
      return statements;
    };
    const none = encodeGlobalId('Room', newId());
    await statementsOf(none);
    const forNone = await statementsOf(none);
    expect(await statementsOf(room.id)).toEqual(forNone);
    expect(forNone.filter((name) => name === 'load-memberships')).toHaveLength(3);
    expect(forNone).not.toContain('BEGIN');
  });

  test('meets nobody there, and who is in it meets names and no address', async () => {
    const nodes = (await readRoom(member)).participants.nodes;
    expect(nodes.map(({ user }: { user: object }) => user)).toEqual([
      { id: owner.id, username: owner.username, email: null },
      { id: moderator.id, username: moderator.username, email: null },
      { id: member.id, username: member.username, email: `${member.username}@example.com` },
    ]);
  });

  test('by a token without the scopes is nobody who is', async () => {
    const readOnly = await naru.tokenFor(owner.username, ['rooms:read']);
    const writeOnly = await naru.tokenFor(owner.username, ['rooms:write']);
    for (const token of [readOnly, writeOnly]) {
      const answer = await mutate(
        naru.url,
        'updateRoom',
        { roomId: room.id, name: 'x' },
        { token },
      );
      expect(answer.code).toBe('FORBIDDEN');
    }
    const query = 'query ($id: ID!) { node(id: $id) { id } }';
    const { result } = await post(naru.url, { query, variables: { id: room.id } }, writeOnly);
    expect(result.data.node).toBeNull();
  });
});

describe('who has left', () => {
  test.each([
    ['SHARED', null],
    ['SINCE_JOINED', null],
    ['KEPT', { name: null, participantCount: null, participants: null, viewerParticipant: null }],
  ])('a room that is %s sees of it: %j', async (historyVisibility, seen) => {
    await call(owner, 'updateRoom', { roomId: room.id, historyVisibility });
    const before = await readRoom(member);
    const { room: left } = await call(member, 'leaveRoom', { roomId: room.id }, 'room { id name }');
    expect(left).toEqual(seen === null ? null : { id: room.id, name: 'A room' });
    await call(owner, 'updateRoom', { roomId: room.id, name: 'Since' });
    const after = await readRoom(member);
    if (seen === null) expect(after).toBeNull();
    else expect(after).toMatchObject(seen);
    if (after !== null) {
      const again = await readRoom(member);
      // Up to where they left, whatever came since.
      expect(again.followCursor).toBe(after.followCursor);
      expect(again.followCursor).not.toBe(before.followCursor);
      expect(again.followCursor).not.toBe((await readRoom(owner)).followCursor);
    }
  });

  test('stays so by leaving again, and is told apart from nobody once removed', async () => {
    const roomId = room.id;
    expect(await codeOf(member, 'leaveRoom', { roomId })).toBe('OK');
    expect(await codeOf(member, 'leaveRoom', { roomId })).toBe('OK');
    await call(owner, 'removeParticipant', { roomId, userId: moderator.id });
    expect(await codeOf(moderator, 'leaveRoom', { roomId })).toBe('NOT_FOUND');
    expect(await logOf()).toEqual([
      'PARTICIPANT_LEFT member member LEFT',
      'PARTICIPANT_LEFT moderator owner REMOVED',
    ]);
  });

  test('as its last owner passes it to the oldest moderator, then to the oldest member', async () => {
    const roomId = room.id;
    await call(owner, 'leaveRoom', { roomId });
    await call(moderator, 'leaveRoom', { roomId });
    expect((await readRoom(member)).viewerParticipant.role).toBe('OWNER');
    await call(member, 'leaveRoom', { roomId });
    expect(await logOf()).toEqual([
      'PARTICIPANT_LEFT owner owner LEFT',
      'PARTICIPANT_UPDATED moderator -',
      'PARTICIPANT_LEFT moderator moderator LEFT',
      'PARTICIPANT_UPDATED member -',
      'PARTICIPANT_LEFT member member LEFT',
    ]);
  });
});

describe('participants', () => {
  test('are added by owners and moderators, as members unless an owner says more; again is no change', async () => {
    const input = { roomId: room.id, userIds: [stranger.id] };
    expect(await codeOf(member, 'addParticipants', input)).toBe('FORBIDDEN');
    expect(await codeOf(moderator, 'addParticipants', { ...input, role: 'MODERATOR' })).toBe(
      'FORBIDDEN',
    );
    const { participants } = await call(
      moderator,
      'addParticipants',
      { ...input, usernames: [owner.username, stranger.username] },
      'participants { role user { id } }',
    );
    expect(participants).toEqual([
      { role: 'MEMBER', user: { id: stranger.id } },
      { role: 'OWNER', user: { id: owner.id } },
    ]);
    expect(await codeOf(owner, 'addParticipants', { ...input, role: 'OWNER' })).toBe('OK');
    expect((await readRoom(stranger)).viewerParticipant.role).toBe('MEMBER');
    expect(await codeOf(owner, 'addParticipants', { roomId: room.id })).toBe('INVALID_INPUT');
    expect(await logOf()).toEqual(['PARTICIPANT_JOINED stranger moderator']);
  });

  test('are added all or none, and a member learns nothing of who is there', async () => {
    const missing = { roomId: room.id, usernames: [stranger.username, 'nobody-here'] };
    expect(await call(owner, 'addParticipants', missing)).toMatchObject({
      code: 'INVALID_INPUT',
      field: 'input.usernames.1',
    });
    expect(await codeOf(member, 'addParticipants', missing)).toBe('FORBIDDEN');
    expect(await logOf()).toEqual([]);
  });

  test.each(['removeParticipant', 'banParticipant', 'muteParticipant'])(
    '%s is for who ranks higher, and not for oneself',
    async (field) => {
      const by = (who: Member, whom: Member) =>
        codeOf(who, field, { roomId: room.id, userId: whom.id });
      const [secondModerator, secondOwner] = (await addMembers(naru, 2)) as [Member, Member];
      for (const [who, role] of [
        [secondModerator, 'MODERATOR'],
        [secondOwner, 'OWNER'],
      ] as const) {
        await call(owner, 'addParticipants', { roomId: room.id, userIds: [who.id], role });
      }
      expect(await by(member, owner)).toBe('FORBIDDEN');
      expect(await by(moderator, owner)).toBe('FORBIDDEN');
      expect(await by(moderator, secondModerator)).toBe('FORBIDDEN');
      expect(await by(owner, owner)).toBe('INVALID_INPUT');
      expect(await by(owner, stranger)).toBe('NOT_FOUND');
      expect(await by(moderator, member)).toBe('OK');
      expect(await by(owner, moderator)).toBe('OK');
      expect(await by(owner, secondOwner)).toBe('OK');
    },
  );

  test('who are removed are gone at once, and again is no change', async () => {
    const input = { roomId: room.id, userId: member.id };
    expect(await codeOf(moderator, 'removeParticipant', input)).toBe('OK');
    expect(await codeOf(owner, 'removeParticipant', input)).toBe('OK');
    expect(await readRoom(member)).toBeNull();
    expect((await readRoom(owner)).participantCount).toBe(2);
    expect(await codeOf(owner, 'addParticipants', { roomId: room.id, userIds: [member.id] })).toBe(
      'OK',
    );
    expect(await logOf()).toEqual([
      'PARTICIPANT_LEFT member moderator REMOVED',
      'PARTICIPANT_JOINED member owner',
    ]);
    expect(await auditOf(member.userId)).toEqual(['ROOM_PARTICIPANT_REMOVED']);
  });

  test('have the role that an owner gives them, and a last owner stays', async () => {
    const set = (who: Member, whom: Member, role: string) =>
      codeOf(who, 'setParticipantRole', { roomId: room.id, userId: whom.id, role });
    expect(await set(moderator, member, 'MODERATOR')).toBe('FORBIDDEN');
    expect(await set(owner, stranger, 'OWNER')).toBe('NOT_FOUND');
    expect(await set(owner, owner, 'MEMBER')).toBe('CONFLICT');
    expect(await set(owner, member, 'MEMBER')).toBe('OK');
    expect(await set(owner, member, 'OWNER')).toBe('OK');
    expect(await set(owner, owner, 'MEMBER')).toBe('OK');
    expect(await set(owner, member, 'MEMBER')).toBe('FORBIDDEN');
    expect(await set(member, member, 'MEMBER')).toBe('CONFLICT');
    expect(await logOf()).toEqual([
      'PARTICIPANT_UPDATED member owner',
      'PARTICIPANT_UPDATED owner owner',
    ]);
    expect(await auditOf(member.userId)).toEqual(['ROOM_PARTICIPANT_ROLE_CHANGED']);
  });
});

describe('who is banned', () => {
  test('reads nothing, also of a room that is KEPT, and is not added before the end', async () => {
    const roomId = room.id;
    await call(owner, 'updateRoom', { roomId, historyVisibility: 'KEPT' });
    const ban = { roomId, userId: member.id, until: inHours(2) };
    expect(await codeOf(moderator, 'banParticipant', ban)).toBe('OK');
    expect(await codeOf(moderator, 'banParticipant', ban)).toBe('OK');
    expect(await readRoom(member)).toBeNull();
    expect(await codeOf(member, 'leaveRoom', { roomId })).toBe('NOT_FOUND');
    const add = { roomId, userIds: [stranger.id, member.id] };
    const refused = await call(owner, 'addParticipants', add);
    expect(refused).toMatchObject({ code: 'CONFLICT' });
    expect(refused.message).toContain(member.username);
    expect(refused.message).not.toContain(stranger.username);
    await passTime((text, values) => naru.app.database.query(text, values), 2 * 3_600 + 1);
    expect(await codeOf(owner, 'addParticipants', add)).toBe('OK');
    expect((await readRoom(member)).viewerParticipant.role).toBe('MEMBER');
    expect(await logOf()).toEqual([
      'ROOM_UPDATED - owner',
      'PARTICIPANT_LEFT member moderator BANNED',
      'PARTICIPANT_JOINED stranger owner',
      'PARTICIPANT_JOINED member owner',
    ]);
  });

  test('may have left before, and is added again once the ban is lifted', async () => {
    const roomId = room.id;
    await call(member, 'leaveRoom', { roomId });
    const input = { roomId, userId: member.id };
    expect(await codeOf(moderator, 'banParticipant', input)).toBe('OK');
    expect(await codeOf(member, 'leaveRoom', { roomId })).toBe('NOT_FOUND');
    const add = { roomId, userIds: [member.id] };
    expect(await codeOf(owner, 'addParticipants', add)).toBe('CONFLICT');
    expect(await codeOf(moderator, 'unbanParticipant', input)).toBe('OK');
    expect(await codeOf(moderator, 'unbanParticipant', input)).toBe('OK');
    expect(await codeOf(owner, 'addParticipants', add)).toBe('OK');
    expect(await logOf()).toEqual([
      'PARTICIPANT_LEFT member member LEFT',
      'PARTICIPANT_UPDATED member moderator',
      'PARTICIPANT_UPDATED member moderator',
      'PARTICIPANT_JOINED member owner',
    ]);
    expect(await auditOf(member.userId)).toEqual([
      'ROOM_PARTICIPANT_BANNED',
      'ROOM_PARTICIPANT_UNBANNED',
    ]);
  });

  test('is listed for owners and moderators of the room until the end of it, by pages', async () => {
    const banned = await addMembers(naru, 3);
    const made = await makeRoom(naru, {
      owner,
      moderators: [moderator],
      members: [member, ...banned],
    });
    const [first, second, third] = banned as [Member, Member, Member];
    const list = async (who: Member, args = 'first: 100', roomId = made.id) => {
      const query = `query ($id: ID!) { room(id: $id) { bans(${args}) {
        nodes { user { id email } bannedAt until } pageInfo { hasNextPage endCursor startCursor } } } }`;
      const { bans } = (await read(who, query, { id: roomId })).data.room;
      if (bans === null) return null;
      const ids = bans.nodes.map(({ user }: { user: { id: string } }) => user.id);
      return { ...bans.pageInfo, nodes: bans.nodes, ids };
    };
    const until = inHours(20);
    for (const [who, end] of [
      [first, null],
      [second, until],
      [third, null],
    ] as const) {
      await call(moderator, 'banParticipant', { roomId: made.id, userId: who.id, until: end });
    }
    const all = await list(owner);
    expect(all).toMatchObject({ ids: [first.id, second.id, third.id], hasNextPage: false });
    expect(all?.nodes[1]).toMatchObject({ user: { email: null }, until });
    expect(all?.nodes[2]?.until).toBeNull();
    const page = await list(moderator, 'first: 2');
    expect(page).toMatchObject({ ids: [first.id, second.id], hasNextPage: true });
    const rest = await list(moderator, `first: 2, after: "${page?.endCursor}"`);
    expect(rest).toMatchObject({ ids: [third.id], hasNextPage: false });
    const before = await list(owner, `last: 1, before: "${rest?.startCursor}"`);
    expect(before?.ids).toEqual([second.id]);
    expect(await list(member)).toBeNull();
    const direct = await makeDirectRoom(naru, [owner, stranger]);
    expect(await list(owner, 'first: 1', direct.id)).toBeNull();
    for (const args of ['after: "x"', 'first: 0']) {
      const query = `query ($id: ID!) { room(id: $id) { bans(${args}) { nodes { until } } } }`;
      const { errors } = await read(owner, query, { id: made.id });
      expect(errors?.[0]?.extensions.code, args).toMatch(/^(CURSOR_INVALID|INVALID_INPUT)$/);
    }
    await call(owner, 'unbanParticipant', { roomId: made.id, userId: first.id });
    await passTime((text, values) => naru.app.database.query(text, values), 21 * 3_600);
    expect((await list(owner))?.ids).toEqual([third.id]);
  });

  test('is so until a time that is ahead', async () => {
    for (const until of ['2001-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z']) {
      const input = { roomId: room.id, userId: member.id, until };
      const meant = until.startsWith('2') ? 'INVALID_INPUT' : 'OK';
      expect(await codeOf(owner, 'banParticipant', input)).toBe(meant);
    }
  });
});

describe('who is muted', () => {
  const standing = async (who: Member) => (await readRoom(who)).viewerParticipant;

  test('is so until the end, or until it is lifted, and also back in the room', async () => {
    const roomId = room.id;
    const input = { roomId, userId: member.id };
    const until = new Date(Date.parse(inHours(1_000))).toISOString();
    const selection = 'participant { isMuted mutedUntil user { id } }';
    const answer = await call(moderator, 'muteParticipant', { ...input, until }, selection);
    expect(answer.participant).toEqual({
      isMuted: true,
      mutedUntil: until,
      user: { id: member.id },
    });
    expect(await codeOf(moderator, 'muteParticipant', { ...input, until })).toBe('OK');
    await call(member, 'leaveRoom', { roomId });
    expect(await codeOf(moderator, 'muteParticipant', input)).toBe('NOT_FOUND');
    await call(owner, 'addParticipants', { roomId, userIds: [member.id] });
    expect(await standing(member)).toMatchObject({ isMuted: true, mutedUntil: until });
    await call(moderator, 'muteParticipant', input);
    expect(await standing(member)).toMatchObject({ isMuted: true, mutedUntil: null });
    await call(moderator, 'unmuteParticipant', input);
    await call(moderator, 'unmuteParticipant', input);
    expect(await standing(member)).toMatchObject({ isMuted: false, mutedUntil: null });
    expect(await logOf()).toEqual([
      'PARTICIPANT_UPDATED member moderator',
      'PARTICIPANT_LEFT member member LEFT',
      'PARTICIPANT_JOINED member owner',
      'PARTICIPANT_UPDATED member moderator',
      'PARTICIPANT_UPDATED member moderator',
    ]);
    expect(await auditOf(member.userId)).toEqual([
      'ROOM_PARTICIPANT_MUTED',
      'ROOM_PARTICIPANT_MUTED',
      'ROOM_PARTICIPANT_UNMUTED',
    ]);
  });

  test('is not any more once the end is past', async () => {
    const input = { roomId: room.id, userId: member.id, until: inHours(2_000) };
    await call(owner, 'muteParticipant', input);
    await passTime((text, values) => naru.app.database.query(text, values), 2_001 * 3_600);
    expect(await standing(member)).toEqual({ role: 'MEMBER', isMuted: false, mutedUntil: null });
  });
});

describe('a direct room', () => {
  const open = (who: Member, input: Input) =>
    call(who, 'openDirectRoom', input, 'room { id kind name participantCount }');

  test('is one for each pair, whoever opens it, and by whatever name', async () => {
    const first = await open(owner, { userId: stranger.id });
    expect(first.room).toMatchObject({ kind: 'DIRECT', name: null, participantCount: 2 });
    expect((await open(stranger, { username: owner.username })).room.id).toBe(first.room.id);
    expect(await codeOf(owner, 'openDirectRoom', { userId: owner.id })).toBe('INVALID_INPUT');
    const none = encodeGlobalId('User', newId());
    for (const [input, field] of [
      [{ userId: none }, 'input.userId'],
      [{ username: 'nobody-here' }, 'input.username'],
      [{ username: '!' }, 'input.username'],
    ] as const) {
      expect(await open(owner, input)).toMatchObject({ code: 'INVALID_INPUT', field });
    }
  });

  test('who left it is in it again by opening it, and is not pulled back', async () => {
    const { roomId, id, head } = await makeDirectRoom(naru, [owner, stranger]);
    await call(stranger, 'leaveRoom', { roomId: id });
    expect((await open(owner, { userId: stranger.id })).room.participantCount).toBe(1);
    expect((await open(stranger, { userId: owner.id })).room).toMatchObject({
      id,
      participantCount: 2,
    });
    expect(await logOf({ roomId, id, head })).toEqual([
      'PARTICIPANT_LEFT stranger stranger LEFT',
      'PARTICIPANT_JOINED stranger stranger',
    ]);
  });

  test('says with whom it is, also once they have left, and not once their account is deleted', async () => {
    const { id } = await makeDirectRoom(naru, [owner, stranger]);
    const query = 'query ($id: ID!) { room(id: $id) { directWith { id username email } } }';
    const with_ = async (who: Member, roomId = id) =>
      (await read(who, query, { id: roomId })).data.room.directWith;
    const shown = ({ id: userId, username }: Member) => ({ id: userId, username, email: null });
    expect(await with_(owner)).toEqual(shown(stranger));
    expect(await with_(stranger)).toEqual(shown(owner));
    expect(await with_(owner, room.id)).toBeNull();
    await call(stranger, 'leaveRoom', { roomId: id });
    expect(await with_(owner)).toEqual(shown(stranger));
    await naru.app.database.query('UPDATE users SET deleted_at = naru_now() WHERE id = $1', [
      stranger.userId,
    ]);
    expect(await with_(owner)).toBeNull();
  });

  test('that the other has left takes no message until they are back, and answers what was sent', async () => {
    const { id } = await makeDirectRoom(naru, [owner, stranger]);
    const say = (clientMessageId: string) =>
      call(
        owner,
        'sendMessage',
        { roomId: id, clientMessageId, body: 'Hello' },
        'chatMessage { id }',
      );
    const sent = await say('one');
    await call(stranger, 'leaveRoom', { roomId: id });
    expect(await say('two')).toMatchObject({
      code: 'CONFLICT',
      message: 'The other has left this room',
    });
    expect((await say('one')).chatMessage.id).toBe(sent.chatMessage.id);
    await open(stranger, { userId: owner.id });
    expect((await say('two')).chatMessage.id).not.toBe(sent.chatMessage.id);
  });

  test('is nobody’s: it has no name, is not archived, and nobody decides over the other', async () => {
    const { id } = await makeDirectRoom(naru, [owner, stranger]);
    for (const [field, input] of [
      ['updateRoom', { name: 'x' }],
      ['updateRoom', { historyVisibility: 'KEPT' }],
      ['archiveRoom', {}],
      ['addParticipants', { userIds: [member.id] }],
      ['removeParticipant', { userId: stranger.id }],
      ['banParticipant', { userId: stranger.id }],
      ['muteParticipant', { userId: stranger.id }],
      ['setParticipantRole', { userId: owner.id, role: 'OWNER' }],
    ] as const) {
      expect(await codeOf(owner, field, { roomId: id, ...input }), field).toBe('FORBIDDEN');
    }
  });
});

test('rooms are made and opened at most 60 times a minute by an account, however it asks', async () => {
  const otherToken = await naru.tokenFor(stranger.username);
  const calls = Array.from({ length: 75 }, (_, index) =>
    mutate(
      naru.url,
      'openDirectRoom',
      { userId: stranger.id },
      { token: index % 2 === 0 ? stranger.token : otherToken },
    ),
  );
  const codes = (await Promise.all(calls)).map(({ code }) => code);
  const counted = (wanted: string) => codes.filter((code) => code === wanted).length;
  expect(counted('INVALID_INPUT') + counted('RATE_LIMITED')).toBe(75);
  expect(counted('RATE_LIMITED')).toBeGreaterThan(0);
  expect(counted('INVALID_INPUT')).toBeGreaterThanOrEqual(60);
});

describe('lists', () => {
  test('the viewer’s rooms come by pages in an order that stays, each once, and as the filter says', async () => {
    const me = await addMember(naru);
    const made: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      made.push((await makeRoom(naru, { owner: me, members: [stranger] })).id);
    }
    const direct = await makeDirectRoom(naru, [me, owner]);
    await call(me, 'archiveRoom', { roomId: made[1] });
    await call(me, 'leaveRoom', { roomId: made[2] });
    const mine = [made[0], made[1], made[3], made[4], direct.id];
    const list = async (args: string) => {
      const query = `{ rooms(${args}) { nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor startCursor } } }`;
      const { rooms } = (await read(me, query)).data;
      return { ids: rooms.nodes.map(({ id }: { id: string }) => id), ...rooms.pageInfo };
    };
    const first = await list('first: 3');
    expect(first).toMatchObject({ ids: mine.slice(0, 3), hasNextPage: true });
    const rest = await list(`first: 3, after: "${first.endCursor}"`);
    expect(rest).toMatchObject({ ids: mine.slice(3), hasNextPage: false });
    expect((await list(`last: 2, before: "${rest.startCursor}"`)).ids).toEqual(mine.slice(1, 3));
    expect((await list('filter: { kind: DIRECT }')).ids).toEqual([direct.id]);
    expect((await list('filter: { isArchived: true }')).ids).toEqual([made[1]]);
    expect((await list('filter: { isArchived: false, kind: GROUP }')).ids).toEqual([
      made[0],
      made[3],
      made[4],
    ]);
    for (const args of ['after: "x"', 'first: 1, last: 1', 'first: 101']) {
      const { errors } = await read(me, `{ rooms(${args}) { nodes { id } } }`);
      expect(errors?.[0]?.extensions.code, args).toMatch(/^(CURSOR_INVALID|INVALID_INPUT)$/);
    }
  });

  test('participants come by pages, by joining', async () => {
    const people = await addMembers(naru, 4);
    const { id } = await makeRoom(naru, { owner, members: people });
    const ids = [owner, ...people].map((person) => person.id);
    const list = async (args: string) => {
      const query = `query ($id: ID!) { room(id: $id) { participants(${args}) {
        nodes { user { id } } pageInfo { hasNextPage endCursor } } } }`;
      const { participants } = (await read(owner, query, { id })).data.room;
      const found = participants.nodes.map(({ user }: { user: { id: string } }) => user.id);
      return { ids: found, ...participants.pageInfo };
    };
    const first = await list('first: 2');
    expect(first).toMatchObject({ ids: ids.slice(0, 2), hasNextPage: true });
    expect((await list(`first: 100, after: "${first.endCursor}"`)).ids).toEqual(ids.slice(2));
    expect((await list('last: 1')).ids).toEqual(ids.slice(-1));
  });

  test('participants are found by how a name of theirs begins, in any case and word for word', async () => {
    const people = await addMembers(naru, 4);
    const { id } = await makeRoom(naru, { owner, members: people });
    const names = ['Ann 100%', 'an_other', '박하나', 'Élise'];
    for (const [index, person] of people.entries()) {
      await naru.app.database.query('UPDATE users SET display_name = $2 WHERE id = $1', [
        person.userId,
        names[index],
      ]);
    }
    const find = async (search: string, args = '', who = owner) => {
      const query = `query ($id: ID!, $search: String) { room(id: $id) { participants(search: $search ${args}) {
        nodes { user { id } } pageInfo { endCursor } } } }`;
      const { data, errors } = await read(who, query, { id, search });
      if (errors) return { ids: errors[0]?.extensions.field };
      const { nodes, pageInfo } = data.room.participants;
      const ids = nodes.map(({ user }: { user: { id: string } }) => user.id);
      return { ids, cursor: pageInfo.endCursor };
    };
    const [ann, other, hana, elise] = people.map((person) => person.id);
    expect((await find(' AN')).ids).toEqual([ann, other]);
    expect((await find('an_')).ids).toEqual([other]);
    expect((await find('ann 100%')).ids).toEqual([ann]);
    expect((await find('%')).ids).toEqual([]);
    expect((await find('박'.normalize('NFD'))).ids).toEqual([hana]);
    expect((await find('éL')).ids).toEqual([elise]);
    expect((await find(people[3]?.username.toUpperCase() ?? '')).ids).toEqual([elise]);
    expect((await find('nn')).ids).toEqual([]);
    const page = await find('an', 'first: 1');
    expect(page.ids).toEqual([ann]);
    expect((await find('an', `first: 1, after: "${page.cursor}"`)).ids).toEqual([other]);
    expect((await find('an', 'last: 1')).ids).toEqual([other]);
    for (const search of ['', ' ', 'x'.repeat(51), 'a\u0000', 'a\ud800']) {
      expect((await find(search)).ids).toBe('search');
    }
  });

  test('cost as many statements for thirty rooms as for one', async () => {
    const me = await addMember(naru);
    const query = `{ rooms(first: 100) { followCursor nodes { id name kind participantCount followCursor createdBy { username }
      directWith { username } viewerParticipant { role user { username } } } } }`;
    const { pool } = naru.app.database;
    const execute = pool.query;
    // By their names, so that what the node does by itself is not among them.
    const statementsOf = async () => {
      const statements: string[] = [];
      pool.query = ((...given: [{ readonly name?: string }]) => {
        const [{ name }] = given;
        if (name !== undefined && /room|member|user/.test(name)) statements.push(name);
        return Reflect.apply(execute, pool, given);
      }) as typeof pool.query;
      try {
        const { data } = await read(me, query);
        return { statements: statements.sort(), rooms: data.rooms.nodes.length as number };
      } finally {
        pool.query = execute;
      }
    };
    await makeDirectRoom(naru, [me, await addMember(naru)]);
    const one = await statementsOf();
    for (let made = 0; made < 29; made += 1) {
      const other = await addMember(naru);
      if (made % 2 === 0) await makeDirectRoom(naru, [other, me]);
      else await makeRoom(naru, { owner: other, members: [me] });
    }
    const thirty = await statementsOf();
    expect([one.rooms, thirty.rooms]).toEqual([1, 30]);
    expect(thirty.statements).toEqual(one.statements);
    expect(one.statements).toContain('load-memberships');
  });
});
