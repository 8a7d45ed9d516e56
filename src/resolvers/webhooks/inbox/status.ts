import DataLoader from 'dataloader';
import { type Context, perContext } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { assertFilter, type InboxState, type WebhookFilter } from '#resolvers/webhooks/filter.ts';
import { ATTEMPTS_MAX, filterCondition, filterValues, GRANTED, LANES, STATE } from './sql.ts';

export const COUNT_MAX = 10_000;

export interface Inbox {
  readonly pending: number;
  readonly leased: number;
  readonly acknowledged: number;
  readonly dead: number;
  readonly redelivered: number;
  readonly oldestPendingAt: Date | null;
  /** Some count is the least it can be: there are more than `COUNT_MAX`. */
  readonly isCapped: boolean;
}

const COUNT = `
  WITH ${GRANTED}, ${LANES}, known AS (
    SELECT ${STATE} AS state, d.attempt, m.received_at
    FROM lane
    JOIN webhook_delivery d ON d.user_id = $1 AND d.lane_id = lane.id
    JOIN webhook_message m ON m.id = d.message_id
    JOIN webhook_source s ON s.id = m.source_id
    WHERE ${filterCondition(3)} LIMIT ${5 * COUNT_MAX}
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
    (SELECT count(*) FROM known WHERE attempt > 1 AND state <> 'ACKNOWLEDGED')::int AS redelivered,
    least(
      (SELECT min(received_at) FROM fresh),
      (SELECT min(received_at) FROM known WHERE state = 'PENDING')
    ) AS "oldestPendingAt"`;

/** How the viewer stands with the messages they may see now. Each count stops at 10,000. */
export async function readInbox(ctx: Context, filter: WebhookFilter): Promise<Inbox> {
  const { userId } = requireViewer(ctx);
  assertFilter(filter);
  const [counts] = await ctx.database.query<Omit<Inbox, 'isCapped'>>(
    COUNT,
    [userId, ATTEMPTS_MAX, ...filterValues(filter)],
    'count-inbox',
  );
  if (counts === undefined) throw new Error('The inbox was not counted');
  const { pending, leased, acknowledged, dead, redelivered, oldestPendingAt } = counts;
  const all = [pending, leased, acknowledged, dead, redelivered];
  const capped = (count: number) => Math.min(count, COUNT_MAX);
  return {
    pending: capped(pending),
    leased: capped(leased),
    acknowledged: capped(acknowledged),
    dead: capped(dead),
    redelivered: capped(redelivered),
    oldestPendingAt,
    isCapped: all.some((count) => count > COUNT_MAX),
  };
}

export interface MessageStanding {
  readonly state: InboxState;
  readonly attempts: number;
  readonly reason: string | null;
}

const STANDINGS = `
  WITH ${GRANTED}, ${LANES}
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

const POSITIONS = `
  WITH ${GRANTED}, ${LANES}
  SELECT m.position
  FROM webhook_message m
  JOIN lane ON lane.id = m.lane_id
  JOIN webhook_source s ON s.id = m.source_id
  LEFT JOIN webhook_delivery d ON d.user_id = $1 AND d.message_id = m.id
  WHERE m.position > $10 AND m.position < $11 AND ${STATE} = ANY($12) AND ${filterCondition(3)}`;

/** Places of the messages in given states, for a page: `limit` of them from the end asked for. */
export async function findPositionsInStates(
  ctx: Context,
  input: {
    readonly filter: WebhookFilter;
    readonly states: readonly InboxState[];
    readonly after: bigint;
    readonly before: bigint;
    readonly direction: 'forward' | 'backward';
    readonly limit: number;
  },
): Promise<bigint[]> {
  const { filter, states, after, before, direction, limit } = input;
  const order = direction === 'forward' ? 'ASC' : 'DESC';
  const rows = await ctx.database.query<{ position: string }>(
    `${POSITIONS} ORDER BY m.position ${order} LIMIT $13`,
    [
      requireViewer(ctx).userId,
      ATTEMPTS_MAX,
      ...filterValues(filter),
      after.toString(),
      before.toString(),
      states,
      limit,
    ],
  );
  return rows.map(({ position }) => BigInt(position));
}
