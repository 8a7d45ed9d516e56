import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { type Delivery, LEASE_SECONDS_MAX } from './pull.ts';
import type { Lease } from './receipt.ts';
import { ATTEMPTS_MAX, advanceFloors, GRANTED, lockInbox } from './sql.ts';

export const SETTLE_MAX = 1_000;
export const REASON_LENGTH_MAX = 1_000;

/** Why one receipt or id of a call did nothing. The others of the call are not affected. */
export type RefusalReason =
  | 'FORGED'
  | 'FOREIGN'
  | 'STALE'
  | 'EXPIRED'
  | 'ALREADY_ACKNOWLEDGED'
  | 'DEAD'
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

/** A lease that counts at this moment, of a message that the user may still see. */
const HELD = `
  d.user_id = $1 AND d.message_id = held.message_id AND d.lease = held.lease
  AND d.state = 'LEASED' AND d.due_at > naru_now()
  AND m.id = d.message_id AND m.source_id IN (SELECT source_id FROM granted)`;

const ACKNOWLEDGE = `
  WITH ${GRANTED}
  UPDATE webhook_delivery d SET state = 'ACKNOWLEDGED', updated_at = naru_now()
  FROM unnest($2::uuid[], $3::bigint[]) AS held(message_id, lease), webhook_message m
  WHERE ${HELD} RETURNING d.message_id, d.lane_id`;

/** Settles what the receipts hold, each by itself: done for good, or refused with the reason. */
export async function ackReceipts(ctx: Context, receipts: readonly string[]): Promise<Settled> {
  return settleReceipts(ctx, receipts, (sql, userId, leases) =>
    sql.query(ACKNOWLEDGE, [userId, ...columns(leases)], 'acknowledge-webhooks'),
  );
}

const HAND_BACK = `
  WITH ${GRANTED}
  UPDATE webhook_delivery d SET updated_at = naru_now(),
    state = CASE WHEN d.attempt >= $5 THEN 'DEAD' ELSE 'WAITING' END::delivery_state,
    due_at = naru_now() + make_interval(secs => $4), reason = coalesce($6, d.reason)
  FROM unnest($2::uuid[], $3::bigint[]) AS held(message_id, lease), webhook_message m
  WHERE ${HELD} RETURNING d.message_id, d.lane_id`;

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
  if (!(delaySeconds >= 0 && delaySeconds <= LEASE_SECONDS_MAX)) {
    throw new InvalidInputError(`Must be 0 to ${LEASE_SECONDS_MAX}`, 'input.delaySeconds');
  }
  if (reason !== null && (reason.length > REASON_LENGTH_MAX || reason.includes('\u0000'))) {
    throw new InvalidInputError(
      `A reason has at most ${REASON_LENGTH_MAX} characters`,
      'input.reason',
    );
  }
  return settleReceipts(ctx, receipts, (sql, userId, leases) =>
    sql.query(
      HAND_BACK,
      [userId, ...columns(leases), delaySeconds, ATTEMPTS_MAX, reason],
      'hand-back-webhooks',
    ),
  );
}

const EXTEND = `
  WITH ${GRANTED}
  UPDATE webhook_delivery d SET lease = nextval('webhook_lease_seq'), updated_at = naru_now(),
    due_at = naru_now() + make_interval(secs => $4)
  FROM unnest($2::uuid[], $3::bigint[]) AS held(message_id, lease), webhook_message m
  WHERE ${HELD} RETURNING d.message_id, d.lane_id, d.lease, d.attempt, d.due_at`;

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
  if (!(leaseSeconds >= 1 && leaseSeconds <= LEASE_SECONDS_MAX)) {
    throw new InvalidInputError(`Must be 1 to ${LEASE_SECONDS_MAX}`, 'input.leaseSeconds');
  }
  const deliveries: Delivery[] = [];
  const { refused } = await settleReceipts(ctx, receipts, async (sql, _userId, leases) => {
    const rows = await sql.query<SettledRow & { lease: string; attempt: number; due_at: Date }>(
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
  WITH ${GRANTED}
  INSERT INTO webhook_delivery AS d
    (user_id, message_id, lane_id, sequence, state, attempt, lease, due_at)
  SELECT $1, m.id, m.lane_id, m.lane_sequence, 'ACKNOWLEDGED', 0, 0, naru_now()
  FROM webhook_message m
  WHERE m.id = ANY($2) AND m.lane_id IS NOT NULL AND m.source_id IN (SELECT source_id FROM granted)
  ON CONFLICT (user_id, message_id) DO UPDATE SET state = 'ACKNOWLEDGED', updated_at = naru_now()
  RETURNING d.message_id, d.lane_id`;

/** Settles messages whether leased or not: what a person does who has read them. Twice is once. */
export async function ackMessages(ctx: Context, messageIds: readonly string[]): Promise<Settled> {
  const { userId } = requireViewer(ctx);
  assertCount(messageIds, 'input.messageIds');
  const rows = await ctx.database.transaction(async (sql) => {
    await lockInbox(sql, userId);
    const settled = await sql.query<SettledRow>(ACKNOWLEDGE_IDS, [userId, messageIds], 'ack-by-id');
    await advanceFloors(
      sql,
      userId,
      settled.map(({ lane_id }) => lane_id),
    );
    return settled;
  });
  const done = new Set(rows.map(({ message_id }) => message_id));
  const refused = messageIds
    .filter((id) => !done.has(id))
    .map((messageId) => ({ receipt: null, messageId, reason: 'NOT_FOUND' as const }));
  return { messageIds: [...done], refused };
}

interface SettledRow {
  readonly message_id: string;
  readonly lane_id: string;
}

type Settle = (sql: Sql, userId: string, leases: readonly Lease[]) => Promise<SettledRow[]>;

async function settleReceipts(
  ctx: Context,
  receipts: readonly string[],
  settle: Settle,
): Promise<Settled> {
  const { userId } = requireViewer(ctx);
  assertCount(receipts, 'input.receipts');
  const decoded = receipts.map((receipt) => ({ receipt, lease: ctx.receipts.decode(receipt) }));
  const own = decoded.flatMap(({ lease }) => (lease?.userId === userId ? lease : []));
  const { done, rest } = await ctx.database.transaction(async (sql) => {
    await lockInbox(sql, userId);
    const settled = await settle(sql, userId, own);
    await advanceFloors(
      sql,
      userId,
      settled.map(({ lane_id }) => lane_id),
    );
    const ids = new Set(settled.map(({ message_id }) => message_id));
    const others = own.filter(({ messageId }) => !ids.has(messageId));
    return { done: ids, rest: await describeRest(sql, userId, others) };
  });

  const messageIds = new Set<string>();
  const refused: Refusal[] = [];
  for (const { receipt, lease } of decoded) {
    const messageId = lease?.userId === userId ? lease.messageId : null;
    const isDone = messageId !== null && done.has(messageId);
    if (isDone && !messageIds.has(messageId)) messageIds.add(messageId);
    else {
      const reason = isDone ? 'ALREADY_ACKNOWLEDGED' : reasonFor(lease, userId, rest);
      refused.push({ receipt, messageId, reason });
    }
  }
  return { messageIds: [...messageIds], refused };
}

function assertCount(values: readonly string[], field: string): void {
  if (values.length >= 1 && values.length <= SETTLE_MAX) return;
  throw new InvalidInputError(`Give 1 to ${SETTLE_MAX}`, field);
}

function columns(leases: readonly Lease[]): [string[], string[]] {
  return [leases.map(({ messageId }) => messageId), leases.map(({ lease }) => String(lease))];
}

interface Rest {
  readonly state: 'WAITING' | 'LEASED' | 'ACKNOWLEDGED' | 'DEAD' | null;
  readonly lease: string | null;
  readonly isReadable: boolean;
}

async function describeRest(
  sql: Sql,
  userId: string,
  leases: readonly Lease[],
): Promise<Map<string, Rest>> {
  if (leases.length === 0) return new Map();
  const rows = await sql.query<Rest & { id: string }>(
    `WITH ${GRANTED}
     SELECT m.id, d.state, d.lease, m.source_id IN (SELECT source_id FROM granted) AS "isReadable"
     FROM webhook_message m
     LEFT JOIN webhook_delivery d ON d.user_id = $1 AND d.message_id = m.id
     WHERE m.id = ANY($2)`,
    [userId, leases.map(({ messageId }) => messageId)],
    'describe-deliveries',
  );
  return new Map(rows.map((row) => [row.id, row]));
}

function reasonFor(
  lease: Lease | null,
  userId: string,
  rest: ReadonlyMap<string, Rest>,
): RefusalReason {
  if (lease === null) return 'FORGED';
  if (lease.userId !== userId) return 'FOREIGN';
  const found = rest.get(lease.messageId);
  if (!found?.isReadable) return 'NOT_FOUND';
  // The floor speaks for what has no row.
  if (found.state === null || found.state === 'ACKNOWLEDGED') return 'ALREADY_ACKNOWLEDGED';
  if (found.state === 'DEAD') return 'DEAD';
  return found.state === 'LEASED' && found.lease === String(lease.lease) ? 'EXPIRED' : 'STALE';
}
