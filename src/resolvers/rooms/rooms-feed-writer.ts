// The feed over all rooms: its one writer, what looks after it, and what removes its oldest.
import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { type Announce, transact } from '#outbox.ts';
import type { Entry } from '#pubsub/bus.ts';
import { roomsMoved } from '#pubsub/topics/rooms.ts';
import { ROOMS_FEED, ROOMS_FEED_KEY } from './rooms-feed.ts';

/** What is taken up, looked at or removed by one transaction. */
const STEP = 1_000;
const RETAIN_DAYS = 30;

/**
 * Gives what happened in the batch's rooms the next positions of the feed. News only say where to look: all that
 * a room's log holds past what was taken up of it is taken up, in the room's order, so that news that come late,
 * twice, out of order or never leave no gap. Announces the new head.
 */
export async function feedRooms(app: Services, batch: readonly Entry<unknown>[]): Promise<void> {
  await takeUp(app, [...new Set(batch.map(({ key }) => key))]);
}

async function takeUp(app: Services, roomIds: readonly string[]): Promise<void> {
  if (roomIds.length === 0) return;
  let taken = STEP;
  while (taken === STEP) {
    const step = await transact(app, (sql, announce) => takeUpStep(sql, announce, roomIds));
    if (step === null) return;
    app.roomsFeed.notice(ROOMS_FEED_KEY, BigInt(step.head));
    taken = Number(step.taken);
  }
}

// Of a room what is seen of its log is without a hole: its positions are committed in order.
const TAKE_UP = `
  WITH fresh AS (
    SELECT e.room_id, e.position, row_number() OVER (ORDER BY asked.rank, e.position) AS number
    FROM unnest($3::uuid[]) WITH ORDINALITY AS asked (room_id, rank)
    LEFT JOIN rooms_progress p USING (room_id)
    CROSS JOIN LATERAL (
      SELECT room_id, position FROM room_event
      WHERE room_id = asked.room_id AND position > coalesce(p.room_position, 0)
      ORDER BY position LIMIT ${STEP}
    ) e
    ORDER BY asked.rank, e.position LIMIT ${STEP}
  ), stored AS (
    INSERT INTO rooms_change (position, room_id, room_position)
    SELECT $4::bigint + number, room_id, position FROM fresh
  ), moved AS (
    INSERT INTO rooms_progress (room_id, room_position)
    SELECT room_id, max(position) FROM fresh GROUP BY room_id
    ON CONFLICT (room_id) DO UPDATE SET room_position = excluded.room_position
  )
  UPDATE feed SET last_position = last_position + counted.taken
  FROM (SELECT count(*) AS taken FROM fresh) counted
  WHERE name = $1 AND key = $2 AND counted.taken > 0
  RETURNING last_position AS head, counted.taken`;

/** Null when there was nothing to take up. */
async function takeUpStep(
  sql: Sql,
  announce: Announce,
  roomIds: readonly string[],
): Promise<{ readonly head: string; readonly taken: string } | null> {
  const feed = await lockFeed(sql);
  const [step] = await sql.query<{ head: string; taken: string }>(
    TAKE_UP,
    [ROOMS_FEED, ROOMS_FEED_KEY, roomIds, feed.last],
    'take-up-rooms',
  );
  if (step === undefined) return null;
  await announce(roomsMoved, ROOMS_FEED_KEY, { position: step.head });
  return step;
}

/**
 * In a statement of its own, before all else: who comes second then sees what the first has taken up, also
 * where two nodes for a moment both believe themselves to be the writer.
 */
async function lockFeed(sql: Sql): Promise<{ readonly last: string; readonly pruned: string }> {
  const [feed] = await sql.query<{ last: string; pruned: string }>(
    `SELECT last_position AS last, pruned_position AS pruned
     FROM feed WHERE name = $1 AND key = $2 FOR UPDATE`,
    [ROOMS_FEED, ROOMS_FEED_KEY],
    'lock-rooms-feed',
  );
  if (feed === undefined) throw new Error('The feed over all rooms has no row');
  return feed;
}

const FIRST = '00000000-0000-0000-0000-000000000000';
const places = new WeakMap<Services, string>();

/**
 * Takes up what the news have lost: those of a room where nothing happens any more would be missed by nobody
 * else. Each run looks at the next rooms by their ids, so that it costs the same however many there are.
 */
export async function catchUpRooms(app: Services): Promise<void> {
  const rooms = await app.database.query<{ id: string; isBehind: boolean }>(
    `SELECT r.id, r.last_position > coalesce(p.room_position, 0) AS "isBehind"
     FROM (SELECT id, last_position FROM room WHERE id > $1 ORDER BY id LIMIT ${STEP}) r
     LEFT JOIN rooms_progress p ON p.room_id = r.id
     ORDER BY r.id`,
    [places.get(app) ?? FIRST],
    'find-rooms-behind',
  );
  await takeUp(
    app,
    rooms.flatMap(({ id, isBehind }) => (isBehind ? id : [])),
  );
  places.set(app, (rooms.length === STEP ? rooms.at(-1)?.id : undefined) ?? FIRST);
}

/** Removes what is older than 30 days and moves the feed's edge: cursors before it have expired, and say so. */
export async function pruneRoomsFeed(app: Services): Promise<void> {
  while ((await app.database.transaction(pruneStep)) === STEP);
}

// The first that is not too old is the new edge, so that what is kept has no hole.
const FIND_EDGE = `
  SELECT coalesce(
           min(position) FILTER (WHERE created_at >= naru_now() - make_interval(days => $2)) - 1,
           max(position), $1) AS edge
  FROM (SELECT position, created_at FROM rooms_change
        WHERE position > $1 ORDER BY position LIMIT ${STEP}) oldest`;

/** How many were removed; `STEP` when there may be more. */
async function pruneStep(sql: Sql): Promise<number> {
  const { pruned } = await lockFeed(sql);
  const [found] = await sql.query<{ edge: string }>(FIND_EDGE, [pruned, RETAIN_DAYS]);
  const edge = found?.edge ?? pruned;
  if (edge === pruned) return 0;
  await sql.query('DELETE FROM rooms_change WHERE position <= $1', [edge]);
  await sql.query('UPDATE feed SET pruned_position = $3 WHERE name = $1 AND key = $2', [
    ROOMS_FEED,
    ROOMS_FEED_KEY,
    edge,
  ]);
  return Number(BigInt(edge) - BigInt(pruned));
}
