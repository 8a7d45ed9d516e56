// What the viewer has not read, from two numbers of the room and one of theirs: there is no row a message.
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';
import type { ChatMessage } from './message-row.ts';
import { findMessage } from './read-message.ts';

export interface ReadState {
  readonly unread: number;
  readonly mentions: number;
  readonly lastReadId: string | null;
}

/** What came before they joined never was unread. */
const READ_TO = 'greatest(p.read_sequence, p.joined_sequence)';

/**
 * How an account stands to what was said in a room; undefined for who is not in it. Calls of one moment share a
 * statement, whoever asks: all who follow a room ask at the same moment, each by a context of their own.
 */
export type ReadStateLoader = (roomId: string, userId: string) => Promise<ReadState | undefined>;

export function createReadStateLoader(sql: Sql): ReadStateLoader {
  const load = createBatcher<string, ReadState>(
    async (keys) => {
      const pairs = keys.map((key) => key.split(' '));
      const rows = await sql.query<
        { roomId: string; userId: string; lastReadId: string | null } & Record<
          'unread' | 'mentions',
          string
        >
      >(
        `SELECT p.room_id AS "roomId", p.user_id AS "userId",
           greatest(r.last_sequence - ${READ_TO}, 0) AS unread,
           (SELECT count(*) FROM chat_mention c WHERE c.room_id = p.room_id
              AND c.user_id = p.user_id AND c.sequence > ${READ_TO}) AS mentions,
           (SELECT m.id FROM chat_message m WHERE m.room_id = p.room_id
              AND m.sequence = p.read_sequence) AS "lastReadId"
         FROM unnest($1::uuid[], $2::uuid[]) AS asked (room_id, user_id)
         JOIN room_participant p USING (room_id, user_id) JOIN room r ON r.id = p.room_id
         WHERE p.left_position IS NULL`,
        [pairs.map(([roomId]) => roomId), pairs.map(([, userId]) => userId)],
        'load-read-states',
      );
      return new Map(
        rows.map(({ roomId, userId, unread, mentions, lastReadId }) => [
          `${roomId} ${userId}`,
          { unread: Number(unread), mentions: Number(mentions), lastReadId },
        ]),
      );
    },
    { concurrency: 2, keysMax: 1_000 },
  );
  return (roomId, userId) => load(`${roomId} ${userId}`);
}

async function findReadState(
  { viewer, loadReadState }: Context,
  roomId: string,
): Promise<ReadState | undefined> {
  if (!viewer?.scopes.has('rooms:read')) return undefined;
  return loadReadState(roomId, viewer.userId);
}

/** 0 for who is not in the room. Calls of one moment, of whatever requests, share a statement with the two below. */
export async function countUnread(ctx: Context, roomId: string): Promise<number> {
  return (await findReadState(ctx, roomId))?.unread ?? 0;
}

export async function countUnreadMentions(ctx: Context, roomId: string): Promise<number> {
  return (await findReadState(ctx, roomId))?.mentions ?? 0;
}

/** Null where they have read nothing, or may not read it any more. */
export async function findLastRead(ctx: Context, roomId: string): Promise<ChatMessage | null> {
  return findMessage(ctx, (await findReadState(ctx, roomId))?.lastReadId ?? null);
}
