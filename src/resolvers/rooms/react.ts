import type { Context } from '#context.ts';
import { ConflictError } from '#lib/errors.ts';
import { parseEmoji } from './message-input.ts';
import type { ChatMessage } from './message-row.ts';
import { requireLive, requireThere, requireVoice, writeMessage } from './write-message.ts';
import type { RoomWrite } from './write-room.ts';

export const EMOJI_PER_MESSAGE_MAX = 20;

export interface Reaction {
  readonly messageId: string;
  readonly emoji: string;
}

/**
 * Adds the viewer to those who reacted so. Again is nothing: no event. Throws `NotFoundError`, `ForbiddenError` for
 * who is muted, `ConflictError` for what is deleted, in an archived room and for a 21st emoji, and
 * `InvalidInputError`.
 */
export async function addReaction(ctx: Context, input: Reaction): Promise<ChatMessage> {
  const emoji = parseEmoji(input.emoji);
  return writeMessage(ctx, input.messageId, async (write, { viewer, membership, message }) => {
    const { userId } = viewer;
    requireThere(message);
    requireLive(write);
    requireVoice(membership);
    if (await hasReacted(write, input.messageId, emoji, userId)) return;
    const isNew = message.reactions.every((group) => group.emoji !== emoji);
    if (isNew && message.reactions.length >= EMOJI_PER_MESSAGE_MAX) {
      throw new ConflictError(`A message has at most ${EMOJI_PER_MESSAGE_MAX} different reactions`);
    }
    const position = write.append({
      kind: 'REACTIONS_CHANGED',
      messageId: message.id,
      actorId: userId,
    });
    await write.sql.query(
      `INSERT INTO chat_reaction (message_id, emoji, user_id, room_id, position)
       VALUES ($1, $2, $3, $4, $5)`,
      [message.id, emoji, userId, message.roomId, position.toString()],
      'add-reaction',
    );
  });
}

/** Takes it back, muted or not. Where there is none, also of a deleted message, it is nothing: no event. */
export async function removeReaction(ctx: Context, input: Reaction): Promise<ChatMessage> {
  const emoji = parseEmoji(input.emoji);
  return writeMessage(ctx, input.messageId, async (write, { viewer: { userId }, message }) => {
    if (!(await hasReacted(write, message.id, emoji, userId))) return;
    requireLive(write);
    write.append({ kind: 'REACTIONS_CHANGED', messageId: message.id, actorId: userId });
    await write.sql.query(
      'DELETE FROM chat_reaction WHERE message_id = $1 AND emoji = $2 AND user_id = $3',
      [message.id, emoji, userId],
      'remove-reaction',
    );
  });
}

async function hasReacted(
  { sql }: Pick<RoomWrite, 'sql'>,
  messageId: string,
  emoji: string,
  userId: string,
): Promise<boolean> {
  const found = await sql.query(
    'SELECT FROM chat_reaction WHERE message_id = $1 AND emoji = $2 AND user_id = $3',
    [messageId, emoji, userId],
    'find-reaction',
  );
  return found.length > 0;
}
