import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { PositionRange } from './membership.ts';
import { type ChatMessage, type MessageRow, messageColumns, messageOf } from './message-row.ts';
import type { NamedRoom } from './named-room.ts';

/** What the chat worker's clients call the last message: the newer of the last message and the last broadcast. */
export type LastMessage =
  | { readonly kind: 'message'; readonly message: ChatMessage }
  | { readonly kind: 'broadcast'; readonly message: Readonly<Record<string, unknown>> };

/**
 * Of what stands in the log within `range`, and before `before` where that is given; null where there is nothing.
 * A deleted message is none.
 */
export async function findLastMessage(
  { database }: Pick<Services, 'database'>,
  { channel, roomId }: NamedRoom,
  range: PositionRange,
  before: bigint | null = null,
): Promise<LastMessage | null> {
  const [broadcast, message] = await Promise.all([
    findLastBroadcast(database, channel, roomId, range.from),
    roomId === null ? null : findLastChatMessage(database, roomId, range, before),
  ]);
  if (message !== null && (broadcast === null || message.createdAt > broadcast.createdAt)) {
    return { kind: 'message', message };
  }
  return broadcast && { kind: 'broadcast', message: broadcast.message };
}

export interface LastBroadcast {
  readonly message: Readonly<Record<string, unknown>>;
  readonly createdAt: Date;
}

/** None that was sent before what stands in the room's log at `from`: it was for those who were there then. */
export async function findLastBroadcast(
  sql: Sql,
  channel: string,
  roomId: string | null = null,
  from = 0n,
): Promise<LastBroadcast | null> {
  const [row] = await sql.query<LastBroadcast>(
    `SELECT b.message, b.created_at AS "createdAt" FROM room_broadcast b
     WHERE b.channel = $1 AND NOT EXISTS (SELECT 1 FROM room_event e
       WHERE e.room_id = $2 AND e.position = $3 AND e.created_at > b.created_at)`,
    [channel, roomId, from.toString()],
    'find-last-broadcast',
  );
  return row ?? null;
}

async function findLastChatMessage(
  sql: Sql,
  roomId: string,
  { from, to }: PositionRange,
  before: bigint | null,
): Promise<ChatMessage | null> {
  const [row] = await sql.query<MessageRow>(
    `SELECT ${messageColumns()} FROM chat_message m
     WHERE m.room_id = $1 AND m.deleted_at IS NULL AND m.position >= $2
       AND ($3::bigint IS NULL OR m.position <= $3) AND ($4::bigint IS NULL OR m.position < $4)
     ORDER BY m.position DESC LIMIT 1`,
    [roomId, from.toString(), to?.toString() ?? null, before?.toString() ?? null],
    'find-last-chat-message',
  );
  return row === undefined ? null : messageOf(row);
}
