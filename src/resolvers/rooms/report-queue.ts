import { isOperator } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { viewerMembership } from './access.ts';
import { isIn } from './membership.ts';
import {
  IS_MODERATED,
  type MessageReport,
  moderates,
  type ReportState,
  readsQueues,
  reportColumns,
} from './report-row.ts';

const STATES: readonly ReportState[] = ['OPEN', 'UPHELD', 'DISMISSED'];
const ID_MIN = '00000000-0000-0000-0000-000000000000';
const ID_MAX = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

type Order = 'ASC' | 'DESC';

// Which rooms is decided in the statement that hands out. From each room and state no more than a page is read, by
// its index: however many reports there are, the work is bounded by the rooms.
const ofModerator = (order: Order) => `
  SELECT r.* FROM room_participant p CROSS JOIN unnest($3::report_state[]) AS wanted (state)
  CROSS JOIN LATERAL (
    SELECT ${reportColumns('true')} FROM message_report r JOIN chat_message m ON m.id = r.message_id
    WHERE r.room_id = p.room_id AND r.state = wanted.state AND r.id > $4 AND r.id < $5
      AND m.author_id IS DISTINCT FROM $1
    ORDER BY r.id ${order} LIMIT $6
  ) r
  WHERE p.user_id = $1 AND p.left_position IS NULL AND p.role <> 'MEMBER'
    AND ($2::uuid IS NULL OR p.room_id = $2)`;

// What nobody in its room can settle, from all rooms: never what is in the other half, too.
const ofOperator = (order: Order, isOneRoom: boolean) => `
  SELECT r.* FROM unnest($3::report_state[]) AS wanted (state)
  CROSS JOIN LATERAL (
    SELECT ${reportColumns('false')} FROM message_report r JOIN chat_message m ON m.id = r.message_id
    WHERE r.state = wanted.state AND r.id > $4 AND r.id < $5 ${isOneRoom ? 'AND r.room_id = $2' : ''}
      AND m.author_id IS DISTINCT FROM $1 AND NOT ${IS_MODERATED}
    ORDER BY r.id ${order} LIMIT $6
  ) r`;

export interface ReportPage {
  /** Of one room; of all that the viewer moderates without it. */
  readonly roomId: string | null;
  /** All without it. */
  readonly state: ReportState | null;
  /** Ids of reports, exclusive, both. */
  readonly after: string | null;
  readonly before: string | null;
  readonly limit: number;
  /** From the newest down. */
  readonly isInverted: boolean;
}

/** Reports that the viewer may settle or could have: oldest first, unless inverted. */
export function listReports(ctx: Context, page: ReportPage): Promise<MessageReport[]> {
  const viewer = requireViewer(ctx);
  const { roomId, state, after, before, limit, isInverted } = page;
  const order = isInverted ? 'DESC' : 'ASC';
  const isOneRoom = roomId !== null;
  const halves = [ofModerator(order)];
  if (isOperator(viewer)) halves.push(ofOperator(order, isOneRoom));
  // Without a name: which plan is good depends on the halves, the room and the state.
  return ctx.database.query<MessageReport>(
    `${halves.join(' UNION ALL ')} ORDER BY id ${order} LIMIT $6`,
    [
      viewer.userId,
      roomId,
      state === null ? STATES : [state],
      after ?? ID_MIN,
      before ?? ID_MAX,
      limit,
    ],
  );
}

/**
 * Whether there is a queue for the viewer in this room: others do not learn whether there are reports. Operators have
 * one where they are, of what nobody else there can settle.
 */
export async function hasQueue(ctx: Context, roomId: string): Promise<boolean> {
  if (!readsQueues(ctx.viewer)) return false;
  const membership = await viewerMembership(ctx, roomId);
  return moderates(membership) || (isOperator(ctx.viewer) && isIn(membership));
}
