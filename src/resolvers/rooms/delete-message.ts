import type { Context } from '#context.ts';
import { ForbiddenError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { actorOf, recordAudit } from '#resolvers/users/audit.ts';
import { outranks } from './access.ts';
import { isIn } from './membership.ts';
import type { ChatMessage } from './message-row.ts';
import type { ReportAuthority, ReportReason } from './report-row.ts';
import {
  findWritable,
  readUnderLock,
  type WritableMessage,
  writeMessage,
} from './write-message.ts';
import type { RoomWrite } from './write-room.ts';

export interface MessageDeletion {
  readonly messageId: string;
  /** Why somebody else's is deleted: for the audit log. */
  readonly reason?: ReportReason | null | undefined;
}

/**
 * Leaves a tombstone of a message, also in an archived room: the author's own, or by who stands over the author in
 * the room, which is audited. Again is the same as once. Throws `NotFoundError` and `ForbiddenError`.
 */
export async function deleteMessage(ctx: Context, input: MessageDeletion): Promise<ChatMessage> {
  return writeMessage(ctx, input.messageId, async (write, found) => {
    await requireStanding(write, found);
    await erase(ctx, write, found.message, { reason: input.reason, authority: 'ROOM' });
  });
}

/**
 * The same for who holds the lock of the message's room already. With the authority of an operator, which the caller
 * has made certain of under the lock, they need not be in the room.
 */
export async function deleteUnderLock(
  ctx: Context,
  write: RoomWrite,
  { messageId, ...right }: MessageDeletion & { readonly authority: ReportAuthority },
): Promise<void> {
  if (right.authority === 'OPERATOR') {
    await erase(ctx, write, await readUnderLock(write, messageId), right);
    return;
  }
  const found = await findWritable(ctx, write, messageId);
  await requireStanding(write, found);
  await erase(ctx, write, found.message, right);
}

interface Right {
  readonly reason?: ReportReason | null | undefined;
  readonly authority: ReportAuthority;
}

async function erase(
  ctx: Context,
  write: RoomWrite,
  message: ChatMessage,
  { reason, authority }: Right,
): Promise<void> {
  const viewer = requireViewer(ctx);
  const { id, roomId, authorId } = message;
  if (message.deletedAt !== null) return;
  write.append({ kind: 'MESSAGE_DELETED', messageId: id, actorId: viewer.userId });
  await write.sql.query(ERASE, [id, viewer.userId], 'erase-message');
  if (authorId === viewer.userId) return;
  await recordAudit(write.sql, actorOf(ctx, viewer), {
    action: 'MESSAGE_DELETED',
    subject: { type: 'ChatMessage', id },
    details: { roomId, authorId, reason: reason ?? null, authority },
  });
}

async function requireStanding(
  write: RoomWrite,
  { viewer, membership, message }: WritableMessage,
): Promise<void> {
  if (message.authorId === viewer.userId || (await standsOver(write, membership, message))) return;
  throw new ForbiddenError('Only its author, and who stands over them, may delete a message');
}

async function standsOver(
  write: RoomWrite,
  { role }: WritableMessage['membership'],
  { authorId }: ChatMessage,
): Promise<boolean> {
  const author = authorId === null ? undefined : await write.findMembership(authorId);
  // Who has left is nobody's equal any more.
  return outranks(role, isIn(author) ? author.role : 'MEMBER');
}

// Its id, place, author and times stay, and what it answered. The fingerprint goes, too: short texts could be
// guessed by it.
const ERASE = `
  WITH edits AS (DELETE FROM chat_message_edit WHERE message_id = $1),
    mentions AS (DELETE FROM chat_mention WHERE message_id = $1),
    reactions AS (DELETE FROM chat_reaction WHERE message_id = $1)
  UPDATE chat_message SET body = NULL, attachments = '[]', mention_ids = '{}', fingerprint = '',
    deleted_at = naru_now(), deleted_by_id = $2 WHERE id = $1`;
