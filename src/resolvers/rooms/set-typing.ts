import type { Context } from '#context.ts';
import { ForbiddenError, InvalidInputError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { requireParticipant } from './access.ts';
import { requireNotArchived } from './change-room.ts';
import { isConnectionId } from './connection-id.ts';
import { noSuchRoom } from './write-room.ts';

/**
 * Tells the room that the viewer types, or does not any more. Throws `NotFoundError` alike for a room that is not
 * there and for one that is not theirs; and where they could not send what they type `ForbiddenError` for who is
 * muted, `ConflictError` for an archived room.
 */
export async function setTyping(
  ctx: Context,
  input: {
    readonly roomId: string;
    readonly isTyping: boolean;
    readonly connectionId: string | null;
  },
): Promise<void> {
  const { roomId, isTyping, connectionId } = input;
  const { userId } = requireViewer(ctx);
  if (connectionId !== null && !isConnectionId(connectionId)) {
    throw new InvalidInputError('1 to 64 visible ASCII characters', 'input.connectionId');
  }
  const membership = await requireParticipant(ctx, roomId);
  if (isTyping) {
    const room = await ctx.loadRoom(roomId);
    if (room === undefined) throw noSuchRoom();
    requireNotArchived(room);
    if (membership.isMuted) throw new ForbiddenError('You are muted in this room');
  }
  await ctx.typing.set(roomId, { userId, connectionId }, isTyping);
}
