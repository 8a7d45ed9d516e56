// Messages as they are read: by one statement, for pages, nodes and the room's feed alike.
import type { Sql } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';

/** A file that is elsewhere; Naru keeps the link and what the author said of it. */
export interface Attachment {
  readonly url: string;
  readonly mediaType: string;
  readonly byteSize: number;
  readonly name: string | null;
  readonly width: number | null;
  readonly height: number | null;
}

/** How many of a reaction's accounts are read with the message. */
export const REACTED_SHOWN_MAX = 50;

export interface ReactionGroup {
  readonly emoji: string;
  readonly count: number;
  /** The first 50 who reacted so, in that order. */
  readonly userIds: readonly string[];
}

export interface ChatMessage {
  readonly id: string;
  readonly roomId: string;
  readonly sequence: bigint;
  readonly position: bigint;
  readonly authorId: string | null;
  readonly clientMessageId: string;
  readonly body: string | null;
  readonly replyToId: string | null;
  readonly attachments: readonly Attachment[];
  readonly mentionIds: readonly string[];
  readonly createdAt: Date;
  readonly revision: number;
  readonly editedAt: Date | null;
  readonly deletedAt: Date | null;
  readonly deletedById: string | null;
  /** In the order in which each emoji first came. */
  readonly reactions: readonly ReactionGroup[];
}

type Counted = 'sequence' | 'position';
export type MessageRow = Omit<ChatMessage, Counted> & { readonly [Name in Counted]: string };

/**
 * Columns of `chat_message AS m`, by the names of `ChatMessage`. `asOf` is an SQL expression of a position, or
 * of null for now: who reads a room only up to there sees the body that stood then, and no reaction since.
 * What was deleted is gone whenever one looks.
 */
export function messageColumns(asOf = 'NULL::bigint'): string {
  const reacted = `x.message_id = m.id AND (${asOf} IS NULL OR x.position <= ${asOf})`;
  const isNow = `(m.body IS NULL OR ${asOf} IS NULL OR m.revision = 0)`;
  // As the first edit since then replaced it.
  const replaced = (column: string) => `(SELECT ${column} FROM chat_message_edit e
     WHERE e.message_id = m.id AND e.position > ${asOf} ORDER BY e.revision LIMIT 1)`;
  return `
  m.id, m.room_id AS "roomId", m.sequence, m.position, m.author_id AS "authorId",
  m.client_message_id AS "clientMessageId", m.reply_to_id AS "replyToId",
  CASE WHEN ${isNow} THEN m.body ELSE coalesce(${replaced('e.body')}, m.body) END AS body,
  m.attachments,
  CASE WHEN ${isNow} THEN m.mention_ids
    ELSE coalesce(${replaced('e.mention_ids')}, m.mention_ids) END AS "mentionIds",
  m.created_at AS "createdAt",
  CASE WHEN ${isNow} THEN m.revision
    ELSE coalesce(${replaced('e.revision')} - 1, m.revision) END AS revision,
  CASE WHEN ${isNow} THEN m.edited_at ELSE (SELECT max(e.created_at) FROM chat_message_edit e
    WHERE e.message_id = m.id AND e.position <= ${asOf}) END AS "editedAt",
  m.deleted_at AS "deletedAt", m.deleted_by_id AS "deletedById",
  coalesce((SELECT jsonb_agg(jsonb_build_object(
      'emoji', g.emoji, 'count', g.count, 'userIds', g.user_ids) ORDER BY g.first)
    FROM (SELECT n.emoji, count(*) AS count, min(n.position) AS first,
            jsonb_agg(n.user_id ORDER BY n.position) FILTER (WHERE n.number <= ${REACTED_SHOWN_MAX}) AS user_ids
          FROM (SELECT x.emoji, x.position, x.user_id,
                  row_number() OVER (PARTITION BY x.emoji ORDER BY x.position) AS number
                FROM chat_reaction x WHERE ${reacted}) n
          GROUP BY n.emoji) g), '[]') AS reactions`;
}

/** Of a row, or of one as JSON, in which times are text. */
export function messageOf(row: MessageRow): ChatMessage {
  return {
    ...row,
    sequence: BigInt(row.sequence),
    position: BigInt(row.position),
    createdAt: new Date(row.createdAt),
    editedAt: row.editedAt && new Date(row.editedAt),
    deletedAt: row.deletedAt && new Date(row.deletedAt),
  };
}

/** A message as it is now, whoever asks; calls of one moment share a statement. */
export type MessageLoader = (id: string) => Promise<ChatMessage | undefined>;

export function createMessageLoader(sql: Sql): MessageLoader {
  return createBatcher<string, ChatMessage>(
    async (ids) => {
      const rows = await sql.query<MessageRow>(
        `SELECT ${messageColumns()} FROM chat_message m WHERE m.id = ANY($1)`,
        [ids],
        'load-chat-messages',
      );
      return new Map(rows.map((row) => [row.id, messageOf(row)]));
    },
    { concurrency: 2, keysMax: 1_000 },
  );
}

/** With which emoji an account has reacted to a message; undefined for none. Batched as `MessageLoader`. */
export type ReactedLoader = (
  messageId: string,
  userId: string,
) => Promise<readonly string[] | undefined>;

export function createReactedLoader(sql: Sql): ReactedLoader {
  const load = createBatcher<string, readonly string[]>(
    async (keys) => {
      const pairs = keys.map((key) => key.split(' '));
      const rows = await sql.query<{ key: string; emojis: string[] }>(
        `SELECT message_id || ' ' || user_id AS key, array_agg(emoji) AS emojis
         FROM unnest($1::uuid[], $2::uuid[]) AS asked (message_id, user_id)
         JOIN chat_reaction USING (message_id, user_id) GROUP BY message_id, user_id`,
        [pairs.map(([messageId]) => messageId), pairs.map(([, userId]) => userId)],
        'load-reacted',
      );
      return new Map(rows.map(({ key, emojis }) => [key, emojis]));
    },
    { concurrency: 2, keysMax: 1_000 },
  );
  return (messageId, userId) => load(`${messageId} ${userId}`);
}
