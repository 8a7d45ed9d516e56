import type { Context } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import {
  MEMBERSHIP_COLUMNS,
  type Membership,
  type MembershipRow,
  membershipOf,
} from './membership.ts';

/** Between two places of a list; `isInverted` reads it from its end. */
export interface Stretch<Place> {
  readonly after: Place | null;
  readonly before: Place | null;
  readonly limit: number;
  readonly isInverted: boolean;
}

const listText = (order: 'ASC' | 'DESC') => `
  SELECT ${MEMBERSHIP_COLUMNS} FROM room_participant p JOIN room r ON r.id = p.room_id
  WHERE p.room_id = $1 AND p.left_position IS NULL
    AND ($3::bigint IS NULL OR p.joined_position > $3)
    AND ($4::bigint IS NULL OR p.joined_position < $4)
    AND EXISTS (SELECT FROM room_participant v
      WHERE v.room_id = $1 AND v.user_id = $2 AND v.left_position IS NULL)
  ORDER BY p.joined_position ${order} LIMIT $5`;
const LIST = { forward: listText('ASC'), inverted: listText('DESC') };

/** Who is in a room now, by joining; nobody for a viewer who is not. The statement that reads decides it. */
export async function listParticipants(
  ctx: Context,
  roomId: string,
  { after, before, limit, isInverted }: Stretch<bigint>,
): Promise<Membership[]> {
  const direction = isInverted ? 'inverted' : 'forward';
  const { userId } = requireViewer(ctx);
  const rows = await ctx.database.query<MembershipRow>(
    LIST[direction],
    [roomId, userId, after?.toString() ?? null, before?.toString() ?? null, limit],
    `list-participants-${direction}`,
  );
  return rows.map(membershipOf);
}
