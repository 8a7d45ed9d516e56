import type { Context } from '#context.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { runOnce } from '#resolvers/users/idempotency.ts';
import type { WebhookFilter } from '#resolvers/webhooks/filter.ts';
import { assertCount, assertInputFilter } from './input.ts';
import {
  ATTEMPTS_MAX,
  decideInbox,
  filterCondition,
  filterValues,
  GRANTED,
  LANES,
  STATE,
} from './sql.ts';

export const REPLAY_MAX = 10_000;

/** The messages that a filter lets through, or given ones: exactly one of the two. */
export interface ReplayInput {
  readonly filter: WebhookFilter | null;
  readonly messageIds: readonly string[] | null;
  readonly idempotencyKey?: string | null | undefined;
}

export interface Replayed {
  readonly count: number;
  /** More of what was asked for is settled still: the same call again goes on. */
  readonly hasMore: boolean;
}

const REPLAY = `
  WITH ${GRANTED}, ${LANES}, settled AS (
    SELECT m.id, m.lane_id, m.lane_sequence
    FROM lane
    JOIN webhook_message m ON m.lane_id = lane.id
    JOIN webhook_source s ON s.id = m.source_id
    LEFT JOIN webhook_delivery d ON d.user_id = $1 AND d.message_id = m.id
    WHERE ${STATE} IN ('ACKNOWLEDGED', 'DEAD')
      AND ($10::uuid[] IS NULL OR m.id = ANY($10)) AND ${filterCondition(3)}
    ORDER BY m.position LIMIT $11
  )
  INSERT INTO webhook_delivery AS d
    (user_id, message_id, lane_id, sequence, state, attempt, lease, due_at)
  SELECT $1, id, lane_id, lane_sequence, 'WAITING', 0, nextval('webhook_lease_seq'), naru_now()
  FROM settled
  ON CONFLICT (user_id, message_id) DO UPDATE SET
    state = 'WAITING', attempt = 0, lease = excluded.lease, due_at = excluded.due_at,
    reason = NULL, updated_at = naru_now()
  RETURNING d.message_id`;

/**
 * Makes settled messages, dead letters among them, pending again for the viewer and nobody else,
 * oldest first, as if never handed out. What is pending or leased stays as it is. At most 10,000 a
 * call; once for an idempotency key, which is then answered with the counts of that time. Throws
 * `InvalidInputError` and what `runOnce` does.
 */
export async function replayMessages(ctx: Context, input: ReplayInput): Promise<Replayed> {
  const viewer = requireViewer(ctx);
  const { userId } = viewer;
  const { filter, messageIds } = input;
  if ((filter === null) === (messageIds === null)) {
    throw new InvalidInputError('Give exactly one of `filter` and `messageIds`', 'input');
  }
  if (filter !== null) assertInputFilter(filter);
  if (messageIds !== null) assertCount('messageIds', messageIds);
  return decideInbox(ctx.database, userId, (sql) =>
    runOnce(sql, ctx, viewer, {
      field: 'replayWebhookMessages',
      input,
      effect: async () => {
        const rows = await sql.query(
          REPLAY,
          [userId, ATTEMPTS_MAX, ...filterValues(filter ?? {}), messageIds, REPLAY_MAX],
          'replay-webhooks',
        );
        const answer = { count: rows.length, hasMore: rows.length === REPLAY_MAX };
        return { answer, reference: answer };
      },
      replay: async (counts) => counts,
    }),
  );
}
