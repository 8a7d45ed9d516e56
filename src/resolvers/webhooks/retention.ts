import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { removeLeftoverBodies } from './claimed-body.ts';
import { WEBHOOK_FEED, WEBHOOK_FEED_KEY } from './feed.ts';

const BATCH = 1_000n;
const SWEEP_MAX = 5_000;
/** A redelivery is recognised this long, even if the message itself had to go. */
const REMEMBER_HOURS = 72;

/**
 * Removes the oldest messages, by age and by the bytes of all bodies together, and moves the feed's
 * edge: cursors before it have expired, and say so. Settled or not: an inbox holds nothing up.
 */
export async function pruneWebhooks(app: Services): Promise<void> {
  const { webhookRetainDays, webhookRetainBytes } = app.config;
  const upTo = await findEdge(app.database, webhookRetainDays, webhookRetainBytes);
  let pruned = await app.database.transaction((sql) => pruneBatch(sql, upTo));
  while (pruned < upTo) pruned = await app.database.transaction((sql) => pruneBatch(sql, upTo));
  let swept = await sweepDeliveries(app.database);
  while (swept === SWEEP_MAX) swept = await sweepDeliveries(app.database);
  await app.database.query(
    `DELETE FROM webhook_pruned_message WHERE received_at < naru_now() - make_interval(hours => $1)`,
    [REMEMBER_HOURS],
  );
  await removeLeftoverBodies(app.database);
}

/** The last position to remove. */
async function findEdge(sql: Sql, days: number, bytes: number): Promise<bigint> {
  const [edge] = await sql.query<{ position: string }>(
    `SELECT greatest(f.pruned_position, by_age.position, by_bytes.position) AS position
     FROM feed f, LATERAL (
       SELECT coalesce(min(m.position) - 1, f.last_position) AS position FROM webhook_message m
       WHERE m.received_at >= naru_now() - make_interval(days => $3)
     ) by_age, LATERAL (
       SELECT coalesce(max(position), 0) AS position FROM (
         SELECT position, sum(byte_size) OVER (ORDER BY position DESC) AS bytes FROM webhook_message
       ) m WHERE m.bytes > $4
     ) by_bytes
     WHERE f.name = $1 AND f.key = $2`,
    [WEBHOOK_FEED, WEBHOOK_FEED_KEY, days, bytes],
  );
  return BigInt(edge?.position ?? 0);
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

/** Removes the next batch up to `upTo`; answers with the feed's new edge. */
async function pruneBatch(sql: Sql, upTo: bigint): Promise<bigint> {
  const [feed] = await sql.query<{ pruned_position: string }>(
    'SELECT pruned_position FROM feed WHERE name = $1 AND key = $2 FOR UPDATE',
    [WEBHOOK_FEED, WEBHOOK_FEED_KEY],
  );
  const from = BigInt(feed?.pruned_position ?? 0);
  const to = from + BATCH < upTo ? from + BATCH : upTo;
  if (to <= from) return from;
  await sql.query(
    `WITH gone AS (
       DELETE FROM webhook_message WHERE position > $1 AND position <= $2
       RETURNING id, lane_id, lane_sequence, received_at
     ), edges AS (
       UPDATE webhook_lane l SET pruned_sequence = edge.sequence
       FROM (SELECT lane_id, max(lane_sequence) AS sequence FROM gone GROUP BY lane_id) edge
       WHERE l.id = edge.lane_id
     )
     INSERT INTO webhook_pruned_message (id, received_at)
     SELECT id, received_at FROM gone
     WHERE received_at >= naru_now() - make_interval(hours => $3)
     ON CONFLICT DO NOTHING`,
    [from.toString(), to.toString(), REMEMBER_HOURS],
  );
  await sql.query('UPDATE feed SET pruned_position = $3 WHERE name = $1 AND key = $2', [
    WEBHOOK_FEED,
    WEBHOOK_FEED_KEY,
    to.toString(),
  ]);
  return to;
}
