import type { Context } from '#context.ts';
import { ForbiddenError } from '#lib/errors.ts';
import { actorOf, recordAudit } from '#resolvers/users/audit.ts';
import { outranks } from './access.ts';
import { isIn } from './membership.ts';
import type { ChatMessage } from './message-row.ts';
import type { ReportReason } from './report-row.ts';
import { findWritable, type WritableMessage, writeMessage } from './write-message.ts';
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
  return writeMessage(ctx, input.messageId, (write, found) => erase(ctx, write, found, input));
}

/** The same for who holds the lock of the message's room already. */
export async function deleteUnderLock(
  ctx: Context,
  write: RoomWrite,
  input: MessageDeletion,
): Promise<void> {
  await erase(ctx, write, await findWritable(ctx, write, input.messageId), input);
}

async function erase(
  ctx: Context,
  write: RoomWrite,
  { viewer, membership, message }: WritableMessage,
  { reason }: MessageDeletion,
): Promise<void> {
  const isOwn = message.authorId === viewer.userId;
  if (!isOwn && !(await standsOver(write, membership, message))) {
    throw new ForbiddenError('Only its author, and who stands over them, may delete a message');
  }
  if (message.deletedAt !== null) return;
  write.append({ kind: 'MESSAGE_DELETED', messageId: message.id, actorId: viewer.userId });
  await write.sql.query(ERASE, [message.id, viewer.userId], 'erase-message');
  if (isOwn) return;
  await recordAudit(write.sql, actorOf(ctx, viewer), {
    action: 'MESSAGE_DELETED',
    subject: { type: 'ChatMessage', id: message.id },
    details: { roomId: message.roomId, authorId: message.authorId, reason: reason ?? null },
  });
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
