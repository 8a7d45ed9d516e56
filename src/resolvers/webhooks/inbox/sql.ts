// Pieces of SQL that pull, settlement, replay and counts share. `$1` is always the user.
import type { Database, Sql } from '#database/client.ts';
import { createTurns, type Turns } from '#lib/turns.ts';
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

const CONDITIONS = [
  ['sources', 'text[]', (value: string) => `s.path = ANY(${value})`],
  ['repositoryIds', 'uuid[]', (value: string) => `m.repository_id = ANY(${value})`],
  ['eventNames', 'text[]', (value: string) => `m.event_name = ANY(${value})`],
  ['actions', 'text[]', (value: string) => `m.action = ANY(${value})`],
  ['branches', 'text[]', (value: string) => `m.branch = ANY(${value})`],
  ['receivedFrom', 'timestamptz', (value: string) => `m.received_at >= ${value}`],
  ['receivedTo', 'timestamptz', (value: string) => `m.received_at < ${value}`],
] as const;

/** A condition on message `m` and its source `s`; `$first` and the six after it are `filterValues`. */
export function filterCondition(first: number): string {
  return CONDITIONS.map(([, type, compare], index) => {
    const value = `$${first + index}::${type}`;
    return `(${value} IS NULL OR ${compare(value)})`;
  }).join(' AND ');
}

export function filterValues(filter: WebhookFilter): unknown[] {
  return CONDITIONS.map(([name]) => filter[name] ?? null);
}

/** A filter as only the conditions that it gives, with their values from `$first` on. */
export interface GivenFilter {
  readonly message: string;
  /** What of it can be said of a whole lane `s`. */
  readonly lane: string;
  readonly values: readonly unknown[];
  /** Equal for filters with the same conditions: part of a prepared statement's name. */
  readonly shape: string;
}

/**
 * For the hot path: a condition that may ask for nothing makes PostgreSQL, once it has planned for all
 * values together, expect so few rows that it sorts whole lanes to find their first.
 */
export function givenFilter(filter: WebhookFilter, first: number): GivenFilter {
  const given = CONDITIONS.filter(([name]) => filter[name] != null);
  const message = given.map(([, type, compare], index) => compare(`$${first + index}::${type}`));
  const isOfLane = (index: number) =>
    given[index]?.[0] === 'sources' || given[index]?.[0] === 'repositoryIds';
  const lane = message.filter((_condition, index) => isOfLane(index));
  return {
    message: ['true', ...message].join(' AND '),
    lane: ['true', ...lane].join(' AND ').replaceAll('m.repository_id', 's.repository_id'),
    values: given.map(([name]) => filter[name]),
    shape: given.map(([name]) => name).join(),
  };
}

const turnsOf = new WeakMap<Database, Turns>();

/**
 * One pull or settlement of a user decides at a time: on this node they take turns before they take a
 * connection, so that a hundred workers of one account hold one of them and not the pool; among nodes
 * a lock orders them, released with the transaction.
 */
export function decideInbox<Result>(
  database: Database,
  userId: string,
  work: (sql: Sql) => Promise<Result>,
): Promise<Result> {
  const turns = turnsOf.get(database) ?? createTurns();
  turnsOf.set(database, turns);
  return turns(userId, () =>
    database.transaction(async (sql) => {
      await sql.query(
        `SELECT pg_advisory_xact_lock(hashtextextended('webhook-inbox ' || $1, 0))`,
        [userId],
        'lock-inbox',
      );
      return work(sql);
    }),
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
