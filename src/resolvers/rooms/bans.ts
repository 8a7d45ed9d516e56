import type { Context } from '#context.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import type { Stretch } from './participants.ts';

/** Of an account that is not let into a room now. */
export interface RoomBan {
  readonly userId: string;
  readonly bannedAt: Date;
  /** Null: until it is lifted. */
  readonly until: Date | null;
}

/** Two may be banned in the same millisecond. */
export type BanPlace = Pick<RoomBan, 'bannedAt' | 'userId'>;

const listText = (order: 'ASC' | 'DESC') => `
  SELECT p.user_id AS "userId", p.banned_at AS "bannedAt", p.banned_until AS until
  FROM room_participant p
  WHERE p.room_id = $1 AND p.banned_at IS NOT NULL
    AND coalesce(p.banned_until > naru_now(), true)
    AND ($3::timestamptz IS NULL OR (p.banned_at, p.user_id) > ($3, $4::uuid))
    AND ($5::timestamptz IS NULL OR (p.banned_at, p.user_id) < ($5, $6::uuid))
    AND EXISTS (SELECT FROM room_participant v WHERE v.room_id = $1 AND v.user_id = $2
      AND v.left_position IS NULL AND v.role <> 'MEMBER')
  ORDER BY p.banned_at ${order}, p.user_id ${order} LIMIT $7`;
const LIST = { forward: listText('ASC'), inverted: listText('DESC') };

/** Bans that count now, the oldest first; none for who is no owner or moderator. The statement that reads decides it. */
export async function listBans(
  ctx: Context,
  roomId: string,
  { after, before, limit, isInverted }: Stretch<BanPlace>,
): Promise<RoomBan[]> {
  const direction = isInverted ? 'inverted' : 'forward';
  const { userId } = requireViewer(ctx);
  return ctx.database.query<RoomBan>(
    LIST[direction],
    [
      roomId,
      userId,
      after?.bannedAt ?? null,
      after?.userId ?? null,
      before?.bannedAt ?? null,
      before?.userId ?? null,
      limit,
    ],
    `list-bans-${direction}`,
  );
}
