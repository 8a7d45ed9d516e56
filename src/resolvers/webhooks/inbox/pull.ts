import { type Context, perContext } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { forgetAllowed, freshenPermissions, rememberAllowed } from '#resolvers/webhooks/access.ts';
import { NOW, READABLE } from '#resolvers/webhooks/access-sql.ts';
import { WEBHOOK_FEED_KEY } from '#resolvers/webhooks/feed.ts';
import type { GivenWebhookFilter, WebhookFilter } from '#resolvers/webhooks/filter.ts';
import { boundPayloadReads } from '#resolvers/webhooks/payload-reads.ts';
import { resolveFilter } from '#resolvers/webhooks/saved-filter.ts';
import { assertWithin, LEASE_SECONDS_MAX } from './input.ts';
import {
  ATTEMPTS_MAX,
  advanceFloors,
  decideInbox,
  type GivenFilter,
  givenFilter,
  IN_INBOX,
  noteChange,
} from './sql.ts';

export const PULL_LIMIT_MAX = 100;
export const PULL_BYTES_MAX = 32 * 2 ** 20;
export const WAIT_SECONDS_MAX = 20;
/** Leases of one user in one repository at once: a stuck repository fills up alone. */
export const IN_FLIGHT_MAX = 1_000;
const LOOK_MS = 1_000;
const POSITION_MAX = `${2n ** 63n - 1n}`;
const NOTHING: Pulled = { deliveries: [], hasMore: false };

export interface Delivery {
  readonly receipt: string;
  readonly messageId: string;
  readonly attempt: number;
  readonly leaseExpiresAt: Date;
}

export interface Pulled {
  readonly deliveries: readonly Delivery[];
  readonly hasMore: boolean;
}

export interface PullInput {
  readonly limit: number;
  readonly leaseSeconds: number;
  readonly waitSeconds: number;
  readonly filter: GivenWebhookFilter;
}

/** Pulls of one request wait at the same time: as many aliases would else hold it for as many waits. */
const firstPullMs = perContext(() => performance.now());

/**
 * Leases the oldest pending messages to the viewer: nobody else who pulls for this account gets them
 * until the lease ends. With nothing pending it waits up to `waitSeconds`. Messages come in the feed's
 * order, those whose lease ran out or that were handed back among them. Throws `InvalidInputError`, and
 * `UnauthenticatedError` when the token ends during the wait.
 */
export async function pullMessages(ctx: Context, input: PullInput): Promise<Pulled> {
  const { userId } = requireViewer(ctx);
  assertPull(input);
  forgetAllowed(ctx);
  const filter = await resolveFilter(ctx, input.filter, { field: 'input.filter' });
  const deadline = firstPullMs(ctx) + input.waitSeconds * 1_000;
  // Watched before the first look: what arrives while we look then ends the wait at once.
  const watch = input.waitSeconds > 0 ? await ctx.webhookFeed.watch(WEBHOOK_FEED_KEY) : null;
  try {
    for (;;) {
      // A token that has been revoked meanwhile gets nothing: this may be one of many fields that wait.
      await freshenPermissions(await ctx.refresh());
      const pulled = await boundPayloadReads(filter, () =>
        decideInbox(ctx.database, userId, (sql) => lease(sql, ctx, userId, { ...input, filter })),
      );
      const leftMs = deadline - performance.now();
      if (pulled.deliveries.length > 0 || watch === null || leftMs <= 0) return pulled;
      // At the latest each second, since leases end without any news.
      await watch.changed(Math.min(LOOK_MS, leftMs));
      if (ctx.isGone()) return NOTHING;
    }
  } finally {
    watch?.stop();
  }
}

function assertPull({ limit, leaseSeconds, waitSeconds }: PullInput): void {
  assertWithin('limit', limit, 1, PULL_LIMIT_MAX);
  assertWithin('leaseSeconds', leaseSeconds, 1, LEASE_SECONDS_MAX);
  assertWithin('waitSeconds', waitSeconds, 0, WAIT_SECONDS_MAX);
}

// Leases that ran out for the last time are dead before anything is chosen.
const BURY = `
  UPDATE webhook_delivery SET state = 'DEAD', updated_at = naru_now(),
    reason = coalesce(reason, 'Its lease ran out ' || attempt || ' times')
  WHERE user_id = $1 AND state = 'LEASED' AND due_at <= ${NOW} AND attempt >= $2
  RETURNING lane_id`;

/**
 * The first messages of lane `s` that were never handed out to the user. `OFFSET 0` keeps the planner
 * from joining: what it knows of a busy table is always old, and it chose to go through all of it.
 */
function freshOf(filter: string, limit: string): string {
  return `
    SELECT m.id, m.lane_id, m.lane_sequence, m.position, m.byte_size FROM webhook_message m
    WHERE m.lane_id = s.id AND m.lane_sequence > s.floor
      AND NOT EXISTS (
        SELECT 1 FROM webhook_delivery d
        WHERE d.user_id = $1 AND d.lane_id = m.lane_id AND d.sequence = m.lane_sequence OFFSET 0
      )
      AND ${filter}
    ORDER BY m.lane_sequence LIMIT ${limit}`;
}

// The oldest of all lanes lie in the lanes whose first fresh message is among the oldest, so `head`
// leaves out the rest before any lane is read further than its first: a user may have thousands. Of those
// `few` reads some messages each. What is older than the last of a lane that was cut there, and than the
// last of the firsts where `head` is full, is all there is up to `until`: mostly enough, and read on else.
const leaseMatching = ({ message: filter, lane }: GivenFilter) => `
  WITH ${READABLE}, own AS (
    SELECT d.lane_id, bool_or(d.due_at <= ${NOW}) AS has_due,
           count(*) FILTER (WHERE d.state = 'LEASED' AND d.due_at > ${NOW}) AS held
    FROM webhook_delivery d
    WHERE d.user_id = $1 AND d.state IN ('WAITING', 'LEASED') GROUP BY d.lane_id
  ), lane AS (
    SELECT s.* FROM (
      SELECT l.id, l.repository_id, s.path, l.last_sequence,
             greatest(coalesce(f.floor, 0), l.pruned_sequence) AS floor,
             $4 - coalesce(own.held, 0) AS room, coalesce(own.has_due, false) AS has_due
      FROM readable JOIN webhook_lane l ON l.id = readable.id
      JOIN webhook_source s ON s.id = l.source_id
      LEFT JOIN webhook_inbox_floor f ON f.user_id = $1 AND f.lane_id = l.id
      LEFT JOIN own ON own.lane_id = l.id
      WHERE ${IN_INBOX}
    ) s WHERE s.room > 0 AND ${lane}
  ), head AS (
    SELECT s.*, m.position AS first
    FROM lane s CROSS JOIN LATERAL (${freshOf(filter, '1')}) m
    WHERE s.last_sequence > s.floor
    ORDER BY m.position LIMIT $3 + 1
  ), few AS (
    SELECT m.*, s.room, m.nth = share.most AS is_cut
    FROM (
      SELECT least($3 + 1, 4 * ($3 + 1) / greatest(count(*), 1) + 4) AS most FROM head
    ) share, head s CROSS JOIN LATERAL (
      SELECT f.*, row_number() OVER (ORDER BY f.lane_sequence) AS nth
      FROM (${freshOf(filter, 'share.most')}) f
    ) m
  ), known AS (
    SELECT until, (SELECT count(*) FROM few WHERE position <= until AND nth <= room) > $3
      OR ((SELECT count(*) FROM head) <= $3 AND NOT EXISTS (SELECT FROM few WHERE is_cut)) AS is_enough
    FROM (
      SELECT least(
        (SELECT min(position) FROM few WHERE is_cut),
        (SELECT CASE WHEN count(*) > $3 THEN max(first) ELSE ${POSITION_MAX} END FROM head)
      ) AS until
    ) bound
  ), candidate AS (
    SELECT m.*, s.room
    FROM lane s CROSS JOIN LATERAL (
      SELECT m.id, m.lane_id, m.lane_sequence, m.position, m.byte_size, d.attempt
      FROM webhook_delivery d JOIN webhook_message m ON m.id = d.message_id
      WHERE d.user_id = $1 AND d.lane_id = s.id
        AND d.state IN ('WAITING', 'LEASED') AND d.due_at <= ${NOW}
        AND (d.state = 'WAITING' OR d.attempt < ${ATTEMPTS_MAX}) AND ${filter}
      ORDER BY d.sequence LIMIT $3 + 1
    ) m
    WHERE s.has_due
    UNION ALL
    SELECT few.id, few.lane_id, few.lane_sequence, few.position, few.byte_size, 0, few.room
    FROM known, few WHERE known.is_enough AND few.position <= known.until
    UNION ALL
    SELECT m.*, 0, s.room
    FROM known, head s CROSS JOIN LATERAL (${freshOf(filter, '$3 + 1')}) m
    WHERE NOT known.is_enough AND m.position <= (
      SELECT CASE WHEN count(*) > $3 THEN max(first) ELSE ${POSITION_MAX} END FROM head
    )
  ), fitting AS (
    SELECT *, row_number() OVER (PARTITION BY lane_id ORDER BY position) AS nth FROM candidate
  ), ordered AS (
    SELECT *, row_number() OVER (ORDER BY position) AS rank,
           sum(byte_size) OVER (ORDER BY position) AS bytes
    FROM fitting WHERE nth <= room
  ), chosen AS (
    SELECT * FROM ordered WHERE rank <= $3 AND (rank = 1 OR bytes <= $5)
  ), leased AS (
    INSERT INTO webhook_delivery AS d
      (user_id, message_id, lane_id, sequence, state, attempt, lease, due_at)
    SELECT $1, id, lane_id, lane_sequence, 'LEASED', attempt + 1, nextval('webhook_lease_seq'),
           ${NOW} + make_interval(secs => $2)
    FROM chosen
    ON CONFLICT (user_id, message_id) DO UPDATE SET
      state = 'LEASED', attempt = excluded.attempt, lease = excluded.lease,
      due_at = excluded.due_at, updated_at = ${NOW}
    RETURNING d.message_id, d.attempt, d.lease, d.due_at
  )
  SELECT leased.*, chosen.lane_id, (SELECT count(*) FROM ordered) > (SELECT count(*) FROM chosen) AS has_more
  FROM leased JOIN chosen ON chosen.id = leased.message_id ORDER BY chosen.position`;

/** Makes dead what ran out for the last time, which else a look at the clock does; answers how many. */
export async function buryLeases(sql: Sql, userId: string): Promise<number> {
  const buried = await sql.query<{ lane_id: string }>(BURY, [userId, ATTEMPTS_MAX], 'bury');
  await advanceFloors(
    sql,
    userId,
    buried.map(({ lane_id }) => lane_id),
  );
  return buried.length;
}

async function lease(
  sql: Sql,
  ctx: Context,
  userId: string,
  input: PullInput & { readonly filter: WebhookFilter },
): Promise<Pulled> {
  // Nothing is leased to a client that left while it waited, here or for its turn.
  if (ctx.isGone()) return NOTHING;
  const buried = await buryLeases(sql, userId);
  const { limit, leaseSeconds } = input;
  const filter = givenFilter(input.filter, 6);
  const rows = await sql.query<{
    message_id: string;
    lane_id: string;
    attempt: number;
    lease: string;
    due_at: Date;
    has_more: boolean;
  }>(
    leaseMatching(filter),
    [userId, leaseSeconds, limit, IN_FLIGHT_MAX, PULL_BYTES_MAX, ...filter.values],
    `lease-webhooks ${filter.shape}`,
  );
  if (buried + rows.length > 0) await noteChange(sql, userId);
  rememberAllowed(
    ctx,
    rows.map(({ lane_id }) => lane_id),
  );
  return {
    deliveries: rows.map((row) => ({
      receipt: ctx.receipts.encode({ userId, messageId: row.message_id, lease: BigInt(row.lease) }),
      messageId: row.message_id,
      attempt: row.attempt,
      leaseExpiresAt: row.due_at,
    })),
    hasMore: rows[0]?.has_more ?? false,
  };
}
