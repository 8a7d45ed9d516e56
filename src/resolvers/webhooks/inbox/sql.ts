// Pieces of SQL that pull, settlement, replay and counts share. `$1` is always the user.
import type { Database, Sql } from '#database/client.ts';
import { createTurns, type Turns } from '#lib/turns.ts';
import { NOW } from '#resolvers/webhooks/access-sql.ts';
import type { WebhookFilter } from '#resolvers/webhooks/filter.ts';
import { keysOfConditions } from '#resolvers/webhooks/payload-condition.ts';

/** Handed out this often without an acknowledgement, a message is a dead letter. */
export const ATTEMPTS_MAX = 5;

/** Of lane `l`: what its user does not watch is readable and yet in no inbox. */
export const IN_INBOX = `
  NOT EXISTS (
    SELECT FROM webhook_repository_watch w
    WHERE w.user_id = $1 AND w.repository_id = l.repository_id AND NOT w.is_watched
  )`;

/** The lanes of the user's inbox, each with the floor up to which all is settled or gone. After `READABLE`. */
export const LANES = `
  lane AS (
    SELECT l.id, l.source_id, greatest(coalesce(f.floor, 0), l.pruned_sequence) AS floor
    FROM readable JOIN webhook_lane l ON l.id = readable.id
    LEFT JOIN webhook_inbox_floor f ON f.user_id = $1 AND f.lane_id = l.id
    WHERE ${IN_INBOX}
  )`;

/** When the oldest message of `lane` arrived that was never handed out to the user, in one look. */
export const OLDEST_FRESH = `
  SELECT m.received_at FROM webhook_message m
  WHERE m.lane_id = lane.id AND m.lane_sequence > lane.floor
    AND NOT EXISTS (
      SELECT 1 FROM webhook_delivery d
      WHERE d.user_id = $1 AND d.lane_id = m.lane_id AND d.sequence = m.lane_sequence OFFSET 0
    )
  ORDER BY m.lane_sequence LIMIT 1`;

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

interface Condition {
  readonly name: keyof WebhookFilter;
  readonly type: string;
  readonly compare: (value: string) => string;
  /** Where it is not the filter's own. */
  readonly read?: (filter: WebhookFilter) => unknown;
  /** It says something of a whole lane. */
  readonly isOfLane?: boolean;
}

const CONDITIONS: readonly Condition[] = [
  { name: 'sources', type: 'text[]', compare: (value) => `s.path = ANY(${value})`, isOfLane: true },
  {
    name: 'repositoryIds',
    type: 'uuid[]',
    compare: (value) => `m.repository_id = ANY(${value})`,
    isOfLane: true,
  },
  { name: 'eventNames', type: 'text[]', compare: (value) => `m.event_name = ANY(${value})` },
  { name: 'actions', type: 'text[]', compare: (value) => `m.action = ANY(${value})` },
  { name: 'branches', type: 'text[]', compare: (value) => `m.branch = ANY(${value})` },
  { name: 'senders', type: 'text[]', compare: (value) => `m.sender = ANY(${value})` },
  {
    name: 'payload',
    type: 'bigint[]',
    // As a value and not as EXISTS, which may become a join over all bodies.
    compare: (value) =>
      `(SELECT b.payload_keys @> ${value} FROM webhook_body b WHERE b.message_id = m.id)`,
    read: ({ payload }) => (payload?.length ? keysOfConditions(payload).map(String) : null),
  },
  { name: 'receivedFrom', type: 'timestamptz', compare: (value) => `m.received_at >= ${value}` },
  { name: 'receivedTo', type: 'timestamptz', compare: (value) => `m.received_at < ${value}` },
];

function readValue(filter: WebhookFilter, { name, read }: Condition): unknown {
  return (read === undefined ? filter[name] : read(filter)) ?? null;
}

/** A condition on message `m` and its source `s`; `$first` and those after it are `filterValues`, the last. */
export function filterCondition(first: number): string {
  return CONDITIONS.map(({ type, compare }, index) => {
    const value = `$${first + index}::${type}`;
    return `(${value} IS NULL OR ${compare(value)})`;
  }).join(' AND ');
}

export function filterValues(filter: WebhookFilter): unknown[] {
  return CONDITIONS.map((condition) => readValue(filter, condition));
}

/** The first condition given that tells messages of one lane apart; null where lanes are counted whole. */
export function findDividing(filter: WebhookFilter): string | null {
  const isDividing = (condition: Condition) =>
    !condition.isOfLane && readValue(filter, condition) !== null;
  return CONDITIONS.find(isDividing)?.name ?? null;
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
  const given = CONDITIONS.filter((condition) => readValue(filter, condition) !== null);
  const message = given.map(({ type, compare }, index) => compare(`$${first + index}::${type}`));
  const lane = message.filter((_condition, index) => given[index]?.isOfLane);
  return {
    message: ['true', ...message].join(' AND '),
    lane: ['true', ...lane].join(' AND ').replaceAll('m.repository_id', 's.repository_id'),
    values: given.map((condition) => readValue(filter, condition)),
    // Short: PostgreSQL tells names of statements apart by their first 63 characters.
    shape: given.map((condition) => CONDITIONS.indexOf(condition)).join(''),
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

/**
 * Says that the user's inbox is another than before, in the transaction that makes it so: how those who
 * follow its counts, on whatever node, know that they are to count again (`inbox-watch.ts`).
 */
export async function noteChange(sql: Sql, userId: string): Promise<void> {
  await sql.query(
    `INSERT INTO webhook_inbox AS known (user_id, version) VALUES ($1, 1)
     ON CONFLICT (user_id) DO UPDATE SET version = known.version + 1`,
    [userId],
    'note-inbox-change',
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
        AND d.state IN ('ACKNOWLEDGED', 'DEAD', 'DISCARDED')
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
 * floor now speaks for. Dead and discarded letters stay as rows below it.
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
