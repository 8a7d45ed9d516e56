// What becomes of a deleted account in its rooms.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newId } from '#lib/ids.ts';
import { eraseFromRooms } from '#resolvers/rooms/erase.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { addAccount } from '../support/accounts.ts';
import { post, until } from '../support/graphql-client.ts';
import { mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  addMembers,
  type MadeRoom,
  type Member,
  makeDirectRoom,
  makeRoom,
} from '../support/rooms.ts';
import { tokensOf } from '../support/sessions.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru();
});
afterAll(() => naru?.close());

interface Traces {
  readonly authors: (string | null)[];
  readonly mentioned: string[];
  readonly reactors: string[];
  readonly kinds: string[];
}

/** A message that mentions the second, of the first, who reacted to it. */
async function store({ roomId }: MadeRoom, author: string, mentioned: string): Promise<void> {
  await naru.app.database.query(
    `WITH moved AS (
       UPDATE room SET last_position = last_position + 1, last_sequence = last_sequence + 1
       WHERE id = $1 RETURNING last_position AS position, last_sequence AS sequence
     ), sent AS (
       INSERT INTO chat_message (id, room_id, sequence, position, author_id, client_message_id,
         fingerprint, body, mention_ids)
       SELECT $2::uuid, $1::uuid, sequence, position, $3::uuid, $2::uuid::text, '', 'hello', ARRAY[$4::uuid] FROM moved
     ), mentioned AS (
       INSERT INTO chat_mention (room_id, user_id, sequence, message_id)
       SELECT $1, $4::uuid, sequence, $2 FROM moved
     ), reacted AS (
       INSERT INTO chat_reaction (message_id, emoji, user_id, room_id, position)
       SELECT $2, '👍', $3, $1, position FROM moved
     )
     INSERT INTO room_event (room_id, position, kind, message_id, actor_id)
     SELECT $1, position, 'MESSAGE_SENT', $2, $3 FROM moved`,
    [roomId, newId(), author, mentioned],
  );
}

async function tracesOf({ roomId, head }: MadeRoom): Promise<Traces> {
  const { query } = naru.app.database;
  const [found] = await query<Traces>(
    `SELECT array(SELECT author_id::text FROM chat_message WHERE room_id = $1 ORDER BY sequence) AS authors,
       array(SELECT unnest(mention_ids)::text FROM chat_message WHERE room_id = $1 UNION ALL
         SELECT user_id::text FROM chat_mention WHERE room_id = $1 ORDER BY 1) AS mentioned,
       array(SELECT user_id::text FROM chat_reaction WHERE room_id = $1 ORDER BY position) AS reactors,
       array(SELECT kind::text FROM room_event WHERE room_id = $1 AND position > $2
         ORDER BY position) AS kinds`,
    [roomId, head],
  );
  if (found === undefined) throw new Error('Nothing');
  return found;
}

test('it leaves them, its messages stay without an author, and an owner’s room passes on', async () => {
  const gone = await addAccount((text, values) => naru.app.database.query(text, values));
  const [moderator, member] = (await addMembers(naru, 2)) as [Member, Member];
  const room = await makeRoom(naru, {
    owner: gone,
    moderators: [moderator],
    members: [member],
  });
  const archived = await makeRoom(naru, { owner: member, members: [gone] });
  const former = await makeRoom(naru, { owner: member, members: [gone] });
  const direct = await makeDirectRoom(naru, [gone, member]);
  await store(room, gone.userId, member.userId);
  await store(room, member.userId, gone.userId);
  await store(former, gone.userId, member.userId);
  const { accessToken: token } = await tokensOf(naru.url, { login: gone.login });
  await mutate(naru.url, 'leaveRoom', { roomId: former.id }, { token });
  await mutate(naru.url, 'archiveRoom', { roomId: archived.id }, { token: member.token });

  const deleted = await mutate(naru.url, 'deleteAccount', { password: SEED_PASSWORD }, { token });
  expect(deleted.code).toBeUndefined();
  const countRooms = async () => {
    const [row] = await naru.app.database.query<{ rooms: number; authors: number }>(
      `SELECT (SELECT count(*)::int FROM room_participant WHERE user_id = $1 AND left_position IS NULL) AS rooms,
         (SELECT count(*)::int FROM chat_message WHERE author_id = $1) AS authors`,
      [gone.userId],
    );
    return row;
  };
  await until(async () => {
    const row = await countRooms();
    return row?.rooms === 0 && row.authors === 0;
  });
  // Once more, and from half of it: nothing happens twice.
  const [entry] = [gone].map(({ userId }) => ({
    id: newId(),
    key: userId,
    payload: { userId },
    attachment: null,
    place: { incarnation: '', sequence: 1n },
    publishedAt: new Date(),
  }));
  if (entry !== undefined) await eraseFromRooms(naru.app, [entry, entry]);

  expect(await tracesOf(room)).toEqual({
    authors: [null, member.userId],
    mentioned: [member.userId, member.userId],
    reactors: [member.userId],
    kinds: [
      'MESSAGE_SENT',
      'MESSAGE_SENT',
      'PARTICIPANT_LEFT',
      'PARTICIPANT_UPDATED',
      'REACTIONS_CHANGED',
    ],
  });
  expect(await tracesOf(former)).toMatchObject({ authors: [null], reactors: [] });
  expect((await tracesOf(direct)).kinds).toEqual(['PARTICIPANT_LEFT']);
  expect((await tracesOf(archived)).kinds).toEqual(['ROOM_UPDATED', 'PARTICIPANT_LEFT']);
  const query = `query ($id: ID!) { room(id: $id) { participantCount createdBy { id } participants {
    nodes { role user { id } addedBy { id } } } } }`;
  const { result } = await post(naru.url, { query, variables: { id: room.id } }, member.token);
  expect(result.data.room).toEqual({
    participantCount: 2,
    createdBy: null,
    participants: {
      nodes: [
        { role: 'OWNER', user: { id: moderator.id }, addedBy: null },
        { role: 'MEMBER', user: { id: member.id }, addedBy: null },
      ],
    },
  });
  const add = { roomId: room.id, userIds: [gone.id] };
  const added = await mutate(naru.url, 'addParticipants', add, { token: moderator.token });
  expect(added.code).toBe('INVALID_INPUT');
});
