// `readableRange` as conditions of a statement, so that what is read and who may read it are of one moment.

/** Whether `room_participant AS p` of `room AS r` reads anything of it. */
export const READS = `
  (p.left_position IS NULL OR (r.history_visibility = 'KEPT'
    AND (p.banned_at IS NULL OR p.banned_until <= naru_now())))`;

/** Of the positions that they may read the first and the last, both included. */
export const READS_FROM = `
  CASE WHEN p.left_position IS NULL AND r.history_visibility = 'SINCE_JOINED'
    THEN p.joined_position ELSE 0 END`;
export const READS_TO = `coalesce(p.left_position, 9223372036854775807)`;

/** What of room $1 account $2 may read: one row, or none. `as_of` is null for whoever is in the room. */
export const READABLE = `
  SELECT ${READS_FROM} AS first, ${READS_TO} AS last, p.left_position AS as_of
  FROM room_participant p JOIN room r ON r.id = p.room_id
  WHERE p.room_id = $1 AND p.user_id = $2 AND ${READS}`;
