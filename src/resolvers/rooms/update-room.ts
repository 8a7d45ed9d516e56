import type { Context } from '#context.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { changeRoom, getRoom } from './change-room.ts';
import { parseRoomName } from './room-input.ts';
import type { HistoryVisibility, Room } from './room-row.ts';

/**
 * Changes what is given; what is so already makes no event. Owners and moderators name a room, owners say what
 * of its history is read. Throws `InvalidInputError` and what `changeRoom` does.
 */
export async function updateRoom(
  ctx: Context,
  input: {
    readonly roomId: string;
    readonly name?: string | null | undefined;
    readonly historyVisibility?: HistoryVisibility | null | undefined;
  },
): Promise<Room> {
  const { roomId } = input;
  const name = input.name == null ? null : parseRoomName(input.name, 'input.name');
  const visibility = input.historyVisibility ?? null;
  if (name === null && visibility === null) {
    throw new InvalidInputError('Say what to change', 'input');
  }
  await changeRoom(ctx, {
    roomId,
    least: visibility === null ? 'MODERATOR' : 'OWNER',
    work: async (write, me) => {
      const [changed] = await write.sql.query(
        `UPDATE room SET name = coalesce($2, name),
           history_visibility = coalesce($3, history_visibility), updated_at = naru_now()
         WHERE id = $1 AND (name <> $2 OR history_visibility <> $3) RETURNING id`,
        [roomId, name, visibility],
        'update-room',
      );
      if (changed !== undefined) write.append({ kind: 'ROOM_UPDATED', actorId: me.userId });
    },
  });
  return getRoom(ctx, roomId);
}

/**
 * From then on nothing in it changes, but that participants leave, are removed and banned; or it does again. Again is the same as
 * once. Owners only. Throws what `changeRoom` does.
 */
export async function setArchived(
  ctx: Context,
  { roomId, isArchived }: { readonly roomId: string; readonly isArchived: boolean },
): Promise<Room> {
  await changeRoom(ctx, {
    roomId,
    least: 'OWNER',
    evenArchived: true,
    work: async (write, me) => {
      if ((write.room.archivedAt !== null) === isArchived) return;
      await write.sql.query(
        `UPDATE room SET archived_at = CASE WHEN $2 THEN naru_now() END, updated_at = naru_now()
         WHERE id = $1`,
        [roomId, isArchived],
        'archive-room',
      );
      write.append({ kind: 'ROOM_UPDATED', actorId: me.userId });
    },
  });
  return getRoom(ctx, roomId);
}
