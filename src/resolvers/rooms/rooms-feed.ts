import type { Sql } from '#database/client.ts';
import type { Feed, FeedHead } from '#feeds/feed.ts';
import { EVENT_COLUMNS, type EventRow, eventBytes, eventOf, type RoomFeedItem } from './feed.ts';

/** One feed over all rooms; it has one key. */
export const ROOMS_FEED = 'rooms';
export const ROOMS_FEED_KEY = '';

/** A change of a room, in the order in which the single writer took it up. */
export interface RoomsFeedItem {
  readonly position: bigint;
  /** Null where the room is not there any more. */
  readonly event: RoomFeedItem | null;
  /**
   * Who was in the room at that position, those who joined or left by it included; read once a node. Neighbours
   * of one room share the set.
   */
  readonly members: ReadonlySet<string>;
}

const READ_HEADS = `
  SELECT key, epoch, last_position AS head, pruned_position AS pruned
  FROM feed WHERE name = $1 AND key = ANY($2)`;

/** Fewer than a reader asks for: each brings its room's members. Written out, so that it is planned for so few. */
const PAGE_MAX = 100;

const READ_PAGE = `
  SELECT c.position AS "feedPosition", ${EVENT_COLUMNS}
  FROM (SELECT * FROM rooms_change
        WHERE position > $1 AND EXISTS (SELECT FROM feed WHERE name = $2 AND key = $3 AND epoch = $4)
        ORDER BY position LIMIT ${PAGE_MAX}) c
  LEFT JOIN room_event e ON e.room_id = c.room_id AND e.position = c.room_position
  ORDER BY c.position`;

// In a later statement than the page: what a stay says of a position that is passed stays true.
const READ_STAYS = `
  SELECT s.room_id AS "roomId", s.user_id AS "userId", s.joined_position AS joined,
         s.left_position AS left
  FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS asked (room_id, first, last)
  JOIN room_stay s ON s.room_id = asked.room_id AND s.joined_position <= asked.last
    AND (s.left_position IS NULL OR s.left_position >= asked.first)`;

type PageRow = Omit<EventRow, 'roomId'> & {
  readonly feedPosition: string;
  readonly roomId: string | null;
};

interface StayRow {
  readonly roomId: string;
  readonly userId: string;
  readonly joined: string;
  readonly left: string | null;
}

interface Stay {
  readonly userId: string;
  readonly joined: bigint;
  readonly left: bigint | null;
}

export function createRoomsFeed(sql: Sql): Feed<RoomsFeedItem> {
  return {
    name: ROOMS_FEED,
    async readHeads(keys) {
      const rows = await sql.query<{ key: string; epoch: string; head: string; pruned: string }>(
        READ_HEADS,
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
    async readPage({ key, epoch, after, limit }) {
      const rows = await sql.query<PageRow>(
        READ_PAGE,
        [after.toString(), ROOMS_FEED, key, epoch],
        'read-rooms-feed',
      );
      const items = rows.slice(0, limit).map(({ feedPosition, roomId, ...row }) => ({
        position: BigInt(feedPosition),
        event: roomId === null ? null : eventOf({ roomId, ...row }),
      }));
      const membersAt = await readMembers(
        sql,
        items.flatMap(({ event }) => event ?? []),
      );
      return items.map((item) => ({
        ...item,
        members: item.event === null ? NOBODY : membersAt(item.event),
      }));
    },
    positionOf: (item) => item.position,
    bytesOf: ({ event, members }) =>
      (event === null ? 0 : eventBytes(event)) + 256 + members.size * 64,
  };
}

const NOBODY: ReadonlySet<string> = new Set();

/** Who was there at each of these events, which are in order. */
async function readMembers(
  sql: Sql,
  events: readonly RoomFeedItem[],
): Promise<(event: RoomFeedItem) => ReadonlySet<string>> {
  const ranges = new Map<string, { first: bigint; last: bigint }>();
  for (const { roomId, position } of events) {
    const range = ranges.get(roomId);
    if (range === undefined) ranges.set(roomId, { first: position, last: position });
    else range.last = position;
  }
  const asked = [...ranges];
  const rows = await sql.query<StayRow>(
    READ_STAYS,
    [
      asked.map(([roomId]) => roomId),
      asked.map(([, { first }]) => first.toString()),
      asked.map(([, { last }]) => last.toString()),
    ],
    'read-room-stays',
  );
  const staysOf = new Map<string, Stay[]>();
  for (const { roomId, userId, joined, left } of rows) {
    const stay = { userId, joined: BigInt(joined), left: left === null ? null : BigInt(left) };
    const known = staysOf.get(roomId);
    if (known === undefined) staysOf.set(roomId, [stay]);
    else known.push(stay);
  }
  const latest = new Map<string, { position: bigint; members: ReadonlySet<string> }>();
  return ({ roomId, position }) => {
    const stays = staysOf.get(roomId) ?? [];
    const before = latest.get(roomId);
    const isSame = before !== undefined && !stays.some((stay) => isMoved(stay, before, position));
    const members = isSame ? before.members : membersOf(stays, position);
    latest.set(roomId, { position, members });
    return members;
  };
}

function membersOf(stays: readonly Stay[], position: bigint): ReadonlySet<string> {
  const there = stays.filter(
    ({ joined, left }) => joined <= position && (left === null || left >= position),
  );
  return new Set(there.map(({ userId }) => userId));
}

/** Whether the stay began or was over between two positions. */
function isMoved({ joined, left }: Stay, before: { position: bigint }, position: bigint): boolean {
  const hasBegun = joined > before.position && joined <= position;
  return hasBegun || (left !== null && left >= before.position && left < position);
}
