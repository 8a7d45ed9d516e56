import type { LeaveReason, Membership } from './membership.ts';
import type { RoomWrite } from './write-room.ts';

const DEPART = `
  WITH stay AS (
    UPDATE room_stay SET left_position = $3
    WHERE room_id = $1 AND user_id = $2 AND left_position IS NULL
  )
  UPDATE room_participant SET left_position = $3, left_at = naru_now(), left_reason = $4,
    role = 'MEMBER'
  WHERE room_id = $1 AND user_id = $2`;

/**
 * Lets somebody who is in the room out of it: nothing at a later position is theirs. Where no owner is left the
 * room passes on. `actorId` is null for the system.
 */
export async function departRoom(
  write: RoomWrite,
  { userId, role }: Membership,
  { reason, actorId }: { readonly reason: LeaveReason; readonly actorId: string | null },
): Promise<void> {
  const { sql, room } = write;
  const position = write.append({ kind: 'PARTICIPANT_LEFT', userId, actorId, leftReason: reason });
  await sql.query(DEPART, [room.id, userId, position.toString(), reason], 'depart-room');
  write.countParticipants(-1);
  if (role === 'OWNER') await passRoom(write);
}

/** To the moderator who is there longest, or else the member. DIRECT rooms are nobody's. */
async function passRoom(write: RoomWrite): Promise<void> {
  const [heir] = await write.sql.query<{ userId: string }>(
    `UPDATE room_participant SET role = 'OWNER' WHERE room_id = $1 AND user_id = (
       SELECT user_id FROM room_participant WHERE room_id = $1 AND left_position IS NULL
       ORDER BY role = 'MODERATOR' DESC, joined_position LIMIT 1)
     AND NOT EXISTS (SELECT FROM room_participant
       WHERE room_id = $1 AND left_position IS NULL AND role = 'OWNER')
     RETURNING user_id AS "userId"`,
    [write.room.id],
    'pass-room',
  );
  if (heir === undefined) return;
  write.append({ kind: 'PARTICIPANT_UPDATED', userId: heir.userId, actorId: null });
}
