import type { Context } from '#context.ts';
import { ForbiddenError, InvalidInputError } from '#lib/errors.ts';
import { requireParticipant, requireRole } from './access.ts';
import { findAccounts, type NamedAccounts } from './accounts.ts';
import { changeRoom, getRoom } from './change-room.ts';
import { enterRoom } from './enter-room.ts';
import { isIn, type Membership, type ParticipantRole } from './membership.ts';
import type { Room } from './room-row.ts';

/**
 * Lets accounts in; who is in already stays as they are. Owners and moderators add members, owners also
 * moderators and owners. Answers with all that were named, as they are now, in the order of their names. Throws
 * `InvalidInputError`, and what `changeRoom` and `enterRoom` do.
 */
export async function addParticipants(
  ctx: Context,
  input: NamedAccounts & { readonly roomId: string; readonly role: ParticipantRole },
): Promise<{ readonly room: Room; readonly participants: readonly Membership[] }> {
  const { roomId, role } = input;
  // Before any account is looked for: who may not add learns nothing of who is there.
  requireRole(await requireParticipant(ctx, roomId), 'MODERATOR');
  const ids = await findAccounts(ctx.database, input);
  if (ids.length === 0) throw new InvalidInputError('Name somebody to add', 'input');
  await changeRoom(ctx, {
    roomId,
    least: 'MODERATOR',
    work: async (write, me) => {
      if (role !== 'MEMBER' && me.role !== 'OWNER') {
        throw new ForbiddenError('Only owners of the room add owners and moderators');
      }
      const entrants = ids.map((userId) => ({ userId, role }));
      await enterRoom(write, entrants, me.userId);
    },
  });
  // Before the room, which asks for permission: what is shown was there while the viewer was.
  const found = await Promise.all(ids.map((userId) => ctx.loadMembership(roomId, userId)));
  return { room: await getRoom(ctx, roomId), participants: found.filter(isIn) };
}
