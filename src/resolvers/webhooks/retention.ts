import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { removeLeftoverBodies } from './claimed-body.ts';
import { WEBHOOK_FEED, WEBHOOK_FEED_KEY } from './feed.ts';

const BATCH = 1_000;
const SWEEP_MAX = 5_000;
/** A redelivery is recognised this long, even if the message itself had to go. */
const REMEMBER_HOURS = 72;

/**
 * Removes the oldest messages, by age and by the bytes of all bodies together, and moves the feed's
 * edge: cursors before it have expired, and say so. Settled or not: an inbox holds nothing up.
 */
export async function pruneWebhooks(app: Services): Promise<void> {
  const { webhookRetainDays: days, webhookRetainBytes: bytes } = app.config;
  const prune = () => app.database.transaction((sql) => pruneBatch(sql, days, bytes));
  while ((await prune()) === BATCH);
  let swept = await sweepDeliveries(app.database);
  while (swept === SWEEP_MAX) swept = await sweepDeliveries(app.database);
  await app.database.query(
    `DELETE FROM webhook_pruned_message WHERE received_at < naru_now() - make_interval(hours => $1)`,
    [REMEMBER_HOURS],
  );
  await removeLeftoverBodies(app.database);
}

/**
 * Forgets how users stood with messages that are gone. Apart from the removal, since a pull under way
 * may add such a row after it; rows held by a settlement wait for the next run rather than for each
 * other, which two statements over the same rows would do for ever.
 */
async function sweepDeliveries(sql: Sql): Promise<number> {
  const rows = await sql.query(
    `DELETE FROM webhook_delivery WHERE ctid = ANY (ARRAY(
       SELECT d.ctid FROM webhook_lane l JOIN webhook_delivery d
         ON d.lane_id = l.id AND d.sequence <= l.pruned_sequence
       LIMIT $1 FOR UPDATE OF d SKIP LOCKED
     )) RETURNING 1`,
    [SWEEP_MAX],
  );
  return rows.length;
}

// From the oldest on: too old, or still over the bytes when its turn comes. The first that is neither
// is the new edge, so that what is kept has no hole. Never more is read than is removed at once.
const FIND_EDGE = `
  SELECT coalesce(min(m.position) FILTER (WHERE m.received_at >= naru_now() - make_interval(days => $2)
                                            AND m.before >= $3) - 1,
                  max(m.position), $1) AS position
  FROM (
    SELECT position, received_at, sum(byte_size) OVER (ORDER BY position) - byte_size AS before
    FROM (
      SELECT position, received_at, byte_size FROM webhook_message
      WHERE position > $1 ORDER BY position LIMIT ${BATCH}
    ) oldest
  ) m`;

const REMOVE = `
  WITH gone AS (
    DELETE FROM webhook_message WHERE position > $1 AND position <= $2
    RETURNING id, lane_id, lane_sequence, received_at, byte_size
  ), edges AS (
    UPDATE webhook_lane l SET pruned_sequence = edge.sequence
    FROM (SELECT lane_id, max(lane_sequence) AS sequence FROM gone GROUP BY lane_id) edge
    WHERE l.id = edge.lane_id
  ), remembered AS (
    INSERT INTO webhook_pruned_message (id, received_at)
    SELECT id, received_at FROM gone
    WHERE received_at >= naru_now() - make_interval(hours => $3)
    ON CONFLICT DO NOTHING
  )
  SELECT coalesce(sum(byte_size), 0) AS bytes FROM gone`;

/** How many of the oldest were removed; `BATCH` when there may be more. */
async function pruneBatch(sql: Sql, days: number, bytesMax: number): Promise<number> {
  const [feed] = await sql.query<{ pruned_position: string; stored_bytes: string }>(
    'SELECT pruned_position, stored_bytes FROM feed WHERE name = $1 AND key = $2 FOR UPDATE',
    [WEBHOOK_FEED, WEBHOOK_FEED_KEY],
  );
  if (feed === undefined) throw new Error('The webhook feed has no row');
  const from = feed.pruned_position;
  const excess = Math.max(0, Number(feed.stored_bytes) - bytesMax);
  const [edge] = await sql.query<{ position: string }>(FIND_EDGE, [from, days, excess]);
  const to = edge?.position ?? from;
  if (to === from) return 0;
  const [gone] = await sql.query<{ bytes: string }>(REMOVE, [from, to, REMEMBER_HOURS]);
  await sql.query(
    `UPDATE feed SET pruned_position = $3, stored_bytes = greatest(0, stored_bytes - $4)
     WHERE name = $1 AND key = $2`,
    [WEBHOOK_FEED, WEBHOOK_FEED_KEY, to, gone?.bytes ?? 0],
  );
  return Number(BigInt(to) - BigInt(from));
}
