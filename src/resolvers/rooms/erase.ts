// What becomes of a deleted account in its rooms: it leaves, what it wrote stays without an author.
import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { Entry } from '#pubsub/bus.ts';
import type { userDeleted } from '#pubsub/topics/users.ts';
import { departRoom } from './depart-room.ts';
import { lockRoomsOf } from './enter-room.ts';
import { isIn } from './membership.ts';
import { writeRoom } from './write-room.ts';

const ROWS_AT_ONCE = 500;

type RoomServices = Pick<Services, 'database' | 'session' | 'roomFeed'>;

/** Takes accounts that were deleted out of their rooms. Twice is the same as once, and half of it goes on. */
export async function eraseFromRooms(
  app: RoomServices,
  batch: readonly Entry<typeof userDeleted.payload._output>[],
): Promise<void> {
  for (const { payload } of batch) {
    for (const roomId of await findRooms(app, payload.userId)) {
      await leave(app, roomId, payload.userId);
      await eraseReactions(app, roomId, payload.userId);
      await eraseMentions(app, roomId, payload.userId);
      await eraseTraces(app.database, roomId, payload.userId);
    }
  }
}

/** All that they ever were in. Whoever is just letting them in is waited for, and who comes later sees the deletion. */
async function findRooms({ database }: RoomServices, userId: string): Promise<string[]> {
  return database.transaction(async (sql) => {
    await lockRoomsOf(sql, [userId]);
    const rooms = await sql.query<{ roomId: string }>(
      `SELECT room_id AS "roomId" FROM room_participant WHERE user_id = $1 ORDER BY room_id`,
      [userId],
    );
    return rooms.map(({ roomId }) => roomId);
  });
}

async function leave(app: RoomServices, roomId: string, userId: string): Promise<void> {
  await writeRoom(app, roomId, async (write) => {
    const membership = await write.findMembership(userId);
    if (isIn(membership)) await departRoom(write, membership, { reason: 'LEFT', actorId: null });
  });
}

/** Some messages at a time: for as long as one takes, nobody writes in the room. */
async function eraseReactions(app: RoomServices, roomId: string, userId: string): Promise<void> {
  let erased = ROWS_AT_ONCE;
  while (erased === ROWS_AT_ONCE) {
    erased = await writeRoom(app, roomId, async (write) => {
      const rows = await write.sql.query<{ messageId: string }>(
        `DELETE FROM chat_reaction WHERE ctid = ANY (ARRAY(
           SELECT ctid FROM chat_reaction WHERE user_id = $1 AND room_id = $2 LIMIT ${ROWS_AT_ONCE}))
         RETURNING message_id AS "messageId"`,
        [userId, roomId],
      );
      for (const messageId of new Set(rows.map((row) => row.messageId))) {
        write.append({ kind: 'REACTIONS_CHANGED', messageId, actorId: null });
      }
      return rows.length;
    });
  }
}

// Under the room's lock: an edit that names whom the message named before would write them back.
const MENTIONS = [
  `UPDATE chat_message m SET mention_ids = array_remove(m.mention_ids, $2)
   FROM chat_mention n WHERE n.room_id = $1 AND n.user_id = $2 AND m.id = n.message_id`,
  'DELETE FROM chat_mention WHERE room_id = $1 AND user_id = $2',
];

async function eraseMentions(app: RoomServices, roomId: string, userId: string): Promise<void> {
  await writeRoom(app, roomId, async ({ sql }) => {
    for (const text of MENTIONS) await sql.query(text, [roomId, userId]);
  });
}

// Without the room's lock: none of it has a place in the log, and they are out of the room by now.
const TRACES = [
  'UPDATE room SET created_by_id = NULL WHERE id = $1 AND created_by_id = $2',
  'UPDATE room_participant SET added_by_id = NULL WHERE room_id = $1 AND added_by_id = $2',
  `UPDATE chat_message_edit e SET mention_ids = array_remove(e.mention_ids, $2)
   FROM chat_message m WHERE m.id = e.message_id AND m.room_id = $1 AND $2 = ANY (e.mention_ids)`,
  `UPDATE chat_message_edit e SET edited_by_id = NULL
   FROM chat_message m WHERE m.id = e.message_id AND m.room_id = $1 AND e.edited_by_id = $2`,
  'UPDATE chat_message SET deleted_by_id = NULL WHERE room_id = $1 AND deleted_by_id = $2',
  // A report of the filter's own is known by having nobody and this reason.
  `UPDATE message_report SET reporter_id = NULL,
     reason = CASE reason WHEN 'BLOCKED_WORD' THEN 'OTHER' ELSE reason END
   WHERE room_id = $1 AND reporter_id = $2`,
  'UPDATE message_report SET resolved_by_id = NULL WHERE room_id = $1 AND resolved_by_id = $2',
];

const ERASE_AUTHOR = `
  UPDATE chat_message SET author_id = NULL WHERE id = ANY (ARRAY(
    SELECT id FROM chat_message WHERE room_id = $1 AND author_id = $2 LIMIT ${ROWS_AT_ONCE}))
  RETURNING id`;

async function eraseTraces(sql: Sql, roomId: string, userId: string): Promise<void> {
  for (const text of TRACES) await sql.query(text, [roomId, userId]);
  let erased = ROWS_AT_ONCE;
  while (erased === ROWS_AT_ONCE) {
    erased = (await sql.query(ERASE_AUTHOR, [roomId, userId])).length;
  }
}
