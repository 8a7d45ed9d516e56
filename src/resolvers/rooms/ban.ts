import type { Context } from '#context.ts';
import { changeRoom, getRoom, requireAhead } from './change-room.ts';
import { departRoom } from './depart-room.ts';
import { isIn } from './membership.ts';
import { requireSubject } from './ownership.ts';
import { recordRoomAudit } from './room-audit.ts';
import type { Room } from './room-row.ts';

/**
 * Lets another one out, and in again only after the end, or once the ban is lifted; null has no end. Also of an
 * archived room, and who has left already. The same ban again is no change, one with another end takes its place. Throws
 * `InvalidInputError`, `NotFoundError` for who never was there, and what `changeRoom` does.
 */
export async function banParticipant(
  ctx: Context,
  input: { readonly roomId: string; readonly userId: string; readonly until: Date | null },
): Promise<Room> {
  const { roomId, userId, until } = input;
  await changeRoom(ctx, {
    roomId,
    least: 'MODERATOR',
    evenArchived: true,
    work: async (write, me, viewer) => {
      const subject = await requireSubject(write, me, userId);
      await requireAhead(write, until);
      if (subject.isBanned && subject.bannedUntil?.getTime() === until?.getTime()) return;
      if (isIn(subject)) {
        await departRoom(write, subject, { reason: 'BANNED', actorId: me.userId });
      } else {
        write.append({ kind: 'PARTICIPANT_UPDATED', userId, actorId: me.userId });
      }
      await write.sql.query(
        `UPDATE room_participant SET banned_at = naru_now(), banned_until = $3
         WHERE room_id = $1 AND user_id = $2`,
        [roomId, userId, until],
        'ban-participant',
      );
      await recordRoomAudit(ctx, write.sql, viewer, {
        action: 'ROOM_PARTICIPANT_BANNED',
        roomId,
        userId,
        details: { until: until?.toISOString() ?? null },
      });
    },
  });
  return getRoom(ctx, roomId);
}

/** They may be added again; nobody is added by it. Who is not banned stays so. Throws as `banParticipant`. */
export async function unbanParticipant(
  ctx: Context,
  { roomId, userId }: { readonly roomId: string; readonly userId: string },
): Promise<Room> {
  await changeRoom(ctx, {
    roomId,
    least: 'MODERATOR',
    // As banning: what was a mistake can be taken back.
    evenArchived: true,
    work: async (write, me, viewer) => {
      const subject = await requireSubject(write, me, userId);
      if (!subject.isBanned) return;
      await write.sql.query(
        `UPDATE room_participant SET banned_at = NULL, banned_until = NULL
         WHERE room_id = $1 AND user_id = $2`,
        [roomId, userId],
        'unban-participant',
      );
      write.append({ kind: 'PARTICIPANT_UPDATED', userId, actorId: me.userId });
      await recordRoomAudit(ctx, write.sql, viewer, {
        action: 'ROOM_PARTICIPANT_UNBANNED',
        roomId,
        userId,
      });
    },
  });
  return getRoom(ctx, roomId);
}
