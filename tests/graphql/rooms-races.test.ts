// Several at once, over two nodes on one database: what is exact stays exact.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '#lib/ids.ts';
import { until } from '../support/graphql-client.ts';
import { connectTo, countWaiting, mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addMember, addMembers, type MadeRoom, type Member, makeRoom } from '../support/rooms.ts';

let naru: TestNaru;
let second: TestNaru;

beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
  second = await startNaru({ runsJobs: false, database: naru.database });
});
afterAll(async () => {
  await second?.close();
  await naru?.close();
});

type Input = Readonly<Record<string, unknown>>;

let calls = 0;
/** By the one node and the other in turn. */
const call = (who: Member, field: string, input: Input, selection?: string) => {
  calls += 1;
  return mutate(calls % 2 === 0 ? naru.url : second.url, field, input, {
    token: who.token,
    ...(selection !== undefined && { selection }),
  });
};
const codesOf = async (answers: readonly Promise<{ readonly code?: string }>[]) => {
  const counts: Record<string, number> = {};
  for (const { code = 'OK' } of await Promise.all(answers)) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
};

async function kindsOf({ roomId, head }: MadeRoom): Promise<string[]> {
  const rows = await naru.app.database.query<{ kind: string }>(
    `SELECT kind::text || coalesce(' ' || left_reason::text, '') AS kind FROM room_event
     WHERE room_id = $1 AND position > $2 ORDER BY position`,
    [roomId, head],
  );
  return rows.map(({ kind }) => kind);
}

async function countIn(roomId: string): Promise<{ counted: number; stored: number }> {
  const [row] = await naru.app.database.query<{ counted: number; stored: number }>(
    `SELECT count(*)::int AS counted, max(r.participant_count) AS stored
     FROM room_stay s JOIN room r ON r.id = s.room_id WHERE s.room_id = $1 AND s.left_position IS NULL`,
    [roomId],
  );
  return row ?? { counted: 0, stored: 0 };
}

/** Rows as if so many more accounts were in the room. */
async function fillRoom({ roomId }: MadeRoom, count: number): Promise<void> {
  const ids = Array.from({ length: count }, newId);
  const { query } = naru.app.database;
  await query(
    `INSERT INTO users (id, username, display_name, roles)
     SELECT id, 'filling-' || id, 'Filling', '{USER}' FROM unnest($1::uuid[]) AS id`,
    [ids],
  );
  await query(
    `WITH filling AS (
       SELECT filler.id, r.last_position + row_number() OVER () AS position
       FROM unnest($2::uuid[]) AS filler (id) CROSS JOIN room r WHERE r.id = $1
     ), stays AS (
       INSERT INTO room_stay (room_id, user_id, joined_position) SELECT $1, id, position FROM filling
     ), events AS (
       INSERT INTO room_event (room_id, position, kind, user_id)
       SELECT $1, position, 'PARTICIPANT_JOINED', id FROM filling
     ), entered AS (
       INSERT INTO room_participant (room_id, user_id, joined_position, joined_sequence)
       SELECT $1, id, position, 0 FROM filling
     )
     UPDATE room SET participant_count = participant_count + cardinality($2::uuid[]),
       last_position = last_position + cardinality($2::uuid[]) WHERE id = $1`,
    [roomId, ids],
  );
}

/** Rows as if the account were in so many more rooms. */
async function fillRooms({ userId }: Member, count: number): Promise<void> {
  await naru.app.database.query(
    `WITH made AS (
       INSERT INTO room (id, kind, name, participant_count)
       SELECT id, 'GROUP', 'Filling', 1 FROM unnest($2::uuid[]) AS id
     )
     INSERT INTO room_participant (room_id, user_id, joined_position, joined_sequence)
     SELECT id, $1, 1, 0 FROM unnest($2::uuid[]) AS id`,
    [userId, Array.from({ length: count }, newId)],
  );
}

describe('limits', () => {
  test('of 50 who are added at once to a room with 990, ten come in', async () => {
    const [owner, ...people] = await addMembers(naru, 51);
    if (owner === undefined) throw new Error('Nobody');
    const room = await makeRoom(naru, { owner });
    await fillRoom(room, 989);
    const added = people.map((person) =>
      call(owner, 'addParticipants', { roomId: room.id, userIds: [person.id] }),
    );
    expect(await codesOf(added)).toEqual({ OK: 10, CONFLICT: 40 });
    expect(await countIn(room.roomId)).toEqual({ counted: 1_000, stored: 1_000 });
  });

  test('of 20 rooms that let in at once who is in 395, five do, and 100 are left to who is let in', async () => {
    const [owner, other] = (await addMembers(naru, 2)) as [Member, Member];
    const person = await addMember(naru);
    await fillRooms(person, 395);
    const rooms = await Promise.all(Array.from({ length: 10 }, () => makeRoom(naru, { owner })));
    const userIds = [other.id, person.id];
    const answers = [
      ...rooms.map(({ id }) => call(owner, 'addParticipants', { roomId: id, userIds })),
      ...rooms.map(() => call(owner, 'createRoom', { name: 'x', userIds: [person.id] })),
    ];
    expect(await codesOf(answers)).toEqual({ OK: 5, CONFLICT: 15 });
    await fillRooms(person, 98);
    const own = [
      ...rooms.map(() => call(person, 'createRoom', { name: 'x' })),
      call(person, 'openDirectRoom', { userId: owner.id }),
    ];
    expect(await codesOf(own)).toEqual({ OK: 2, CONFLICT: 9 });
    const [row] = await naru.app.database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM room_participant WHERE user_id = $1 AND left_position IS NULL`,
      [person.userId],
    );
    expect(row?.count).toBe(500);
  });
});

test('50 who open the room of the same two at once open one, and each comes in once', async () => {
  const [one, other] = (await addMembers(naru, 2)) as [Member, Member];
  const opened = await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      index % 4 < 2
        ? call(one, 'openDirectRoom', { userId: other.id }, 'room { id }')
        : call(other, 'openDirectRoom', { username: one.username }, 'room { id }'),
    ),
  );
  expect(new Set(opened.map(({ room }) => room.id)).size).toBe(1);
  const rows = await naru.app.database.query<{ id: string; position: string; count: number }>(
    `SELECT id, last_position AS position, participant_count AS count FROM room WHERE direct_key = $1`,
    [[one.userId, other.userId].toSorted().join(':')],
  );
  expect(rows).toEqual([{ id: rows[0]?.id, position: '2', count: 2 }]);
});

test('20 who make a room with the same external id at once make one', async () => {
  const operator = await addMember(naru);
  await naru.app.database.query(`UPDATE users SET roles = '{USER,OPERATOR}' WHERE id = $1`, [
    operator.userId,
  ]);
  const made = Array.from({ length: 20 }, () =>
    call(operator, 'createRoom', { name: 'x', externalId: `ext-${operator.userId}` }),
  );
  expect(await codesOf(made)).toEqual({ OK: 1, CONFLICT: 19 });
});

describe('one participant', () => {
  interface Scene {
    readonly owner: Member;
    readonly moderator: Member;
    readonly member: Member;
    readonly room: MadeRoom;
  }
  async function makeScene(): Promise<Scene> {
    const [owner, moderator, member] = (await addMembers(naru, 3)) as [Member, Member, Member];
    const room = await makeRoom(naru, { owner, moderators: [moderator], members: [member] });
    return { owner, moderator, member, room };
  }

  test('whom two remove at once leaves once', async () => {
    const { owner, moderator, member, room } = await makeScene();
    const input = { roomId: room.id, userId: member.id };
    const removed = [owner, moderator, owner, moderator].map((who) =>
      call(who, 'removeParticipant', input),
    );
    expect(await codesOf(removed)).toEqual({ OK: 4 });
    expect(await kindsOf(room)).toEqual(['PARTICIPANT_LEFT REMOVED']);
  });

  test('who leaves while they are removed and banned leaves once', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { owner, moderator, member, room } = await makeScene();
      const input = { roomId: room.id, userId: member.id };
      const codes = await codesOf([
        call(member, 'leaveRoom', { roomId: room.id }),
        call(owner, 'removeParticipant', input),
        call(moderator, 'banParticipant', input),
      ]);
      expect(Object.keys(codes).filter((code) => !['OK', 'NOT_FOUND'].includes(code))).toEqual([]);
      const kinds = await kindsOf(room);
      expect(kinds.filter((kind) => kind.startsWith('PARTICIPANT_LEFT'))).toHaveLength(1);
      expect(await countIn(room.roomId)).toEqual({ counted: 2, stored: 2 });
    }
  });

  test('whom 20 add at once comes in once', async () => {
    const { owner, moderator, room } = await makeScene();
    const person = await addMember(naru);
    const added = Array.from({ length: 20 }, (_, index) =>
      call(index % 3 === 0 ? owner : moderator, 'addParticipants', {
        roomId: room.id,
        userIds: [person.id],
      }),
    );
    expect(await codesOf(added)).toEqual({ OK: 20 });
    expect(await kindsOf(room)).toEqual(['PARTICIPANT_JOINED']);
  });

  test('who loses their role while their change waits changes nothing', async () => {
    const { owner, moderator, member, room } = await makeScene();
    const client = await connectTo(naru.database);
    await client.query('BEGIN');
    await client.query('SELECT id FROM room WHERE id = $1 FOR UPDATE', [room.roomId]);
    const demoted = call(owner, 'setParticipantRole', {
      roomId: room.id,
      userId: moderator.id,
      role: 'MEMBER',
    });
    await until(async () => (await countWaiting(client)) === 1);
    const removed = call(moderator, 'removeParticipant', { roomId: room.id, userId: member.id });
    await until(async () => (await countWaiting(client)) === 2);
    await client.query('COMMIT');
    await client.end();
    expect(await codesOf([demoted])).toEqual({ OK: 1 });
    expect(await codesOf([removed])).toEqual({ FORBIDDEN: 1 });
    expect(await kindsOf(room)).toEqual(['PARTICIPANT_UPDATED']);
  });

  test('of two owners who step down at once one stays', async () => {
    const { owner, moderator, room } = await makeScene();
    const both = [owner, moderator];
    await call(owner, 'setParticipantRole', {
      roomId: room.id,
      userId: moderator.id,
      role: 'OWNER',
    });
    const steps = both.map((who) =>
      call(who, 'setParticipantRole', { roomId: room.id, userId: who.id, role: 'MEMBER' }),
    );
    expect(await codesOf(steps)).toEqual({ OK: 1, CONFLICT: 1 });
  });
});

/** Sentences for what does not hold in the room; each names what is wrong. */
const FAULTS = `
  WITH stays AS (
    SELECT *, lag(left_position, 1, 0::bigint) OVER mine AS last_left, lag(1, 1, 0) OVER mine AS has_last
    FROM room_stay WHERE room_id = $1 WINDOW mine AS (PARTITION BY user_id ORDER BY joined_position)
  ), inside AS (
    SELECT * FROM room_participant WHERE room_id = $1 AND left_position IS NULL
  ), events AS (SELECT * FROM room_event WHERE room_id = $1)
  SELECT 'stays overlap' AS fault FROM stays
    WHERE has_last = 1 AND (last_left IS NULL OR last_left >= joined_position)
  UNION ALL SELECT 'a stay ends before it begins' FROM stays WHERE left_position <= joined_position
  UNION ALL SELECT 'two stays are open' FROM stays WHERE left_position IS NULL
    GROUP BY user_id HAVING count(*) > 1
  UNION ALL SELECT 'a stay is open of who is not in, or the other way round' FROM inside i
    FULL JOIN (SELECT * FROM stays WHERE left_position IS NULL) s USING (user_id, joined_position)
    WHERE i.user_id IS NULL OR s.user_id IS NULL
  UNION ALL SELECT 'the count is wrong' FROM room
    WHERE id = $1 AND participant_count <> (SELECT count(*) FROM inside)
  UNION ALL SELECT 'nobody owns it' WHERE EXISTS (SELECT FROM inside)
    AND NOT EXISTS (SELECT FROM inside WHERE role = 'OWNER')
  UNION ALL SELECT 'who is banned is in it' FROM inside WHERE banned_at IS NOT NULL
  UNION ALL SELECT 'positions have holes' FROM events, room WHERE id = $1
    GROUP BY last_position HAVING count(*) <> last_position OR min(position) <> 1
      OR max(position) <> last_position
  UNION ALL SELECT 'a stay begins without its event' FROM stays s LEFT JOIN events e
    ON e.position = s.joined_position AND e.user_id = s.user_id AND e.kind = 'PARTICIPANT_JOINED'
    WHERE e.position IS NULL
  UNION ALL SELECT 'a stay ends without its event' FROM stays s LEFT JOIN events e
    ON e.position = s.left_position AND e.user_id = s.user_id AND e.kind = 'PARTICIPANT_LEFT'
    WHERE e.position IS NULL AND s.left_position IS NOT NULL
  UNION ALL SELECT 'an event has no stay' FROM events e LEFT JOIN stays s ON e.user_id = s.user_id
    AND e.position IN (s.joined_position, s.left_position)
    WHERE s.user_id IS NULL AND e.kind IN ('PARTICIPANT_JOINED', 'PARTICIPANT_LEFT')`;

const person = fc.nat(4);
/** Most of what is tried is tried by who may. */
const actor = fc.oneof(fc.nat(1), person);
const role = fc.constantFrom('OWNER', 'MODERATOR', 'MEMBER');
const operation = fc.oneof(
  fc.record({ field: fc.constant('leaveRoom' as const), by: person }),
  fc.record({
    field: fc.constant('addParticipants' as const),
    by: actor,
    whom: fc.array(person, { minLength: 1, maxLength: 3 }),
    role,
  }),
  fc.record({
    field: fc.constantFrom(
      'removeParticipant' as const,
      'removeParticipant' as const,
      'banParticipant' as const,
      'unbanParticipant' as const,
      'muteParticipant' as const,
    ),
    by: actor,
    userId: person,
  }),
  fc.record({
    field: fc.constant('setParticipantRole' as const),
    by: actor,
    userId: person,
    role,
  }),
);
const together = fc.array(operation, { minLength: 1, maxLength: 3 });

test('whatever is done by whom, also at once, stays, counts, owners and positions hold', async () => {
  const people = await addMembers(naru, 5);
  const at = (index: number) => people[index] as Member;
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(together, { minLength: 8, maxLength: 16 }), async (rounds) => {
      const room = await makeRoom(naru, {
        owner: at(0),
        moderators: [at(1)],
        members: [at(2), at(3)],
      });
      for (const round of rounds) {
        const answers = round.map(async ({ field, by, ...rest }) => {
          const answer = await call(at(by), field, {
            roomId: room.id,
            ...('role' in rest && { role: rest.role }),
            ...('userId' in rest && { userId: at(rest.userId).id }),
            ...('whom' in rest && { userIds: rest.whom.map((index) => at(index).id) }),
          });
          seen.add(answer.code ?? 'OK');
        });
        await Promise.all(answers);
      }
      const faults = await naru.app.database.query<{ fault: string }>(FAULTS, [room.roomId]);
      expect(faults).toEqual([]);
    }),
    { numRuns: 10, interruptAfterTimeLimit: 20_000 },
  );
  const declared = ['OK', 'CONFLICT', 'FORBIDDEN', 'INVALID_INPUT', 'NOT_FOUND'];
  expect([...seen].filter((code) => !declared.includes(code))).toEqual([]);
});
