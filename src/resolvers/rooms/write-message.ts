// What happens to a message that is there already.
import type { Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { ConflictError, ForbiddenError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { forgetMembership, requireParticipant, requireWriter } from './access.ts';
import { covers, type Membership, readableRange } from './membership.ts';
import { type ChatMessage, type MessageRow, messageColumns, messageOf } from './message-row.ts';
import { getMessage, noSuchMessage } from './read-message.ts';
import { type RoomWrite, writeRoom } from './write-room.ts';

/** A message and the viewer's part in its room, as they stand under the room's lock. */
export interface WritableMessage {
  readonly viewer: Viewer;
  readonly membership: Membership;
  readonly message: ChatMessage;
}

/**
 * Runs `work` under the lock of the message's room and answers with the message as it is then. Throws
 * `NotFoundError` for a message that the viewer may not read, and where they are not in its room: those never
 * wait for the lock.
 */
export async function writeMessage(
  ctx: Context,
  messageId: string,
  work: (write: RoomWrite, found: WritableMessage) => Promise<void>,
): Promise<ChatMessage> {
  const { roomId } = await getMessage(ctx, messageId);
  await requireParticipant(ctx, roomId);
  const changed = await writeRoom(ctx, roomId, async (write) => {
    await work(write, await findWritable(ctx, write, messageId));
    return readUnderLock(write, messageId);
  });
  forgetMembership(ctx, roomId);
  return changed;
}

/** Throws `NotFoundError` for a message that is not in this room, or that the viewer may not read. */
export async function findWritable(
  ctx: Context,
  write: RoomWrite,
  messageId: string,
): Promise<WritableMessage> {
  const viewer = requireViewer(ctx);
  const membership = await requireWriter(write, viewer.userId);
  const message = await readUnderLock(write, messageId);
  if (!covers(readableRange(membership), message.position)) throw noSuchMessage();
  return { viewer, membership, message };
}

/** Whoever asks. Throws `NotFoundError` for a message that is not in this room. */
export async function readUnderLock({ sql, room }: RoomWrite, id: string): Promise<ChatMessage> {
  const [row] = await sql.query<MessageRow>(
    `SELECT ${messageColumns()} FROM chat_message m WHERE m.id = $1 AND m.room_id = $2`,
    [id, room.id],
    'read-message-under-lock',
  );
  if (row === undefined) throw noSuchMessage();
  return messageOf(row);
}

/** Throws `ConflictError` in a room that is archived. */
export function requireLive({ room }: Pick<RoomWrite, 'room'>): void {
  if (room.archivedAt !== null) throw new ConflictError('The room is archived');
}

/** Throws `ConflictError` for a tombstone. */
export function requireThere({ deletedAt }: Pick<ChatMessage, 'deletedAt'>): void {
  if (deletedAt !== null) throw new ConflictError('The message was deleted');
}

/** Throws `ForbiddenError`, with the end where there is one, for who is muted. */
export function requireVoice({ isMuted, mutedUntil }: Membership): void {
  if (!isMuted) return;
  const end = mutedUntil === null ? 'somebody lifts it' : mutedUntil.toISOString();
  throw new ForbiddenError(`You are muted in this room until ${end}`);
}
