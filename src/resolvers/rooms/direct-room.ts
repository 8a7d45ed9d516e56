import type { Context } from '#context.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { transact } from '#outbox.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { forgetMembership } from './access.ts';
import { findAccount, type NamedAccount } from './accounts.ts';
import { getRoom } from './change-room.ts';
import { storeRoom } from './create-room.ts';
import { enterRoom } from './enter-room.ts';
import type { Room } from './room-row.ts';
import { lockRoom, noSuchRoom } from './write-room.ts';

/**
 * The one room of the viewer and another account, made where there is none; the viewer is in it again where they
 * had left, and the other is not where they had: they come back by opening it themselves. Throws
 * `InvalidInputError` for oneself and for an account that is not there, and what `enterRoom` does.
 */
export async function openDirectRoom(ctx: Context, peer: NamedAccount): Promise<Room> {
  const { userId } = requireViewer(ctx);
  const otherId = await findAccount(ctx.database, peer);
  if (otherId === userId) {
    throw new InvalidInputError('A direct room is with somebody else', 'input');
  }
  const directKey = [userId, otherId].toSorted().join(':');
  const { roomId, head } = await transact(ctx, async (sql, announce) => {
    const madeId = await storeRoom(sql, {
      kind: 'DIRECT',
      name: null,
      externalId: null,
      historyVisibility: 'SHARED',
      directKey,
      createdById: userId,
    });
    // A statement of its own sees the room that the other one was waited for.
    const [known] = await sql.query<{ id: string }>(
      'SELECT id FROM room WHERE direct_key = $1',
      [directKey],
      'find-direct-room',
    );
    if (known === undefined) throw noSuchRoom();
    const write = await lockRoom(sql, announce, known.id);
    const both = madeId === null ? [userId] : [userId, otherId];
    const entrants = both.map((id) => ({ userId: id, role: 'MEMBER' as const }));
    await enterRoom(write, entrants, userId);
    return { roomId: known.id, head: await write.store() };
  });
  if (head !== null) ctx.roomFeed.notice(roomId, head);
  forgetMembership(ctx, roomId);
  return getRoom(ctx, roomId);
}
