import type { Context } from '#context.ts';
import { judgePlace } from '#feeds/cursor.ts';
import { type PageArguments, parsePage } from '#lib/page.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { readableBy } from './access.ts';
import { ROOM_FEED } from './feed.ts';
import { type ChatMessage, type MessageRow, messageColumns, messageOf } from './message-row.ts';
import { READABLE } from './readable-sql.ts';

export interface MessagePage {
  readonly messages: readonly ChatMessage[];
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  /** Where the page begins and ends, also where no message stands there; null for the messages' own places. */
  readonly bounds: { readonly start: bigint; readonly end: bigint } | null;
  /** The log's head from before the page was read: following from it misses and repeats nothing. */
  readonly followPosition: bigint;
  /** Signed only when somebody asks: most readers of a page want few of its cursors. */
  readonly cursorAt: (position: bigint) => string;
}

/** What a page of a room's messages begins with. */
export interface PageStart {
  /** Before the first place that the viewer may read. */
  readonly floor: bigint;
  /** The last one: who has left is not told how much came since. */
  readonly followPosition: bigint;
  readonly cursorAt: (position: bigint) => string;
  /** Throws the cursor errors. */
  readonly placeOf: (cursor: string) => bigint;
}

/** Reads the head, before anything else of the page is. */
export async function startPage(ctx: Context, roomId: string): Promise<PageStart> {
  const head = await ctx.roomFeed.readHead(roomId);
  const range = await readableBy(ctx, roomId);
  const { cursors } = ctx.roomFeed;
  const place = { feed: ROOM_FEED, key: roomId };
  return {
    floor: range === null || range.from === 0n ? 0n : range.from - 1n,
    followPosition: range?.to != null && range.to < head.head ? range.to : head.head,
    cursorAt: (position) => cursors.encode({ ...place, epoch: head.epoch, position }),
    placeOf(cursor) {
      const decoded = cursors.decode(cursor, place);
      const fault = judgePlace(cursors, decoded, head);
      if (fault !== null) throw fault;
      return decoded.position;
    },
  };
}

/**
 * Messages of a room in the order of its log, ascending; without bounds the newest 20. What the viewer may not read
 * is left out by the statement that reads: a room that is not theirs is empty. Throws the cursor errors and
 * `InvalidInputError`.
 */
export async function listMessages(
  ctx: Context,
  roomId: string,
  page: PageArguments,
): Promise<MessagePage> {
  const { userId } = requireViewer(ctx);
  const { size, direction } = parsePage(page, 'backward');
  const { floor, followPosition, cursorAt, placeOf } = await startPage(ctx, roomId);
  const after = page.after != null ? placeOf(page.after) : floor;
  // What came after the head was read belongs to whoever follows from it.
  const before = page.before != null ? placeOf(page.before) : followPosition + 1n;
  const rows = await ctx.database.query<MessageRow>(
    READ[direction],
    [roomId, userId, after.toString(), before.toString(), size + 1],
    `read-messages-${direction}`,
  );
  const hasMore = rows.length > size;
  const messages = rows.slice(0, size).map(messageOf);
  if (direction === 'backward') messages.reverse();
  return {
    messages,
    hasNextPage: direction === 'forward' ? hasMore : page.before != null,
    hasPreviousPage: direction === 'forward' ? page.after != null : hasMore,
    bounds: null,
    followPosition,
    cursorAt,
  };
}

// Read from the end asked for and no further, whatever the planner thinks of the join.
const readFrom = (order: 'ASC' | 'DESC') => `
  SELECT ${messageColumns('readable.as_of')}
  FROM (${READABLE}) readable CROSS JOIN LATERAL (
    SELECT * FROM chat_message m
    WHERE m.room_id = $1 AND m.position BETWEEN readable.first AND readable.last
      AND m.position > $3 AND m.position < $4
    ORDER BY m.position ${order} LIMIT $5) m
  ORDER BY m.position ${order}`;

const READ = { forward: readFrom('ASC'), backward: readFrom('DESC') };
