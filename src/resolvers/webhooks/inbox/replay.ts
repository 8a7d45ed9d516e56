import type { Context } from '#context.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { runOnce } from '#resolvers/users/idempotency.ts';
import { freshenPermissions, requireSure } from '#resolvers/webhooks/access.ts';
import { READABLE } from '#resolvers/webhooks/access-sql.ts';
import type { GivenWebhookFilter } from '#resolvers/webhooks/filter.ts';
import { resolveFilter } from '#resolvers/webhooks/saved-filter.ts';
import { assertCount } from './input.ts';
import {
  ATTEMPTS_MAX,
  decideInbox,
  filterCondition,
  filterValues,
  givenFilter,
  LANES,
  noteChange,
  STATE,
} from './sql.ts';

export const REPLAY_MAX = 10_000;

/** The messages that a filter lets through, or given ones: exactly one of the two. */
export interface ReplayInput {
  readonly filter: GivenWebhookFilter | null;
  readonly messageIds: readonly string[] | null;
  readonly idempotencyKey?: string | null | undefined;
}

export interface Replayed {
  readonly count: number;
  /** More of what was asked for is settled still: the same call again goes on. */
  readonly hasMore: boolean;
}

/** As if never handed out; the reason of a dead letter is forgotten, or kept for who looks at it next. */
function makePending(states: string, reason: 'NULL' | 'd.reason'): string {
  return `
    WITH ${READABLE}, ${LANES}, settled AS (
      SELECT m.id, m.lane_id, m.lane_sequence
      FROM lane
      JOIN webhook_message m ON m.lane_id = lane.id
      JOIN webhook_source s ON s.id = m.source_id
      LEFT JOIN webhook_delivery d ON d.user_id = $1 AND d.message_id = m.id
      WHERE ${STATE} IN (${states})
        AND ($3::uuid[] IS NULL OR m.id = ANY($3)) AND ${filterCondition(5)}
      ORDER BY m.position LIMIT $4
    )
    INSERT INTO webhook_delivery AS d
      (user_id, message_id, lane_id, sequence, state, attempt, lease, due_at)
    SELECT $1, id, lane_id, lane_sequence, 'WAITING', 0, nextval('webhook_lease_seq'), naru_now()
    FROM settled
    ON CONFLICT (user_id, message_id) DO UPDATE SET
      state = 'WAITING', attempt = 0, lease = excluded.lease, due_at = excluded.due_at,
      reason = ${reason}, updated_at = naru_now()
    RETURNING d.message_id`;
}

const REPLAY = makePending(`'ACKNOWLEDGED', 'DEAD', 'DISCARDED'`, 'NULL');
const RETRY = makePending(`'DEAD'`, 'd.reason');

/**
 * Makes settled messages, dead letters among them, pending again for the viewer and nobody else,
 * oldest first, as if never handed out. What is pending or leased stays as it is. At most 10,000 a
 * call; once for an idempotency key, which is then answered with the counts of that time. Throws
 * `InvalidInputError` and what `runOnce` does.
 */
export async function replayMessages(ctx: Context, input: ReplayInput): Promise<Replayed> {
  return replay(ctx, 'replayWebhookMessages', REPLAY, input);
}

/** The same for dead letters alone, which keep the reason of their death until they die again. */
export async function retryDeadLetters(ctx: Context, input: ReplayInput): Promise<Replayed> {
  return replay(ctx, 'retryWebhookDeadLetters', RETRY, input);
}

async function replay(
  ctx: Context,
  field: string,
  statement: string,
  input: ReplayInput,
): Promise<Replayed> {
  const viewer = requireViewer(ctx);
  const { userId } = viewer;
  const { messageIds } = input;
  if ((input.filter === null) === (messageIds === null)) {
    throw new InvalidInputError('Give exactly one of `filter` and `messageIds`', 'input');
  }
  const filter = await resolveFilter(ctx, input.filter ?? {}, { field: 'input.filter' });
  if (messageIds !== null) assertCount('messageIds', messageIds);
  await freshenPermissions(ctx);
  const given = givenFilter({ sources: filter.sources, repositoryIds: filter.repositoryIds }, 2);
  const ofMessages = `EXISTS (
    SELECT FROM webhook_message m WHERE m.lane_id = s.id AND m.id = ANY($2::uuid[]))`;
  const lanes =
    messageIds === null
      ? { condition: given.lane, values: given.values }
      : { condition: ofMessages, values: [messageIds] };
  return decideInbox(ctx.database, userId, (sql) =>
    runOnce(sql, ctx, viewer, {
      field,
      input,
      effect: async () => {
        await requireSure(sql, ctx, userId, lanes);
        const rows = await sql.query(
          statement,
          [userId, ATTEMPTS_MAX, messageIds, REPLAY_MAX, ...filterValues(filter)],
          field,
        );
        if (rows.length > 0) await noteChange(sql, userId);
        const answer = { count: rows.length, hasMore: rows.length === REPLAY_MAX };
        return { answer, reference: answer };
      },
      replay: async (counts) => counts,
    }),
  );
}
