// Who may see and do what in a room. One rule a type; what may not be known of is as if it were not there.
import { type Context, perContext } from '#context.ts';
import { ForbiddenError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import {
  covers,
  isIn,
  type Membership,
  type ParticipantRole,
  type PositionRange,
  readableRange,
} from './membership.ts';
import { noSuchRoom, type RoomWrite } from './write-room.ts';

const known = perContext(() => new Map<string, Promise<Membership | undefined>>());

/** The viewer's, as it was when this request first asked; undefined for guests and strangers. */
export function viewerMembership(ctx: Context, roomId: string): Promise<Membership | undefined> {
  const { viewer } = ctx;
  // Asked for on the way of `node`, too, which wants no scope of its own.
  if (viewer === null || !viewer.scopes.has('rooms:read')) return Promise.resolve(undefined);
  const asked = known(ctx).get(roomId);
  if (asked !== undefined) return asked;
  const loading = ctx.loadMembership(roomId, viewer.userId);
  known(ctx).set(roomId, loading);
  return loading;
}

/** After this request has changed it. */
export function forgetMembership(ctx: Context, roomId: string): void {
  known(ctx).delete(roomId);
}

/** What of the room's log the viewer may read; null for nothing. */
export async function readableBy(ctx: Context, roomId: string): Promise<PositionRange | null> {
  return readableRange(await viewerMembership(ctx, roomId));
}

/** A room is known to who is in it, and under KEPT to who was. */
export async function canReadRoom(ctx: Context, room: { readonly id: string }): Promise<boolean> {
  return (await readableBy(ctx, room.id)) !== null;
}

/** A message is read by who may read its position of the log. */
export async function canReadMessage(
  ctx: Context,
  message: { readonly roomId: string; readonly position: bigint },
): Promise<boolean> {
  return covers(await readableBy(ctx, message.roomId), message.position);
}

/** Throws `NotFoundError` alike for a room that is not there and for one that is not the viewer's. */
export async function requireReadable(ctx: Context, roomId: string): Promise<PositionRange> {
  requireViewer(ctx);
  const range = await readableBy(ctx, roomId);
  if (range === null) throw noSuchRoom();
  return range;
}

/** As `requireReadable`, for what only those do who are in the room. */
export async function requireParticipant(ctx: Context, roomId: string): Promise<Membership> {
  requireViewer(ctx);
  const membership = await viewerMembership(ctx, roomId);
  if (!isIn(membership)) throw noSuchRoom();
  return membership;
}

/** As `requireParticipant`, under the room's lock: nobody is removed between this and the write. */
export async function requireWriter(write: RoomWrite, userId: string): Promise<Membership> {
  const membership = await write.findMembership(userId);
  if (!isIn(membership)) throw noSuchRoom();
  return membership;
}

const RANK: Readonly<Record<ParticipantRole, number>> = { MEMBER: 0, MODERATOR: 1, OWNER: 2 };

/** Whether one may decide over another: owners over all, moderators over members. */
export function outranks(one: ParticipantRole, other: ParticipantRole): boolean {
  return one === 'OWNER' || RANK[one] > RANK[other];
}

/** Throws `ForbiddenError` for who is in the room, but not as that. */
export function requireRole(membership: Membership, least: ParticipantRole): void {
  if (RANK[membership.role] >= RANK[least]) return;
  const who = least === 'OWNER' ? 'owners' : 'owners and moderators';
  throw new ForbiddenError(`Only ${who} of the room may do this`);
}
