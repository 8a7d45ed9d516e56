import type { Sql } from '#database/client.ts';
import type { Feed, FeedHead } from '#feeds/feed.ts';
import type { VerificationOutcome } from '#generated/prisma/enums.ts';

/** The webhook feed has one key, written only by the projector. */
export const WEBHOOK_FEED = 'webhooks';
export const WEBHOOK_FEED_KEY = '';

/** What permission and filters are decided on; the message itself is read when it is handed out. */
export interface WebhookFeedItem {
  readonly position: bigint;
  readonly id: string;
  readonly sourceId: string | null;
  readonly sourcePath: string | null;
  readonly repositoryId: string | null;
  readonly verification: VerificationOutcome;
  readonly eventName: string | null;
  readonly action: string | null;
  readonly branch: string | null;
  readonly receivedAt: Date;
}

const READ_PAGE = `
  SELECT m.position, m.id, m.source_id AS "sourceId", s.path AS "sourcePath",
         m.repository_id AS "repositoryId", m.verification, m.event_name AS "eventName",
         m.action, m.branch, m.received_at AS "receivedAt"
  FROM webhook_message m LEFT JOIN webhook_source s ON s.id = m.source_id
  WHERE m.position > $1 ORDER BY m.position LIMIT $2`;

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
    async readPage(_key, after, limit) {
      const rows = await sql.query<Omit<WebhookFeedItem, 'position'> & { position: string }>(
        READ_PAGE,
        [after.toString(), limit],
        'read-webhook-feed',
      );
      return rows.map((row) => ({ ...row, position: BigInt(row.position) }));
    },
    positionOf: (item) => item.position,
    bytesOf: () => 512,
  };
}
