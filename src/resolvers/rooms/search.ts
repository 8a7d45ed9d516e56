// Search within a room. What it looks at is bounded by places of the room's log and not by what it finds: a word
// that everybody uses, or nobody, costs no more than that. What is made to cost more is ended by its time.
import type { Context } from '#context.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { type PageArguments, parsePage } from '#lib/page.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { readableBy } from './access.ts';
import { boundSearch } from './bound-search.ts';
import { type MessagePage, startPage } from './message-page.ts';
import { type MessageRow, messageColumns, messageOf } from './message-row.ts';
import { READABLE } from './readable-sql.ts';

export const QUERY_CHARACTERS_MIN = 2;
export const QUERY_CHARACTERS_MAX = 100;
/** Places of the log that a page looks at: where the index on trigrams helps, and where each message is read. */
export const INDEXED_PLACES_MAX = 100_000;
export const READ_PLACES_MAX = 5_000;

export interface MessageSearch {
  readonly query: string;
  readonly from?: Date | null | undefined;
  readonly to?: Date | null | undefined;
  readonly authorId?: string | undefined;
}

/**
 * Messages of a room that say the text, in any case, the newest first. A page that looked at its share of the log
 * ends there, with fewer messages than asked for or none; while `hasNextPage` there is more to look at. Throws the
 * cursor errors, `InvalidInputError`, and what `boundSearch` does.
 */
export async function searchMessages(
  ctx: Context,
  roomId: string,
  search: MessageSearch,
  page: PageArguments,
): Promise<MessagePage> {
  const { userId } = requireViewer(ctx);
  const query = parseQuery(search.query);
  const { size, direction } = parsePage(page, 'forward');
  const { floor, followPosition, cursorAt, placeOf } = await startPage(ctx, roomId);
  // Which statement: each decides for itself who may read. Of who left, what stood then is searched, which no
  // index knows.
  const isPast = (await readableBy(ctx, roomId))?.to != null;
  const isIndexed = !isPast && query.length >= 3;
  const places = BigInt(isIndexed ? INDEXED_PLACES_MAX : READ_PLACES_MAX);
  // Both exclusive. The newest first, so `after` is the upper one.
  const upper = page.after != null ? placeOf(page.after) : followPosition + 1n;
  const lower = page.before != null ? placeOf(page.before) : floor;
  const isDown = direction === 'forward';
  const from = isDown ? maxOf(lower, upper - places - 1n) : lower;
  const to = isDown ? upper : minOf(upper, lower + places + 1n);
  const rows = await boundSearch(ctx, userId, (sql) =>
    sql.query<MessageRow>(statement(isDown ? 'DESC' : 'ASC', isPast), [
      roomId,
      userId,
      from.toString(),
      to.toString(),
      size + 1,
      `%${query.join('').replace(/[\\%_]/g, '\\$&')}%`,
      search.authorId ?? null,
      search.from ?? null,
      search.to ?? null,
    ]),
  );
  const isFull = rows.length > size;
  const messages = rows.slice(0, size).map(messageOf);
  const last = messages.at(-1)?.position;
  // A page that is not full ends where it stopped looking, before the first place that it did not look at.
  const edge = minOf(isDown ? from + 1n : to - 1n, followPosition);
  const stop = isFull && last !== undefined ? last : edge;
  const hasMore = isFull || (isDown ? from > lower : to < upper);
  if (!isDown) messages.reverse();
  const [first, end] = [messages[0]?.position ?? stop, messages.at(-1)?.position ?? stop];
  return {
    messages,
    hasNextPage: isDown ? hasMore : page.before != null,
    hasPreviousPage: isDown ? page.after != null : hasMore,
    bounds: isDown ? { start: first, end: stop } : { start: stop, end },
    followPosition,
    cursorAt,
  };
}

/** Its characters: as many as PostgreSQL counts. */
function parseQuery(text: string): string[] {
  const isText = text.isWellFormed() && !text.includes('\u0000');
  const query = Array.from(isText && text.length <= 1_024 ? text.normalize('NFC').trim() : '');
  if (query.length >= QUERY_CHARACTERS_MIN && query.length <= QUERY_CHARACTERS_MAX) return query;
  throw new InvalidInputError(
    `What to search for has ${QUERY_CHARACTERS_MIN}–${QUERY_CHARACTERS_MAX} characters`,
    'query',
  );
}

function statement(order: 'ASC' | 'DESC', isPast: boolean): string {
  const columns = messageColumns('readable.as_of');
  // What may be read as differences: as bounds, which the planner cannot know, they would make it believe in a few
  // rows, and never ask the index.
  const conditions = `
    m.room_id = $1 AND m.position > $3 AND m.position < $4
    AND m.position - readable.first >= 0 AND readable.last - m.position >= 0
    AND ($7::uuid IS NULL OR m.author_id = $7)
    AND ($8::timestamptz IS NULL OR m.created_at >= $8)
    AND ($9::timestamptz IS NULL OR m.created_at < $9)`;
  if (isPast) {
    return `
      SELECT * FROM (
        SELECT ${columns}
        FROM (${READABLE}) readable JOIN chat_message m ON ${conditions}
        WHERE readable.as_of IS NOT NULL) m
      WHERE m.body ILIKE $6 ORDER BY m.position ${order} LIMIT $5`;
  }
  return `
    SELECT ${columns}
    FROM (${READABLE}) readable CROSS JOIN LATERAL (
      SELECT * FROM chat_message m
      WHERE ${conditions} AND readable.as_of IS NULL AND m.body ILIKE $6
      ORDER BY m.position ${order} LIMIT $5) m
    ORDER BY m.position ${order}`;
}

function maxOf(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}

function minOf(left: bigint, right: bigint): bigint {
  return left < right ? left : right;
}
