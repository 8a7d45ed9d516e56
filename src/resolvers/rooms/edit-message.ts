import type { Context } from '#context.ts';
import { ConflictError, ForbiddenError } from '#lib/errors.ts';
import { parseBody, parseMentions } from './message-input.ts';
import type { ChatMessage } from './message-row.ts';
import { requireMentioned } from './send-message.ts';
import { requireLive, requireThere, requireVoice, writeMessage } from './write-message.ts';
import type { RoomWrite } from './write-room.ts';

export const EDITS_MAX = 100;

export interface MessageChange {
  readonly messageId: string;
  readonly body: string;
  /** Whom it mentions from now on; absent: as before. */
  readonly mentionIds?: readonly string[] | null | undefined;
}

/**
 * Gives the viewer's own message another body, and keeps what it was. What changes nothing is nothing: no event, no
 * revision. Throws `NotFoundError`, `ForbiddenError` for who is not the author or is muted, `ConflictError` for what
 * is deleted, in an archived room and past 100 edits, and `InvalidInputError`.
 */
export async function editMessage(ctx: Context, input: MessageChange): Promise<ChatMessage> {
  // As far as it can be said without the message.
  const body = parseBody(input.body, { mayBeEmpty: true });
  const given = input.mentionIds == null ? null : parseMentions(input.mentionIds);
  return writeMessage(ctx, input.messageId, async (write, { viewer, membership, message }) => {
    if (message.authorId !== viewer.userId) {
      throw new ForbiddenError('Only its author may edit a message');
    }
    requireThere(message);
    requireLive(write);
    requireVoice(membership);
    parseBody(body, { mayBeEmpty: message.attachments.length > 0 });
    const mentionIds = given ?? message.mentionIds;
    const added = mentionIds.filter((userId) => !message.mentionIds.includes(userId));
    const isSame = added.length === 0 && mentionIds.length === message.mentionIds.length;
    if (isSame && body === message.body) return;
    if (message.revision >= EDITS_MAX) {
      throw new ConflictError(`A message is edited at most ${EDITS_MAX} times`);
    }
    requireMentioned(await areIn(write, added));
    const position = write.append({
      kind: 'MESSAGE_EDITED',
      messageId: message.id,
      actorId: viewer.userId,
    });
    await write.sql.query(
      EDIT,
      [message.id, position.toString(), viewer.userId, body, mentionIds],
      'edit-message',
    );
  });
}

async function areIn({ sql, room }: RoomWrite, userIds: readonly string[]): Promise<boolean> {
  if (userIds.length === 0) return true;
  const [found] = await sql.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM room_participant
     WHERE room_id = $1 AND user_id = ANY($2) AND left_position IS NULL`,
    [room.id, userIds],
    'count-mentioned',
  );
  return found?.count === userIds.length;
}

const EDIT = `
  WITH replaced AS (
    INSERT INTO chat_message_edit (message_id, revision, position, body, mention_ids, edited_by_id)
    SELECT id, revision + 1, $2, body, mention_ids, $3 FROM chat_message WHERE id = $1
  ), unmentioned AS (
    DELETE FROM chat_mention WHERE message_id = $1 AND user_id <> ALL($5::uuid[])
  ), mentioned AS (
    INSERT INTO chat_mention (room_id, user_id, sequence, message_id)
    SELECT m.room_id, user_id, m.sequence, m.id
    FROM chat_message m CROSS JOIN unnest($5::uuid[]) AS user_id WHERE m.id = $1
    ON CONFLICT DO NOTHING
  )
  UPDATE chat_message SET body = $4, mention_ids = $5, revision = revision + 1,
    edited_at = naru_now() WHERE id = $1`;
