import type { Sql } from '#database/client.ts';
import type { Feed, FeedHead } from '#feeds/feed.ts';
import type { WebhookMessage } from '#generated/prisma/client.ts';
import type { Header } from '#lib/redact-headers.ts';

/** The webhook feed has one key, written only by the projector. */
export const WEBHOOK_FEED = 'webhooks';
export const WEBHOOK_FEED_KEY = '';

/** A message without its body, and its source's path: read once a node for all who follow. */
export interface WebhookFeedItem extends WebhookMessage {
  readonly sourcePath: string | null;
}

// The columns by the names of the model, so that a row is one.
const READ_PAGE = `
  SELECT m.id, m.position, m.source_id AS "sourceId", m.repository_id AS "repositoryId",
         m.lane_id AS "laneId", m.lane_sequence AS "laneSequence", m.verification, m.path, m.method,
         m.headers, m.content_type AS "contentType", m.byte_size AS "byteSize",
         m.delivery_id AS "deliveryId", m.event_name AS "eventName", m.action, m.branch, m.sender,
         m.occurred_at AS "occurredAt", m.verification_failure AS "verificationFailure",
         m.received_at AS "receivedAt", s.path AS "sourcePath"
  FROM webhook_message m LEFT JOIN webhook_source s ON s.id = m.source_id
  WHERE m.position > $1
    AND EXISTS (SELECT FROM feed WHERE name = $3 AND key = $4 AND epoch = $5)
  ORDER BY m.position LIMIT $2`;

const READ_HEADS = `
  SELECT key, epoch, last_position, pruned_position FROM feed WHERE name = $1 AND key = ANY($2)`;

export function createWebhookFeed(sql: Sql): Feed<WebhookFeedItem> {
  return {
    name: WEBHOOK_FEED,
    async readHeads(keys) {
      const rows = await sql.query<{
        key: string;
        epoch: string;
        last_position: string;
        pruned_position: string;
      }>(READ_HEADS, [WEBHOOK_FEED, keys], 'read-feed-heads');
      return new Map(
        rows.map((row): [string, FeedHead] => [
          row.key,
          {
            epoch: row.epoch,
            head: BigInt(row.last_position),
            pruned: BigInt(row.pruned_position),
          },
        ]),
      );
    },
    async readPage({ key, epoch, after, limit }) {
      const rows = await sql.query<Row>(
        READ_PAGE,
        [after.toString(), limit, WEBHOOK_FEED, key, epoch],
        'read-webhook-feed',
      );
      return rows.map(itemOf);
    },
    positionOf: (item) => item.position,
    bytesOf,
  };
}

type Row = Omit<WebhookFeedItem, 'position' | 'laneSequence'> & {
  readonly position: string;
  readonly laneSequence: string | null;
};

function itemOf({ position, laneSequence, ...row }: Row): WebhookFeedItem {
  return {
    ...row,
    position: BigInt(position),
    laneSequence: laneSequence === null ? null : BigInt(laneSequence),
  };
}

/** Most of an item are its headers. */
function bytesOf(item: WebhookFeedItem): number {
  const headers = item.headers as unknown as readonly Header[];
  return headers.reduce((sum, { name, value }) => sum + name.length + value.length + 64, 1_024);
}
