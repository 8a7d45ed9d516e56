import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { forgetAllowed } from '#resolvers/webhooks/access.ts';
import { NOW, SETTLEABLE } from '#resolvers/webhooks/access-sql.ts';
import { assertCount, assertReason, assertWithin, LEASE_SECONDS_MAX } from './input.ts';
import type { Delivery } from './pull.ts';
import type { Lease } from './receipt.ts';
import { ATTEMPTS_MAX, advanceFloors, decideInbox, noteChange } from './sql.ts';

/** Why one receipt or id of a call did nothing. The others of the call are not affected. */
export type RefusalReason =
  | 'FORGED'
  | 'FOREIGN'
  | 'STALE'
  | 'EXPIRED'
  | 'ALREADY_ACKNOWLEDGED'
  | 'DEAD'
  | 'DISCARDED'
  | 'NOT_DEAD'
  | 'NOT_FOUND';

export interface Refusal {
  readonly receipt: string | null;
  readonly messageId: string | null;
  readonly reason: RefusalReason;
}

export interface Settled {
  readonly messageIds: readonly string[];
  readonly refused: readonly Refusal[];
}

/** A lease that counts at this moment, of a message that the user may still see, or may for all we know. */
const HELD = `
  d.user_id = $1 AND d.message_id = held.message_id AND d.lease = held.lease
  AND d.state = 'LEASED' AND d.due_at > ${NOW}
  AND m.id = d.message_id AND m.lane_id IN (SELECT id FROM settleable)`;

const ACKNOWLEDGE = `
  WITH ${SETTLEABLE}
  UPDATE webhook_delivery d SET state = 'ACKNOWLEDGED', updated_at = naru_now()
  FROM unnest($2::uuid[], $3::bigint[]) AS held(message_id, lease), webhook_message m
  WHERE ${HELD} RETURNING d.message_id, d.lane_id, held.lease AS held`;

/** Settles what the receipts hold, each by itself: done for good, or refused with the reason. */
export async function ackReceipts(ctx: Context, receipts: readonly string[]): Promise<Settled> {
  return settleReceipts(ctx, receipts, (sql, userId, leases) =>
    sql.query(ACKNOWLEDGE, [userId, ...columns(leases)], 'acknowledge-webhooks'),
  );
}

const HAND_BACK = `
  WITH ${SETTLEABLE}
  UPDATE webhook_delivery d SET updated_at = naru_now(),
    state = CASE WHEN d.attempt >= $5 THEN 'DEAD' ELSE 'WAITING' END::delivery_state,
    due_at = naru_now() + make_interval(secs => $4), reason = coalesce($6, d.reason)
  FROM unnest($2::uuid[], $3::bigint[]) AS held(message_id, lease), webhook_message m
  WHERE ${HELD} RETURNING d.message_id, d.lane_id, held.lease AS held`;

/**
 * Hands messages back before their leases end: pending again after `delaySeconds`, or dead where it
 * was the last attempt. `reason` is kept for whoever looks at the dead letter.
 */
export async function nackReceipts(
  ctx: Context,
  input: {
    readonly receipts: readonly string[];
    readonly delaySeconds: number;
    readonly reason: string | null;
  },
): Promise<Settled> {
  const { receipts, delaySeconds, reason } = input;
  assertWithin('delaySeconds', delaySeconds, 0, LEASE_SECONDS_MAX);
  if (reason !== null) assertReason(reason);
  return settleReceipts(ctx, receipts, (sql, userId, leases) =>
    sql.query(
      HAND_BACK,
      [userId, ...columns(leases), delaySeconds, ATTEMPTS_MAX, reason],
      'hand-back-webhooks',
    ),
  );
}

const EXTEND = `
  WITH ${SETTLEABLE}
  UPDATE webhook_delivery d SET lease = nextval('webhook_lease_seq'), updated_at = naru_now(),
    due_at = naru_now() + make_interval(secs => $4)
  FROM unnest($2::uuid[], $3::bigint[]) AS held(message_id, lease), webhook_message m
  WHERE ${HELD} RETURNING d.message_id, d.lane_id, held.lease AS held, d.lease, d.attempt, d.due_at`;

export interface Extended {
  readonly deliveries: readonly Delivery[];
  readonly refused: readonly Refusal[];
}

/** Holds messages for `leaseSeconds` from now. The old receipts are stale: use the new ones. */
export async function extendLeases(
  ctx: Context,
  input: { readonly receipts: readonly string[]; readonly leaseSeconds: number },
): Promise<Extended> {
  const { userId } = requireViewer(ctx);
  const { receipts, leaseSeconds } = input;
  assertWithin('leaseSeconds', leaseSeconds, 1, LEASE_SECONDS_MAX);
  forgetAllowed(ctx);
  const deliveries: Delivery[] = [];
  const { refused } = await settleReceipts(ctx, receipts, async (sql, _userId, leases) => {
    const rows = await sql.query<ReleasedRow & { lease: string; attempt: number; due_at: Date }>(
      EXTEND,
      [userId, ...columns(leases), leaseSeconds],
      'extend-webhooks',
    );
    for (const row of rows) {
      deliveries.push({
        receipt: ctx.receipts.encode({
          userId,
          messageId: row.message_id,
          lease: BigInt(row.lease),
        }),
        messageId: row.message_id,
        attempt: row.attempt,
        leaseExpiresAt: row.due_at,
      });
    }
    return rows;
  });
  return { deliveries, refused };
}

const ACKNOWLEDGE_IDS = `
  WITH ${SETTLEABLE}
  INSERT INTO webhook_delivery AS d
    (user_id, message_id, lane_id, sequence, state, attempt, lease, due_at)
  SELECT $1, m.id, m.lane_id, m.lane_sequence, 'ACKNOWLEDGED', 0, 0, naru_now()
  FROM webhook_message m
  WHERE m.id = ANY($2) AND m.lane_id IS NOT NULL AND m.lane_id IN (SELECT id FROM settleable)
  ON CONFLICT (user_id, message_id) DO UPDATE SET state = 'ACKNOWLEDGED', updated_at = naru_now()
  RETURNING d.message_id, d.lane_id`;

/** Settles messages whether leased or not: what a person does who has read them. Twice is once. */
export async function ackMessages(ctx: Context, messageIds: readonly string[]): Promise<Settled> {
  const { userId } = requireViewer(ctx);
  assertCount('messageIds', messageIds);
  const rows = await decideInbox(ctx.database, userId, async (sql) => {
    const settled = await sql.query<SettledRow>(ACKNOWLEDGE_IDS, [userId, messageIds], 'ack-by-id');
    await noteSettled(sql, userId, settled);
    return settled;
  });
  const done = new Set(rows.map(({ message_id }) => message_id));
  const refused = messageIds
    .filter((id) => !done.has(id))
    .map((messageId) => ({ receipt: null, messageId, reason: 'NOT_FOUND' as const }));
  return { messageIds: [...done], refused };
}

export interface SettledRow {
  readonly message_id: string;
  readonly lane_id: string;
}

/** With the number of the lease that was held before. */
interface ReleasedRow extends SettledRow {
  readonly held: string;
}

type Settle = (sql: Sql, userId: string, leases: readonly Lease[]) => Promise<ReleasedRow[]>;

async function settleReceipts(
  ctx: Context,
  receipts: readonly string[],
  settle: Settle,
): Promise<Settled> {
  const { userId } = requireViewer(ctx);
  assertCount('receipts', receipts);
  const decoded = receipts.map((receipt) => ({ receipt, lease: ctx.receipts.decode(receipt) }));
  const own = decoded.flatMap(({ lease }) => (lease?.userId === userId ? lease : []));
  const { done, rest } = await decideInbox(ctx.database, userId, async (sql) => {
    const released = await settle(sql, userId, own);
    await noteSettled(sql, userId, released);
    // By lease and not by message: of two receipts of one message at most one can count.
    const leases = new Set(released.map((row) => `${row.message_id} ${row.held}`));
    const isRefused = leases.size < decoded.length;
    const ids = own.map(({ messageId }) => messageId);
    return { done: leases, rest: await describeDeliveries(sql, userId, isRefused ? ids : []) };
  });

  const messageIds: string[] = [];
  const refused: Refusal[] = [];
  for (const { receipt, lease } of decoded) {
    const messageId = lease?.userId === userId ? lease.messageId : null;
    // Given twice in one call, a receipt counts once and is then refused as by a second call.
    if (messageId !== null && done.delete(`${messageId} ${lease?.lease}`)) {
      messageIds.push(messageId);
    } else refused.push({ receipt, messageId, reason: reasonFor(lease, userId, rest) });
  }
  return { messageIds, refused };
}

/** What every settlement ends with. */
export async function noteSettled(
  sql: Sql,
  userId: string,
  settled: readonly SettledRow[],
): Promise<void> {
  if (settled.length === 0) return;
  await advanceFloors(
    sql,
    userId,
    settled.map(({ lane_id }) => lane_id),
  );
  await noteChange(sql, userId);
}

function columns(leases: readonly Lease[]): [string[], string[]] {
  return [leases.map(({ messageId }) => messageId), leases.map(({ lease }) => String(lease))];
}

export interface Standing {
  readonly state: 'WAITING' | 'LEASED' | 'ACKNOWLEDGED' | 'DEAD' | 'DISCARDED';
  readonly lease: string | null;
  readonly isReadable: boolean;
}

const DESCRIBE = `
  WITH ${SETTLEABLE}
  SELECT m.id, d.lease, m.lane_id IN (SELECT id FROM settleable) AS "isReadable",
    -- Dead from the moment its last lease ran out, whether or not a pull has buried it yet.
    CASE WHEN d.state = 'LEASED' AND d.due_at <= ${NOW} AND d.attempt >= $3 THEN 'DEAD'
         WHEN d.state IS NOT NULL THEN d.state::text
         WHEN m.lane_sequence <= f.floor THEN 'ACKNOWLEDGED' ELSE 'WAITING' END AS state
  FROM webhook_message m
  LEFT JOIN webhook_inbox_floor f ON f.user_id = $1 AND f.lane_id = m.lane_id
  LEFT JOIN webhook_delivery d ON d.user_id = $1 AND d.message_id = m.id
  WHERE m.id = ANY($2)`;

/** How messages stand, to say why nothing was done with them. */
export async function describeDeliveries(
  sql: Sql,
  userId: string,
  messageIds: readonly string[],
): Promise<Map<string, Standing>> {
  if (messageIds.length === 0) return new Map();
  const rows = await sql.query<Standing & { id: string }>(
    DESCRIBE,
    [userId, messageIds, ATTEMPTS_MAX],
    'describe-deliveries',
  );
  return new Map(rows.map((row) => [row.id, row]));
}

function reasonFor(
  lease: Lease | null,
  userId: string,
  rest: ReadonlyMap<string, Standing>,
): RefusalReason {
  if (lease === null) return 'FORGED';
  if (lease.userId !== userId) return 'FOREIGN';
  const found = rest.get(lease.messageId);
  if (!found?.isReadable) return 'NOT_FOUND';
  if (found.state === 'ACKNOWLEDGED') return 'ALREADY_ACKNOWLEDGED';
  if (found.state === 'DEAD' || found.state === 'DISCARDED') return found.state;
  return found.state === 'LEASED' && found.lease === String(lease.lease) ? 'EXPIRED' : 'STALE';
}
