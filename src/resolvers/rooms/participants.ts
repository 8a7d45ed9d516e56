import type { Context } from '#context.ts';
import { InvalidInputError } from '#lib/errors.ts';
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

export const NAME_SEARCH_MAX = 50;

const listText = (order: 'ASC' | 'DESC', isSearch = false) => `
  SELECT ${MEMBERSHIP_COLUMNS} FROM room_participant p JOIN room r ON r.id = p.room_id
  ${isSearch ? NAMED : ''}
  WHERE p.room_id = $1 AND p.left_position IS NULL
    AND ($3::bigint IS NULL OR p.joined_position > $3)
    AND ($4::bigint IS NULL OR p.joined_position < $4)
    AND EXISTS (SELECT FROM room_participant v
      WHERE v.room_id = $1 AND v.user_id = $2 AND v.left_position IS NULL)
  ORDER BY p.joined_position ${order} LIMIT $5`;
const NAMED = `JOIN users u ON u.id = p.user_id AND u.deleted_at IS NULL
    AND (u.username ILIKE $6 OR u.display_name ILIKE $6)`;
const LIST = { forward: listText('ASC'), inverted: listText('DESC') };
const SEARCH = { forward: listText('ASC', true), inverted: listText('DESC', true) };

/**
 * Who is in a room now, by joining; nobody for a viewer who is not. The statement that reads decides it. With `search`
 * only those whose username or display name begins so, in any case. Throws `InvalidInputError`.
 */
export async function listParticipants(
  ctx: Context,
  roomId: string,
  { after, before, limit, isInverted }: Stretch<bigint>,
  search: string | null = null,
): Promise<Membership[]> {
  const direction = isInverted ? 'inverted' : 'forward';
  const { userId } = requireViewer(ctx);
  const values = [roomId, userId, after?.toString() ?? null, before?.toString() ?? null, limit];
  const rows = await (search === null
    ? ctx.database.query<MembershipRow>(LIST[direction], values, `list-participants-${direction}`)
    : ctx.database.query<MembershipRow>(
        SEARCH[direction],
        [...values, beginningWith(search)],
        `search-participants-${direction}`,
      ));
  return rows.map(membershipOf);
}

/** A pattern of ILIKE: the text is meant word for word. */
function beginningWith(text: string): string {
  const isText = text.isWellFormed() && !text.includes('\u0000') && text.length <= 1_024;
  const beginning = isText ? text.normalize('NFC').trim() : '';
  if (beginning === '' || Array.from(beginning).length > NAME_SEARCH_MAX) {
    throw new InvalidInputError(
      `What a name begins with has 1–${NAME_SEARCH_MAX} characters`,
      'search',
    );
  }
  return `${beginning.replaceAll(/[\\%_]/g, '\\$&')}%`;
}
