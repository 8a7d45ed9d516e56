import DataLoader from 'dataloader';
import { type Context, perContext } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { freshenPermissions } from '#resolvers/webhooks/access.ts';
import { READABLE } from '#resolvers/webhooks/access-sql.ts';
import type { GivenWebhookFilter, InboxState, WebhookFilter } from '#resolvers/webhooks/filter.ts';
import { boundPayloadReads } from '#resolvers/webhooks/payload-reads.ts';
import { resolveFilter } from '#resolvers/webhooks/saved-filter.ts';
import {
  ATTEMPTS_MAX,
  filterCondition,
  filterValues,
  findDividing,
  givenFilter,
  IN_INBOX,
  LANES,
  OLDEST_FRESH,
  STATE,
} from './sql.ts';

export const COUNT_MAX = 10_000;

export interface Inbox {
  readonly pending: number;
  readonly leased: number;
  readonly acknowledged: number;
  readonly dead: number;
  readonly discarded: number;
  readonly redelivered: number;
  readonly oldestPendingAt: Date | null;
  /** Some count is the least it can be: there are more than `COUNT_MAX`. */
  readonly isCapped: boolean;
}

/** Counts, and what was counted. */
export interface InboxView extends Inbox {
  readonly filter: WebhookFilter;
}

// What a filter lets through is counted by looking at it.
const COUNT = `
  WITH ${READABLE}, ${LANES}, known AS (
    SELECT ${STATE} AS state, d.attempt, m.received_at
    FROM lane
    JOIN webhook_delivery d ON d.user_id = $1 AND d.lane_id = lane.id
    JOIN webhook_message m ON m.id = d.message_id
    JOIN webhook_source s ON s.id = m.source_id
    WHERE ${filterCondition(3)} LIMIT ${6 * COUNT_MAX}
  ), fresh AS (
    SELECT m.received_at FROM lane
    JOIN webhook_message m ON m.lane_id = lane.id AND m.lane_sequence > lane.floor
    JOIN webhook_source s ON s.id = m.source_id
    WHERE NOT EXISTS (
      SELECT 1 FROM webhook_delivery d WHERE d.user_id = $1 AND d.message_id = m.id
    ) AND ${filterCondition(3)}
    ORDER BY m.position LIMIT ${COUNT_MAX + 1}
  ), settled AS (
    SELECT 1 FROM lane
    JOIN webhook_message m ON m.lane_id = lane.id AND m.lane_sequence <= lane.floor
    JOIN webhook_source s ON s.id = m.source_id
    WHERE NOT EXISTS (
      SELECT 1 FROM webhook_delivery d WHERE d.user_id = $1 AND d.message_id = m.id
    ) AND ${filterCondition(3)}
    LIMIT ${COUNT_MAX + 1}
  )
  SELECT
    (SELECT count(*) FROM fresh)::int + (SELECT count(*) FROM known WHERE state = 'PENDING')::int AS pending,
    (SELECT count(*) FROM known WHERE state = 'LEASED')::int AS leased,
    (SELECT count(*) FROM settled)::int
      + (SELECT count(*) FROM known WHERE state = 'ACKNOWLEDGED')::int AS acknowledged,
    (SELECT count(*) FROM known WHERE state = 'DEAD')::int AS dead,
    (SELECT count(*) FROM known WHERE state = 'DISCARDED')::int AS discarded,
    (SELECT count(*) FROM known
     WHERE attempt > 1 AND state NOT IN ('ACKNOWLEDGED', 'DISCARDED'))::int AS redelivered,
    least(
      (SELECT min(received_at) FROM fresh),
      (SELECT min(received_at) FROM known WHERE state = 'PENDING')
    ) AS "oldestPendingAt"`;

// Numbers of a lane have no gap, so what has no delivery is counted by subtraction and not by reading it: an
// inbox of a million messages costs what its lanes and deliveries do.
const countWhole = (lanes: string) => `
  WITH ${READABLE}, lane AS (
    SELECT s.* FROM (
      SELECT l.id, l.repository_id, l.last_sequence, l.pruned_sequence, source.path,
        greatest(coalesce(f.floor, 0), l.pruned_sequence) AS floor
      FROM readable JOIN webhook_lane l ON l.id = readable.id
      JOIN webhook_source source ON source.id = l.source_id
      LEFT JOIN webhook_inbox_floor f ON f.user_id = $1 AND f.lane_id = l.id
      WHERE ${IN_INBOX}
    ) s WHERE ${lanes}
  ), known AS (
    SELECT lane.id, d.sequence > lane.floor AS is_above, d.attempt, m.received_at, ${STATE} AS state
    FROM lane
    JOIN webhook_delivery d ON d.user_id = $1 AND d.lane_id = lane.id
      AND d.sequence > lane.pruned_sequence
    JOIN webhook_message m ON m.id = d.message_id
  ), fresh AS (
    SELECT lane.id, lane.last_sequence - lane.floor - coalesce(above.count, 0) AS count
    FROM lane LEFT JOIN (
      SELECT id, count(*) AS count FROM known WHERE is_above GROUP BY id
    ) above ON above.id = lane.id
  ), counted AS (
    SELECT count(*) FILTER (WHERE state = 'PENDING') AS pending,
      count(*) FILTER (WHERE state = 'LEASED')::int AS leased,
      count(*) FILTER (WHERE state = 'ACKNOWLEDGED') - count(*) FILTER (WHERE NOT is_above)
        AS acknowledged,
      count(*) FILTER (WHERE state = 'DEAD')::int AS dead,
      count(*) FILTER (WHERE state = 'DISCARDED')::int AS discarded,
      count(*) FILTER (
        WHERE attempt > 1 AND state NOT IN ('ACKNOWLEDGED', 'DISCARDED'))::int AS redelivered,
      min(received_at) FILTER (WHERE state = 'PENDING') AS oldest
    FROM known
  )
  SELECT leased, dead, discarded, redelivered,
    least(${COUNT_MAX + 1}, pending + coalesce((SELECT sum(count) FROM fresh), 0))::int AS pending,
    least(${COUNT_MAX + 1},
      acknowledged + coalesce((SELECT sum(floor - pruned_sequence) FROM lane), 0))::int AS acknowledged,
    least(oldest, (
      SELECT min(first.received_at)
      FROM fresh JOIN lane ON lane.id = fresh.id CROSS JOIN LATERAL (${OLDEST_FRESH}) first
      WHERE fresh.count > 0
    )) AS "oldestPendingAt"
  FROM counted`;

/** How the viewer stands with the messages they may see now. Throws what `resolveFilter` does. */
export async function readInbox(ctx: Context, given: GivenWebhookFilter): Promise<InboxView> {
  const filter = await resolveFilter(ctx, given);
  return { ...(await countInbox(ctx, filter)), filter };
}

/**
 * How the viewer stands with the messages they may see now, for a filter that is resolved. Each count
 * stops at 10,000.
 */
export async function countInbox(ctx: Context, filter: WebhookFilter): Promise<Inbox> {
  const { userId } = requireViewer(ctx);
  await freshenPermissions(ctx);
  const counts = await readCounts(ctx, userId, filter);
  if (counts === undefined) throw new Error('The inbox was not counted');
  const { oldestPendingAt, ...numbers } = counts;
  const capped = (count: number) => Math.min(count, COUNT_MAX);
  return {
    pending: capped(numbers.pending),
    leased: capped(numbers.leased),
    acknowledged: capped(numbers.acknowledged),
    dead: capped(numbers.dead),
    discarded: capped(numbers.discarded),
    redelivered: capped(numbers.redelivered),
    oldestPendingAt,
    isCapped: Object.values(numbers).some((count) => count > COUNT_MAX),
  };
}

type Counts = Omit<Inbox, 'isCapped'>;

async function readCounts(
  { database }: Context,
  userId: string,
  filter: WebhookFilter,
): Promise<Counts | undefined> {
  if (findDividing(filter) !== null) {
    const values = [userId, ATTEMPTS_MAX, ...filterValues(filter)];
    return (
      await boundPayloadReads(filter, () => database.query<Counts>(COUNT, values, 'count-inbox'))
    )[0];
  }
  const given = givenFilter(filter, 3);
  const values = [userId, ATTEMPTS_MAX, ...given.values];
  const name = `count-whole-inbox ${given.shape}`;
  return (await database.query<Counts>(countWhole(given.lane), values, name))[0];
}

export interface MessageStanding {
  readonly state: InboxState;
  readonly attempts: number;
  readonly reason: string | null;
}

const STANDINGS = `
  WITH ${READABLE}, ${LANES}
  SELECT m.id, ${STATE} AS state, coalesce(d.attempt, 0) AS attempts, d.reason
  FROM webhook_message m
  JOIN lane ON lane.id = m.lane_id
  LEFT JOIN webhook_delivery d ON d.user_id = $1 AND d.message_id = m.id
  WHERE m.id = ANY($3)`;

/** How messages stand in the viewer's own inbox; null for what is in no inbox. */
export const standingLoader = perContext(
  (ctx) =>
    new DataLoader<string, MessageStanding | null>(async (ids) => {
      const rows = await ctx.database.query<MessageStanding & { id: string }>(
        STANDINGS,
        [requireViewer(ctx).userId, ATTEMPTS_MAX, ids],
        'read-standings',
      );
      const standings = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => standings.get(id) ?? null);
    }),
);
