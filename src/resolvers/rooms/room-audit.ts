import type { Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import {
  type AuditAction,
  type AuditDetails,
  actorOf,
  recordAudit,
} from '#resolvers/users/audit.ts';

/** What one participant decides over another. */
export type RoomAuditAction = Extract<AuditAction, `ROOM_PARTICIPANT_${string}`>;

/** In the transaction of the change: who did what to whom in which room. */
export async function recordRoomAudit(
  ctx: Context,
  sql: Sql,
  viewer: Viewer,
  entry: {
    readonly action: RoomAuditAction;
    readonly roomId: string;
    readonly userId: string;
    readonly details?: AuditDetails;
  },
): Promise<void> {
  const { action, roomId, userId, details } = entry;
  await recordAudit(sql, actorOf(ctx, viewer), {
    action,
    subject: { type: 'Room', id: roomId },
    details: { userId, ...details },
  });
}
