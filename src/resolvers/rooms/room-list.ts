import type { Context } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import type { Stretch } from './participants.ts';
import { ROOM_COLUMNS, type Room, type RoomKind, type RoomRow, roomOf } from './room-row.ts';

/** All that is given must hold; null or absent asks for nothing. */
export interface RoomFilter {
  readonly kind?: RoomKind | null | undefined;
  readonly isArchived?: boolean | null | undefined;
}

const listText = (order: 'ASC' | 'DESC') => `
  SELECT ${ROOM_COLUMNS} FROM room_participant p JOIN room r ON r.id = p.room_id
  WHERE p.user_id = $1 AND p.left_position IS NULL
    AND ($2::room_kind IS NULL OR r.kind = $2)
    AND ($3::boolean IS NULL OR (r.archived_at IS NOT NULL) = $3)
    AND ($4::uuid IS NULL OR p.room_id > $4) AND ($5::uuid IS NULL OR p.room_id < $5)
  ORDER BY p.room_id ${order} LIMIT $6`;
const LIST = { forward: listText('ASC'), inverted: listText('DESC') };

/** The rooms that the viewer is in, oldest first: an order that stays. */
export async function listRooms(
  ctx: Context,
  filter: RoomFilter,
  { after, before, limit, isInverted }: Stretch<string>,
): Promise<Room[]> {
  const direction = isInverted ? 'inverted' : 'forward';
  const { userId } = requireViewer(ctx);
  const rows = await ctx.database.query<RoomRow>(
    LIST[direction],
    [userId, filter.kind ?? null, filter.isArchived ?? null, after, before, limit],
    `list-rooms-${direction}`,
  );
  return rows.map(roomOf);
}
