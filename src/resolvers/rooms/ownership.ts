import type { Context } from '#context.ts';
import { ConflictError, ForbiddenError, InvalidInputError } from '#lib/errors.ts';
import { outranks } from './access.ts';
import { changeRoom, getRoom, noSuchParticipant, requireMet } from './change-room.ts';
import { isIn, type Membership, type ParticipantRole } from './membership.ts';
import { recordRoomAudit } from './room-audit.ts';
import type { Room } from './room-row.ts';
import type { RoomWrite } from './write-room.ts';

/**
 * Somebody else over whom `me` decides. Throws `InvalidInputError` for oneself, `NotFoundError` for who never was
 * in the room, and `ForbiddenError` for who ranks as high.
 */
export async function requireSubject(
  write: RoomWrite,
  me: Membership,
  userId: string,
): Promise<Membership> {
  if (userId === me.userId) {
    throw new InvalidInputError('Not for oneself: `leaveRoom` leaves', 'input.userId');
  }
  const subject = await requireMet(write, userId);
  if (!outranks(me.role, subject.role)) {
    throw new ForbiddenError('Owners decide over moderators and owners');
  }
  return subject;
}

/**
 * Owners say who is what, themselves included, as long as an owner is left. The same role is no change. Throws
 * `NotFoundError` for who is not in the room, `ConflictError` for the last owner, and what `changeRoom` does.
 */
export async function setParticipantRole(
  ctx: Context,
  input: { readonly roomId: string; readonly userId: string; readonly role: ParticipantRole },
): Promise<{ readonly room: Room; readonly participant: Membership }> {
  const { roomId, userId, role } = input;
  const participant = await changeRoom(ctx, {
    roomId,
    least: 'OWNER',
    work: async (write, me, viewer) => {
      const subject = await requireMet(write, userId);
      if (!isIn(subject)) throw noSuchParticipant();
      if (subject.role === role) return subject;
      if (userId === me.userId) await requireOtherOwner(write, userId);
      await write.sql.query(
        'UPDATE room_participant SET role = $3 WHERE room_id = $1 AND user_id = $2',
        [roomId, userId, role],
        'set-participant-role',
      );
      write.append({ kind: 'PARTICIPANT_UPDATED', userId, actorId: me.userId });
      await recordRoomAudit(ctx, write.sql, viewer, {
        action: 'ROOM_PARTICIPANT_ROLE_CHANGED',
        roomId,
        userId,
        details: { before: subject.role, after: role },
      });
      return { ...subject, role };
    },
  });
  return { room: await getRoom(ctx, roomId), participant };
}

async function requireOtherOwner({ sql, room }: RoomWrite, userId: string): Promise<void> {
  const [other] = await sql.query(
    `SELECT user_id FROM room_participant
     WHERE room_id = $1 AND role = 'OWNER' AND left_position IS NULL AND user_id <> $2 LIMIT 1`,
    [room.id, userId],
    'find-other-owner',
  );
  if (other === undefined) {
    throw new ConflictError('This is the last owner: make somebody else one first');
  }
}
