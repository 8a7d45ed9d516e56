// What those in a room decide about it and about each other: one way in for all of it.
import type { Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { ConflictError, InvalidInputError, NotFoundError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { forgetMembership, requireParticipant, requireRole, requireWriter } from './access.ts';
import type { Membership, ParticipantRole } from './membership.ts';
import { findRoom } from './room.ts';
import type { Room } from './room-row.ts';
import { noSuchRoom, type RoomWrite, writeRoom } from './write-room.ts';

export interface RoomChange<Result> {
  readonly roomId: string;
  /** Who may, at least. */
  readonly least: ParticipantRole;
  /** Whether an archived room allows it, too. */
  readonly evenArchived?: boolean;
  readonly work: (write: RoomWrite, me: Membership, viewer: Viewer) => Promise<Result>;
}

/**
 * Runs a change under the room's lock, where the viewer is in the room and has the role. Throws `NotFoundError`
 * alike for a room that is not there and for one that is not theirs, `ForbiddenError`, and `ConflictError` for an
 * archived room.
 */
export async function changeRoom<Result>(
  ctx: Context,
  { roomId, least, evenArchived = false, work }: RoomChange<Result>,
): Promise<Result> {
  const viewer = requireViewer(ctx);
  // Before the lock: a stranger costs the same as for no room, and holds up nobody.
  await requireParticipant(ctx, roomId);
  try {
    return await writeRoom(ctx, roomId, async (write) => {
      const me = await requireWriter(write, viewer.userId);
      requireRole(me, least);
      if (!evenArchived) requireNotArchived(write.room);
      return work(write, me, viewer);
    });
  } finally {
    // Also where it was refused: then what this request knew was old.
    forgetMembership(ctx, roomId);
  }
}

export function requireNotArchived({ archivedAt }: Pick<Room, 'archivedAt'>): void {
  if (archivedAt === null) return;
  throw new ConflictError('The room is archived: nothing in it changes until it is unarchived');
}

/** The room after a change. Throws `NotFoundError` where the viewer may not know of it any more. */
export async function getRoom(ctx: Context, roomId: string): Promise<Room> {
  const room = await findRoom(ctx, roomId);
  if (room === null) throw noSuchRoom();
  return room;
}

/** Somebody who is or was in the room. Throws `NotFoundError` for everybody else. */
export async function requireMet(write: RoomWrite, userId: string): Promise<Membership> {
  const membership = await write.findMembership(userId);
  if (membership === undefined) throw noSuchParticipant();
  return membership;
}

export function noSuchParticipant(): NotFoundError {
  return new NotFoundError('There is no such participant in the room');
}

const TIME_MAX = Date.parse('9999-12-31T23:59:59.999Z');

/** Null has no end. Throws `InvalidInputError` for an end that is over, by the database's clock. */
export async function requireAhead(write: RoomWrite, until: Date | null): Promise<void> {
  if (until === null) return;
  if (until.getTime() <= TIME_MAX) {
    const [answer] = await write.sql.query<{ isAhead: boolean }>(
      'SELECT $1::timestamptz > naru_now() AS "isAhead"',
      [until],
      'is-time-ahead',
    );
    if (answer?.isAhead === true) return;
  }
  throw new InvalidInputError('The end must be ahead, and before the year 10000', 'input.until');
}
