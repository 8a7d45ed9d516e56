import type { Context } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { viewerMembership } from './access.ts';
import {
  type MessageReport,
  moderates,
  REPORT_COLUMNS,
  type ReportState,
  readsQueues,
} from './report-row.ts';

const STATES: readonly ReportState[] = ['OPEN', 'UPHELD', 'DISMISSED'];
const ID_MIN = '00000000-0000-0000-0000-000000000000';
const ID_MAX = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

// Which rooms is decided in the statement that hands out. From each room and state no more than a page is read, by
// its index: however many reports there are, the work is bounded by the rooms.
const read = (order: 'ASC' | 'DESC') => `
  SELECT r.* FROM room_participant p CROSS JOIN unnest($3::report_state[]) AS wanted (state)
  CROSS JOIN LATERAL (
    SELECT ${REPORT_COLUMNS} FROM message_report r JOIN chat_message m ON m.id = r.message_id
    WHERE r.room_id = p.room_id AND r.state = wanted.state AND r.id > $4 AND r.id < $5
      AND m.author_id IS DISTINCT FROM $1
    ORDER BY r.id ${order} LIMIT $6
  ) r
  WHERE p.user_id = $1 AND p.left_position IS NULL AND p.role <> 'MEMBER'
    AND ($2::uuid IS NULL OR p.room_id = $2)
  ORDER BY r.id ${order} LIMIT $6`;
const READ = { ASC: read('ASC'), DESC: read('DESC') };

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
  const { userId } = requireViewer(ctx);
  const { roomId, state, after, before, limit, isInverted } = page;
  const order = isInverted ? 'DESC' : 'ASC';
  const states = state === null ? STATES : [state];
  return ctx.database.query<MessageReport>(
    READ[order],
    [userId, roomId, states, after ?? ID_MIN, before ?? ID_MAX, limit],
    `list-message-reports-${order}`,
  );
}

/** Whether there is a queue for the viewer in this room: others do not learn whether there are reports. */
export async function hasQueue(ctx: Context, roomId: string): Promise<boolean> {
  return readsQueues(ctx) && moderates(await viewerMembership(ctx, roomId));
}
