import type { Sql } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';
import { type ChatMessage, type MessageRow, messageColumns, messageOf } from './message-row.ts';
import { READS, READS_FROM, READS_TO } from './readable-sql.ts';

/**
 * The newest message of a room that an account may read, deleted or not; undefined where there is none. Calls of one
 * moment share a statement, whoever asks: every message makes all who are in its room ask for it.
 */
export type NewestMessageLoader = (
  roomId: string,
  userId: string,
) => Promise<ChatMessage | undefined>;

export function createNewestMessageLoader(sql: Sql): NewestMessageLoader {
  const load = createBatcher<string, ChatMessage>(
    async (keys) => {
      const pairs = keys.map((key) => key.split(' '));
      const rows = await sql.query<MessageRow & { readonly readerId: string }>(
        `SELECT p.user_id AS "readerId", ${messageColumns('p.left_position')}
         FROM unnest($1::uuid[], $2::uuid[]) AS asked (room_id, user_id)
         JOIN room_participant p USING (room_id, user_id) JOIN room r ON r.id = p.room_id
         CROSS JOIN LATERAL (
           SELECT * FROM chat_message m
           WHERE m.room_id = p.room_id AND m.position BETWEEN ${READS_FROM} AND ${READS_TO}
           ORDER BY m.position DESC LIMIT 1) m
         WHERE ${READS}`,
        [pairs.map(([roomId]) => roomId), pairs.map(([, userId]) => userId)],
        'load-newest-messages',
      );
      return new Map(
        rows.map(({ readerId, ...row }) => [`${row.roomId} ${readerId}`, messageOf(row)]),
      );
    },
    { concurrency: 2, keysMax: 1_000 },
  );
  return (roomId, userId) => load(`${roomId} ${userId}`);
}
