// Pieces of SQL that pull, settlement, replay and counts share. `$1` is always the user.
import type { Sql } from '#database/client.ts';
import type { WebhookFilter } from '#resolvers/webhooks/filter.ts';

/** Handed out this often without an acknowledgement, a message is a dead letter. */
export const ATTEMPTS_MAX = 5;

/** Once a statement: as a bare call PostgreSQL would make it again for every row. */
export const NOW = '(SELECT naru_now())';

/** Sources that are granted now, to the user or to a role they have now: asked where hand-out happens. */
export const GRANTED = `
  granted AS (
    SELECT DISTINCT g.source_id FROM webhook_source_grant g
    WHERE g.user_id = $1 OR g.role = ANY (SELECT unnest(u.roles) FROM users u WHERE u.id = $1)
  )`;

/** The lanes that the user may read, each with the floor up to which all is settled or gone. */
export const LANES = `
  lane AS (
    SELECT l.id, l.source_id, greatest(coalesce(f.floor, 0), l.pruned_sequence) AS floor
    FROM webhook_lane l
    JOIN granted g ON g.source_id = l.source_id
    LEFT JOIN webhook_inbox_floor f ON f.user_id = $1 AND f.lane_id = l.id
  )`;

/** How message `m` of `lane` stands, given its delivery `d` if any; `$2` is `ATTEMPTS_MAX`. */
export const STATE = `
  CASE
    WHEN d.state IS NULL THEN CASE WHEN m.lane_sequence <= lane.floor THEN 'ACKNOWLEDGED' ELSE 'PENDING' END
    WHEN d.state = 'WAITING' THEN 'PENDING'
    WHEN d.state = 'LEASED' AND d.due_at > ${NOW} THEN 'LEASED'
    WHEN d.state = 'LEASED' AND d.attempt >= $2 THEN 'DEAD'
    WHEN d.state = 'LEASED' THEN 'PENDING'
    ELSE d.state::text
  END`;

/** A condition on message `m` and its source `s`, of which only the path counts; `$first` and the six after it are `filterValues`. */
export function filterCondition(first: number): string {
  const [sources, repositories, events, actions, branches, from, to] = Array.from(
    { length: 7 },
    (_, index) => `$${first + index}`,
  );
  return `
    (${sources}::text[] IS NULL OR s.path = ANY(${sources}))
    AND (${repositories}::uuid[] IS NULL OR m.repository_id = ANY(${repositories}))
    AND (${events}::text[] IS NULL OR m.event_name = ANY(${events}))
    AND (${actions}::text[] IS NULL OR m.action = ANY(${actions}))
    AND (${branches}::text[] IS NULL OR m.branch = ANY(${branches}))
    AND (${from}::timestamptz IS NULL OR m.received_at >= ${from})
    AND (${to}::timestamptz IS NULL OR m.received_at < ${to})`;
}

export function filterValues(filter: WebhookFilter): unknown[] {
  const { sources, repositoryIds, eventNames, actions, branches, receivedFrom, receivedTo } =
    filter;
  return [sources, repositoryIds, eventNames, actions, branches, receivedFrom, receivedTo].map(
    (value) => value ?? null,
  );
}

/** One pull or settlement of a user decides at a time, on any node; released with the transaction. */
export async function lockInbox(sql: Sql, userId: string): Promise<void> {
  await sql.query(
    `SELECT pg_advisory_xact_lock(hashtextextended('webhook-inbox ' || $1, 0))`,
    [userId],
    'lock-inbox',
  );
}

const RUN_MAX = 1_000;

// A run of settled messages right above the floor: their numbers and their ranks differ by the floor.
const ADVANCE = `
  WITH lane AS (
    SELECT l.id, greatest(coalesce(f.floor, 0), l.pruned_sequence) AS floor
    FROM webhook_lane l
    LEFT JOIN webhook_inbox_floor f ON f.user_id = $1 AND f.lane_id = l.id
    WHERE l.id = ANY($2)
  ), run AS (
    SELECT lane.id, lane.floor, settled.sequence,
           settled.sequence - row_number() OVER (PARTITION BY lane.id ORDER BY settled.sequence) AS island
    FROM lane CROSS JOIN LATERAL (
      SELECT d.sequence FROM webhook_delivery d
      WHERE d.user_id = $1 AND d.lane_id = lane.id AND d.sequence > lane.floor
        AND d.state IN ('ACKNOWLEDGED', 'DEAD')
      ORDER BY d.sequence LIMIT ${RUN_MAX}
    ) settled
  )
  INSERT INTO webhook_inbox_floor (user_id, lane_id, floor)
  SELECT $1, id, max(sequence) FROM run WHERE island = floor GROUP BY id
  ON CONFLICT (user_id, lane_id) DO UPDATE SET floor = excluded.floor
  RETURNING lane_id`;

const FORGET = `
  DELETE FROM webhook_delivery d USING webhook_inbox_floor f
  WHERE f.user_id = $1 AND f.lane_id = ANY($2)
    AND d.user_id = $1 AND d.lane_id = f.lane_id AND d.sequence <= f.floor
    AND d.state = 'ACKNOWLEDGED'`;

/**
 * Raises the floors of the lanes over what is settled without a gap, and forgets the rows that the
 * floor now speaks for. Dead letters stay as rows below it.
 */
export async function advanceFloors(
  sql: Sql,
  userId: string,
  laneIds: readonly string[],
): Promise<void> {
  if (laneIds.length === 0) return;
  let lanes: readonly string[] = [...new Set(laneIds)];
  for (let round = 0; lanes.length > 0 && round < 100; round += 1) {
    const advanced = await sql.query<{ lane_id: string }>(
      ADVANCE,
      [userId, lanes],
      'advance-floors',
    );
    lanes = advanced.map(({ lane_id }) => lane_id);
  }
  await sql.query(FORGET, [userId, [...new Set(laneIds)]], 'forget-settled');
}
