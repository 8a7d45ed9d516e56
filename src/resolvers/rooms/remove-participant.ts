import type { Context } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { forgetMembership, viewerMembership } from './access.ts';
import { changeRoom, getRoom } from './change-room.ts';
import { departRoom } from './depart-room.ts';
import { isIn, type Membership } from './membership.ts';
import { requireSubject } from './ownership.ts';
import { findRoom } from './room.ts';
import { recordRoomAudit } from './room-audit.ts';
import type { Room } from './room-row.ts';
import { noSuchRoom, writeRoom } from './write-room.ts';

/**
 * Lets another participant out, of an archived room, too; who was there and left stays as they are. Throws `InvalidInputError` for oneself,
 * `NotFoundError` for who never was there, and what `changeRoom` does.
 */
export async function removeParticipant(
  ctx: Context,
  { roomId, userId }: { readonly roomId: string; readonly userId: string },
): Promise<Room> {
  await changeRoom(ctx, {
    roomId,
    least: 'MODERATOR',
    evenArchived: true,
    work: async (write, me, viewer) => {
      const subject = await requireSubject(write, me, userId);
      if (!isIn(subject)) return;
      await departRoom(write, subject, { reason: 'REMOVED', actorId: me.userId });
      await recordRoomAudit(ctx, write.sql, viewer, {
        action: 'ROOM_PARTICIPANT_REMOVED',
        roomId,
        userId,
      });
    },
  });
  return getRoom(ctx, roomId);
}

/**
 * The viewer leaves, an archived room, too: it would count against their rooms for ever. Who has left stays so.
 * The last owner passes the room on. Answers with the room where they may read it still. Throws `NotFoundError`
 * alike for no room and for one that is not theirs.
 */
export async function leaveRoom(
  ctx: Context,
  { roomId }: { readonly roomId: string },
): Promise<Room | null> {
  const { userId } = requireViewer(ctx);
  if (!mayLeave(await viewerMembership(ctx, roomId))) throw noSuchRoom();
  await writeRoom(ctx, roomId, async (write) => {
    const me = await write.findMembership(userId);
    if (me === undefined || !mayLeave(me)) throw noSuchRoom();
    if (isIn(me)) await departRoom(write, me, { reason: 'LEFT', actorId: userId });
  }).finally(() => forgetMembership(ctx, roomId));
  return findRoom(ctx, roomId);
}

/** Who is there, and who left by themselves: they know what they have left. */
function mayLeave(membership: Membership | undefined): boolean {
  if (membership === undefined) return false;
  return (
    membership.leftReason === null || (membership.leftReason === 'LEFT' && !membership.isBanned)
  );
}
