import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { runOnce } from '#resolvers/users/idempotency.ts';
import { freshenPermissions, requireSure } from '#resolvers/webhooks/access.ts';
import { READABLE } from '#resolvers/webhooks/access-sql.ts';
import { buryLeases } from './pull.ts';
import { decideInbox, IN_INBOX, noteChange } from './sql.ts';

/** HISTORY: everything is pending again. NOW: nothing is, until something new arrives. */
export type InboxStart = 'HISTORY' | 'NOW';

const LANES_NOW = `
  WITH ${READABLE}, lane AS (
    SELECT l.id, l.last_sequence FROM readable JOIN webhook_lane l ON l.id = readable.id
    WHERE ${IN_INBOX}
  )`;

// A lane's last number is committed with its messages, so that no floor passes one that nobody sees yet.
const RAISE_FLOORS = `
  ${LANES_NOW}
  INSERT INTO webhook_inbox_floor AS known (user_id, lane_id, floor)
  SELECT $1, id, last_sequence FROM lane WHERE last_sequence > 0
  ON CONFLICT (user_id, lane_id) DO UPDATE SET floor = greatest(known.floor, excluded.floor)
  RETURNING lane_id, floor`;

// Up to the floors that were just raised, and no further: more has arrived since.
const FORGET_OPEN = `
  DELETE FROM webhook_delivery d
  USING unnest($2::uuid[], $3::bigint[]) AS raised(lane_id, floor)
  WHERE d.user_id = $1 AND d.lane_id = raised.lane_id AND d.sequence <= raised.floor
    AND d.state IN ('WAITING', 'LEASED', 'ACKNOWLEDGED')`;

const LOWER_FLOORS = `
  ${LANES_NOW}
  DELETE FROM webhook_inbox_floor f USING lane WHERE f.user_id = $1 AND f.lane_id = lane.id`;

const FORGET_ACKNOWLEDGED = `
  ${LANES_NOW}
  DELETE FROM webhook_delivery d USING lane
  WHERE d.user_id = $1 AND d.lane_id = lane.id AND d.state = 'ACKNOWLEDGED'`;

/**
 * Starts the viewer's inbox afresh with what they may read and watch at this moment, in a few statements
 * however much that is; dead and discarded letters stay what they are, and with HISTORY what is leased.
 * What is granted later still brings its stored history. Once for an idempotency key; throws what
 * `runOnce` does.
 */
export async function startInbox(
  ctx: Context,
  input: { readonly from: InboxStart; readonly idempotencyKey?: string | null | undefined },
): Promise<InboxStart> {
  const viewer = requireViewer(ctx);
  const { userId } = viewer;
  await freshenPermissions(ctx);
  return decideInbox(ctx.database, userId, (sql) =>
    runOnce(sql, ctx, viewer, {
      field: 'startWebhookInbox',
      input,
      effect: async () => {
        await requireSure(sql, ctx, userId, { condition: 'true', values: [] });
        // First, so that what ran out for the last time stays as a dead letter.
        await buryLeases(sql, userId);
        if (input.from === 'NOW') await startNow(sql, userId);
        else {
          await sql.query(LOWER_FLOORS, [userId], 'lower-floors');
          await sql.query(FORGET_ACKNOWLEDGED, [userId], 'forget-acknowledged');
        }
        await noteChange(sql, userId);
        return { answer: input.from, reference: { from: input.from } };
      },
      replay: async ({ from }) => from,
    }),
  );
}

async function startNow(sql: Sql, userId: string): Promise<void> {
  const raised = await sql.query<{ lane_id: string; floor: string }>(
    RAISE_FLOORS,
    [userId],
    'raise-floors',
  );
  await sql.query(
    FORGET_OPEN,
    [userId, raised.map(({ lane_id }) => lane_id), raised.map(({ floor }) => floor)],
    'forget-open',
  );
}
