// What the chat worker's clients are sent of a room: its own frames, as they always were. Deletions and edits are
// new; clients pass over types that they do not know.
import { encodeGlobalId } from '#lib/global-id.ts';
import type { ChatNews } from '#resolvers/rooms/chat-stream.ts';
import type { LastMessage } from '#resolvers/rooms/last-message.ts';
import type { ChatMessage } from '#resolvers/rooms/message-row.ts';

export type ChatFrame = Readonly<Record<string, unknown>>;

export const INFO: ChatFrame = { type: 'info', message: 'please auth' };
export const AUTH_OK: ChatFrame = { type: 'auth:ok' };

export function errorFrame(code: string, message: string): ChatFrame {
  return { type: 'error', code, message };
}

const PREVIEW_LENGTH = 100;

/** `roomName` is what the client calls the room. */
export function createdFrame(message: ChatMessage, roomName: string): ChatFrame {
  return {
    type: 'message.created',
    id: encodeGlobalId('ChatMessage', message.id),
    conversationId: roomName,
    preview: previewOf(message),
  };
}

export function lastFrame(last: LastMessage | null, roomName: string): ChatFrame | null {
  if (last === null) return null;
  return last.kind === 'broadcast' ? last.message : createdFrame(last.message, roomName);
}

/** Whole characters, of what may be deleted or have attachments only. */
function previewOf({ body }: ChatMessage): string {
  const text = (body ?? '').slice(0, 2 * PREVIEW_LENGTH);
  return Array.from(text).slice(0, PREVIEW_LENGTH).join('');
}

export interface ChatFrames {
  /** The frame of what happened; a message's has the message before it. */
  frameOf(news: Exclude<ChatNews, { type: 'out' }>): Promise<ChatFrame>;
}

/**
 * Of one connection, since what came before a message is what this client may know of. `findBefore` is asked for
 * a message that was the last one already when the client came.
 */
export function createChatFrames(
  roomName: string,
  first: LastMessage | null,
  findBefore: (message: ChatMessage) => Promise<LastMessage | null>,
): ChatFrames {
  let last = lastFrame(first, roomName);

  const withBefore = (frame: ChatFrame, before: ChatFrame | null): ChatFrame => {
    last = frame;
    return { ...frame, before };
  };

  return {
    async frameOf(news) {
      if (news.type === 'typing') {
        const { userId, isTyping } = news;
        const timestamp = Date.now();
        return { type: 'typing', userId, isTyping, roomId: roomName, timestamp, before: last };
      }
      if (news.type === 'broadcast') {
        return withBefore(news.message, news.before ?? last);
      }
      const { message } = news;
      const created = createdFrame(message, roomName);
      const isLast = last !== null && last['id'] === created['id'];
      if (news.type === 'sent') {
        const before = isLast ? lastFrame(await findBefore(message), roomName) : last;
        return withBefore(created, before);
      }
      if (isLast) last = created;
      const { id, conversationId, preview } = created;
      return news.type === 'edited'
        ? { type: 'message.updated', id, conversationId, preview }
        : { type: 'message.deleted', id, conversationId };
    },
  };
}
