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

export interface ReactionGroup {
  readonly emoji: string;
  /** Who reacted so, the first ones first; all of them. */
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
  return `
  m.id, m.room_id AS "roomId", m.sequence, m.position, m.author_id AS "authorId",
  m.client_message_id AS "clientMessageId", m.reply_to_id AS "replyToId",
  CASE WHEN m.body IS NULL OR ${asOf} IS NULL OR m.revision = 0 THEN m.body ELSE coalesce(
    (SELECT e.body FROM chat_message_edit e WHERE e.message_id = m.id AND e.position > ${asOf}
     ORDER BY e.revision LIMIT 1), m.body) END AS body,
  m.attachments, m.mention_ids AS "mentionIds", m.created_at AS "createdAt", m.revision,
  m.edited_at AS "editedAt", m.deleted_at AS "deletedAt", m.deleted_by_id AS "deletedById",
  coalesce((SELECT jsonb_agg(jsonb_build_object('emoji', g.emoji, 'userIds', g.user_ids) ORDER BY g.first)
    FROM (SELECT x.emoji, min(x.position) AS first,
            jsonb_agg(x.user_id ORDER BY x.position) AS user_ids
          FROM chat_reaction x WHERE ${reacted} GROUP BY x.emoji) g), '[]') AS reactions`;
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
