import type { Context } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { forgetMembership, requireParticipant } from './access.ts';
import { noSuchMessage } from './read-message.ts';
import { READS_FROM } from './readable-sql.ts';

/** Two tabs at once end at the further one: who waited for the other's row looks at it again. */
const MOVE = `
  WITH target AS (
    SELECT m.sequence FROM chat_message m JOIN room r ON r.id = m.room_id
    JOIN room_participant p ON p.room_id = m.room_id AND p.user_id = $2
    WHERE m.room_id = $1 AND m.id = $3 AND p.left_position IS NULL AND m.position >= ${READS_FROM}
  ), moved AS (
    UPDATE room_participant p SET read_sequence = target.sequence, read_at = naru_now() FROM target
    WHERE p.room_id = $1 AND p.user_id = $2 AND p.left_position IS NULL
      AND p.read_sequence < target.sequence
    RETURNING p.read_at
  )
  SELECT target.sequence, moved.read_at AS "readAt" FROM target LEFT JOIN moved ON true`;

/**
 * The viewer has read everything up to the message. Going back changes nothing and tells nobody. Throws
 * `NotFoundError` alike for a room or message that is not there and for one that is not theirs to read.
 */
export async function markRead(
  ctx: Context,
  { roomId, messageId }: { readonly roomId: string; readonly messageId: string },
): Promise<void> {
  const { userId } = requireViewer(ctx);
  await requireParticipant(ctx, roomId);
  const [row] = await ctx.database.query<{ sequence: string; readAt: Date | null }>(
    MOVE,
    [roomId, userId, messageId],
    'move-read-marker',
  );
  forgetMembership(ctx, roomId);
  if (row === undefined) throw noSuchMessage();
  if (row.readAt === null) return;
  const readAt = row.readAt.toISOString();
  ctx.roomSignals.tellRead(roomId, { type: 'READ_MARKER', userId, sequence: row.sequence, readAt });
}
