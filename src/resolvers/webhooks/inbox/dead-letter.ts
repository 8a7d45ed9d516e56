import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { NOW, SETTLEABLE } from '#resolvers/webhooks/access-sql.ts';
import { assertCount, assertReason } from './input.ts';
import {
  describeDeliveries,
  noteSettled,
  type RefusalReason,
  type Settled,
  type SettledRow,
  type Standing,
} from './settle.ts';
import { ATTEMPTS_MAX, decideInbox } from './sql.ts';

const DISCARD = `
  WITH ${SETTLEABLE}
  UPDATE webhook_delivery d SET state = 'DISCARDED', reason = $4, updated_at = naru_now()
  FROM webhook_message m
  WHERE d.user_id = $1 AND d.message_id = ANY($2)
    AND (d.state = 'DEAD' OR (d.state = 'LEASED' AND d.due_at <= ${NOW} AND d.attempt >= $3))
    AND m.id = d.message_id AND m.lane_id IN (SELECT id FROM settleable)
  RETURNING d.message_id, d.lane_id`;

/**
 * Gives dead letters up: settled like acknowledged ones, but kept with the reason for whoever asks what
 * became of them. What is no dead letter is refused, each by itself. Throws `InvalidInputError`.
 */
export async function discardDeadLetters(
  ctx: Context,
  input: { readonly messageIds: readonly string[]; readonly reason: string },
): Promise<Settled> {
  const { userId } = requireViewer(ctx);
  const { messageIds, reason } = input;
  assertCount('messageIds', messageIds);
  assertReason(reason);
  if (reason.trim() === '') throw new InvalidInputError('Say why', 'input.reason');
  return decideInbox(ctx.database, userId, async (sql) => {
    const rows = await discard(sql, userId, messageIds, reason);
    const done = new Set(rows.map(({ message_id }) => message_id));
    const left = [...new Set(messageIds)].filter((id) => !done.has(id));
    const standings = await describeDeliveries(sql, userId, left);
    const refused = left.map((messageId) => ({
      receipt: null,
      messageId,
      reason: reasonFor(standings.get(messageId)),
    }));
    return { messageIds: [...done], refused };
  });
}

async function discard(
  sql: Sql,
  userId: string,
  messageIds: readonly string[],
  reason: string,
): Promise<readonly SettledRow[]> {
  const values = [userId, messageIds, ATTEMPTS_MAX, reason];
  const rows = await sql.query<SettledRow>(DISCARD, values, 'discard-dead-letters');
  await noteSettled(sql, userId, rows);
  return rows;
}

function reasonFor(standing: Standing | undefined): RefusalReason {
  if (!standing?.isReadable) return 'NOT_FOUND';
  return standing.state === 'DISCARDED' ? 'DISCARDED' : 'NOT_DEAD';
}
