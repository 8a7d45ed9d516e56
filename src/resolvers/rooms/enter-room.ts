import type { Sql } from '#database/client.ts';
import { ConflictError, NotFoundError } from '#lib/errors.ts';
import type { ParticipantRole } from './membership.ts';
import type { RoomWrite } from './write-room.ts';

export const PARTICIPANTS_MAX = 1_000;
export const ROOMS_MAX = 500;
/** Of those, how many others may fill: whoever wants can always open rooms of their own. */
export const ROOMS_BY_OTHERS_MAX = 400;

export interface Entrant {
  readonly userId: string;
  readonly role: ParticipantRole;
}

const ENTER = `
  WITH entering AS (
    SELECT * FROM unnest($2::uuid[], $3::participant_role[], $4::bigint[])
      AS row (user_id, role, position)
  ), stays AS (
    INSERT INTO room_stay (room_id, user_id, joined_position)
    SELECT $1, user_id, position FROM entering
  )
  INSERT INTO room_participant AS p
    (room_id, user_id, role, joined_position, joined_sequence, joined_at, added_by_id)
  SELECT $1, user_id, role, position, $5, naru_now(), $6 FROM entering
  -- A mute that counts still outlasts leaving; where they have read to does, too.
  ON CONFLICT (room_id, user_id) DO UPDATE SET role = excluded.role,
    joined_position = excluded.joined_position, joined_sequence = excluded.joined_sequence,
    joined_at = excluded.joined_at, added_by_id = excluded.added_by_id,
    left_position = NULL, left_at = NULL, left_reason = NULL, banned_at = NULL, banned_until = NULL`;

/**
 * Lets accounts into the room, each with its place in the log, in their order; who is in it already stays as
 * they are. All of them, or none. Answers with who came in. Throws `ConflictError` where one is banned and past
 * 1,000 participants of the room or 500 rooms of an account (400 where others add it), and `NotFoundError` for an account that is not there.
 */
export async function enterRoom(
  write: RoomWrite,
  entrants: readonly Entrant[],
  addedById: string,
): Promise<string[]> {
  const { sql, room } = write;
  const known = await findKnown(write, entrants);
  const entering = entrants.filter(({ userId }) => known.get(userId)?.isIn !== true);
  if (entering.length === 0) return [];
  const ids = entering.map(({ userId }) => userId);
  if (room.participantCount + ids.length > PARTICIPANTS_MAX) {
    throw new ConflictError(`A room has at most ${PARTICIPANTS_MAX} participants`);
  }
  const accounts = await lockAccounts(sql, ids);
  const namesOf = (wanted: (account: LockedAccount) => boolean) =>
    accounts
      .filter(wanted)
      .map(({ username }) => username)
      .join(', ');
  if (accounts.length < ids.length) throw new NotFoundError('There is no such account');
  const banned = namesOf(({ id }) => known.get(id)?.isBanned === true);
  if (banned !== '') throw new ConflictError(`Banned from the room: ${banned}`);
  const full = namesOf(
    ({ id, rooms }) => rooms >= (id === addedById ? ROOMS_MAX : ROOMS_BY_OTHERS_MAX),
  );
  if (full !== '') throw new ConflictError(`In too many rooms already: ${full}`);
  const positions = ids.map((userId) =>
    write.append({ kind: 'PARTICIPANT_JOINED', userId, actorId: addedById }).toString(),
  );
  await sql.query(
    ENTER,
    [
      room.id,
      ids,
      entering.map(({ role }) => role),
      positions,
      room.lastSequence.toString(),
      addedById,
    ],
    'enter-room',
  );
  write.countParticipants(ids.length);
  return ids;
}

interface Known {
  readonly userId: string;
  readonly isIn: boolean;
  readonly isBanned: boolean;
}

async function findKnown({ sql, room }: RoomWrite, entrants: readonly Entrant[]) {
  const rows = await sql.query<Known>(
    `SELECT user_id AS "userId", left_position IS NULL AS "isIn",
       (banned_at IS NOT NULL AND coalesce(banned_until > naru_now(), true)) AS "isBanned"
     FROM room_participant WHERE room_id = $1 AND user_id = ANY($2)`,
    [room.id, entrants.map(({ userId }) => userId)],
    'find-known-entrants',
  );
  return new Map(rows.map((row) => [row.userId, row]));
}

interface LockedAccount {
  readonly id: string;
  readonly username: string;
  readonly rooms: number;
}

/**
 * Until the transaction ends nobody else lets them into a room, so that the count of their rooms is exact. Not
 * their row locks, for which signing in would wait. Always after the room's lock and in one order, so that
 * nobody waits in a circle. Who is deleted is left out: they wait for this lock before they leave their rooms.
 */
async function lockAccounts(sql: Sql, ids: readonly string[]): Promise<LockedAccount[]> {
  await lockRoomsOf(sql, ids);
  return sql.query<LockedAccount>(
    `SELECT u.id, u.username, (SELECT count(*)::int FROM room_participant p
       WHERE p.user_id = u.id AND p.left_position IS NULL) AS rooms
     FROM users u WHERE u.id = ANY($1) AND u.deleted_at IS NULL ORDER BY u.username`,
    [ids],
    'count-rooms-of-accounts',
  );
}

/** Until the transaction ends: whoever lets one of these accounts into a room waits. */
export async function lockRoomsOf(sql: Sql, userIds: readonly string[]): Promise<void> {
  await sql.query(
    `SELECT pg_advisory_xact_lock(key) FROM (
       SELECT DISTINCT hashtextextended('naru rooms of ' || id, 0) AS key
       FROM unnest($1::text[]) AS id ORDER BY key OFFSET 0) AS keys`,
    [userIds],
    'lock-rooms-of-accounts',
  );
}
