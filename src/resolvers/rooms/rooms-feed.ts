import type { Sql } from '#database/client.ts';
import type { Feed, FeedHead } from '#feeds/feed.ts';
import type { RoomFeedItem } from './feed.ts';

/** One feed over all rooms; it has one key. */
export const ROOMS_FEED = 'rooms';
export const ROOMS_FEED_KEY = '';

/** A change of a room, in the order in which the single writer took it up. */
export interface RoomsFeedItem {
  readonly position: bigint;
  readonly roomPosition: bigint;
  readonly event: RoomFeedItem;
  /** Who was in the room at that position; read once a node. */
  readonly members: ReadonlySet<string>;
}

export function createRoomsFeed(sql: Sql): Feed<RoomsFeedItem> {
  return {
    name: ROOMS_FEED,
    async readHeads(keys) {
      const rows = await sql.query<{ key: string; epoch: string; head: string; pruned: string }>(
        `SELECT key, epoch, last_position AS head, pruned_position AS pruned
         FROM feed WHERE name = $1 AND key = ANY($2)`,
        [ROOMS_FEED, keys],
        'read-rooms-heads',
      );
      return new Map(
        rows.map(({ key, epoch, head, pruned }): [string, FeedHead] => [
          key,
          { epoch, head: BigInt(head), pruned: BigInt(pruned) },
        ]),
      );
    },
    readPage: async () => [],
    positionOf: (item) => item.position,
    bytesOf: () => 1_024,
  };
}
