import type { Context } from '#context.ts';
import { changeRoom, getRoom, noSuchParticipant, requireAhead } from './change-room.ts';
import { isIn, type Membership } from './membership.ts';
import { requireSubject } from './ownership.ts';
import { recordRoomAudit } from './room-audit.ts';
import type { Room } from './room-row.ts';

interface Muting {
  readonly room: Room;
  readonly participant: Membership;
}

/**
 * Another one may not send, edit or react until the end, or until the mute is lifted; null has no end. It outlasts
 * leaving. The same again is no change, another end takes its place. Throws `InvalidInputError`, `NotFoundError`
 * for who is not in the room, and what `changeRoom` does.
 */
export async function muteParticipant(
  ctx: Context,
  input: { readonly roomId: string; readonly userId: string; readonly until: Date | null },
): Promise<Muting> {
  return setMute(ctx, { ...input, isMuted: true });
}

/** Throws as `muteParticipant`. */
export async function unmuteParticipant(
  ctx: Context,
  input: { readonly roomId: string; readonly userId: string },
): Promise<Muting> {
  return setMute(ctx, { ...input, isMuted: false, until: null });
}

async function setMute(
  ctx: Context,
  input: {
    readonly roomId: string;
    readonly userId: string;
    readonly isMuted: boolean;
    readonly until: Date | null;
  },
): Promise<Muting> {
  const { roomId, userId, isMuted, until } = input;
  const participant = await changeRoom(ctx, {
    roomId,
    least: 'MODERATOR',
    work: async (write, me, viewer) => {
      const subject = await requireSubject(write, me, userId);
      if (!isIn(subject)) throw noSuchParticipant();
      await requireAhead(write, until);
      const hasSameEnd = subject.mutedUntil?.getTime() === until?.getTime();
      if (subject.isMuted === isMuted && (!isMuted || hasSameEnd)) return subject;
      await write.sql.query(
        `UPDATE room_participant SET muted_at = CASE WHEN $3 THEN naru_now() END, muted_until = $4
         WHERE room_id = $1 AND user_id = $2`,
        [roomId, userId, isMuted, until],
        'mute-participant',
      );
      write.append({ kind: 'PARTICIPANT_UPDATED', userId, actorId: me.userId });
      await recordRoomAudit(ctx, write.sql, viewer, {
        action: isMuted ? 'ROOM_PARTICIPANT_MUTED' : 'ROOM_PARTICIPANT_UNMUTED',
        roomId,
        userId,
        details: isMuted ? { until: until?.toISOString() ?? null } : {},
      });
      return { ...subject, isMuted, mutedUntil: until };
    },
  });
  return { room: await getRoom(ctx, roomId), participant };
}
