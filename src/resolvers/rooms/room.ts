import type { Context } from '#context.ts';
import { canReadRoom, viewerMembership } from './access.ts';
import { ROOM_FEED } from './feed.ts';
import type { PositionRange } from './membership.ts';
import { parseExternalId } from './room-input.ts';
import type { Room } from './room-row.ts';

/** Null alike for a room that is not there and for one that is not the viewer's. */
export async function findRoom(ctx: Context, id: string): Promise<Room | null> {
  // The room first: what permission lets through was there before it was asked for.
  const room = await ctx.loadRoom(id);
  return (await canReadRoom(ctx, { id })) ? (room ?? null) : null;
}

/** As `findRoom`, by the id that another system has for the room. Throws `InvalidInputError`. */
export async function findRoomByExternalId(ctx: Context, externalId: string): Promise<Room | null> {
  const [found] = await ctx.database.query<{ id: string }>(
    'SELECT id FROM room WHERE external_id = $1',
    [parseExternalId(externalId, 'externalId')],
    'find-room-by-external-id',
  );
  return found === undefined ? null : findRoom(ctx, found.id);
}

/** When the viewer left, if the room was changed since, which is not theirs to read; null where they read it as it is. */
export async function hiddenSince(
  ctx: Context,
  { id, updatedAt }: Pick<Room, 'id' | 'updatedAt'>,
): Promise<Date | null> {
  const leftAt = (await viewerMembership(ctx, id))?.leftAt ?? null;
  return leftAt !== null && leftAt <= updatedAt ? leftAt : null;
}

/** Of a DIRECT room the account that it is with, for one of the two; null for GROUP. */
export function otherOf({ directKey }: Pick<Room, 'directKey'>, userId: string): string | null {
  return directKey?.split(':').find((id) => id !== userId) ?? null;
}

/** Where following a room goes on behind what the room, as it was read, shows to who may read that of its log. */
export function cursorOfRoom(
  ctx: Context,
  { id, epoch, lastPosition }: Room,
  range: PositionRange | null,
): string {
  const isPast = range?.to != null && range.to < lastPosition;
  const position = isPast ? (range.to ?? lastPosition) : lastPosition;
  return ctx.roomFeed.cursors.encode({ feed: ROOM_FEED, key: id, epoch, position });
}
