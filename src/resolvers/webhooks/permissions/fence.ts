import type { Sql } from '#database/client.ts';
import { PERMISSION_EVENTS, type PermissionEvent, reachOf } from './permission-event.ts';

/** Whether webhooks of this name may change who may see what. */
export function isPermissionEvent(eventName: string | null): boolean {
  return eventName !== null && PERMISSION_EVENTS.has(eventName);
}

/**
 * Makes UNKNOWN what GitHub tells has changed, in the transaction that stores the webhooks that tell it, so
 * that nothing is handed out behind them on the strength of an older answer. An answer that GitHub is being
 * asked for at this moment counts for nothing either: its generation is over. Whoever may have gained
 * something keeps what they have, and the rest becomes UNKNOWN. Four statements, however many events.
 */
export async function fencePermissions(
  sql: Sql,
  events: readonly PermissionEvent[],
): Promise<void> {
  const reached = { user: [] as string[], repository: [] as string[], owner: [] as string[] };
  let isForAll = false;
  let isForOthers = false;
  for (const reach of events.map(reachOf)) {
    if (reach.kind === 'everybody') isForAll = true;
    else if (reach.kind !== 'nobody') {
      reached[reach.kind].push(reach.id);
      isForOthers ||= reach.kind !== 'user';
    }
  }
  const touchesAll = isForAll || isForOthers;
  if (!touchesAll && reached.user.length === 0) return;
  // All locks first, in one order. What is changed is found by the statements after it, which see what
  // those had stored for whom this one waited.
  await sql.query(
    `SELECT FROM github_permission_set WHERE ${TOUCHED} ORDER BY user_id FOR UPDATE`,
    [touchesAll, reached.user],
  );
  if (reached.repository.length > 0) {
    await sql.query(
      `UPDATE github_permission SET state = 'UNKNOWN', ${NEVER_LET_IN}
       WHERE repository_id = ANY($1::bigint[]) AND state <> 'UNKNOWN'`,
      [reached.repository],
    );
  }
  await sql.query(OVERTAKE, [touchesAll, reached.user, isForAll, reached.owner]);
}

// What was denied becomes as if it had never been answered: nobody is unsure of it.
const NEVER_LET_IN = `checked_at = CASE WHEN state = 'DENIED' THEN NULL ELSE checked_at END`;

const OF_USERS = 'SELECT user_id FROM github_account WHERE github_id = ANY($2::bigint[])';
const TOUCHED = `($1::boolean OR user_id IN (${OF_USERS}))`;

// What was asked for by itself would count again as soon as the set does, and is overtaken with it; what it
// denied may have been gained. Joined rather than looked up: an owner can have a million of these rows.
const OVERTAKE = `
  WITH lost AS (
    ${OF_USERS}
    UNION SELECT user_id FROM github_permission_set WHERE $3::boolean
    UNION SELECT user_id FROM github_permission WHERE owner_id = ANY($4::bigint[])
  ), touched AS MATERIALIZED (
    SELECT user_id, lost.user_id IS NOT NULL AS is_lost
    FROM github_permission_set LEFT JOIN lost USING (user_id) WHERE ${TOUCHED}
  ), singles AS (
    UPDATE github_permission p SET state = 'UNKNOWN', ${NEVER_LET_IN} FROM touched
    WHERE p.user_id = touched.user_id AND p.valid_until IS NOT NULL AND p.state <> 'UNKNOWN'
      AND (touched.is_lost OR p.state = 'DENIED')
  )
  UPDATE github_permission_set s SET generation = s.generation + 1, is_stale = true,
    valid_until = CASE WHEN touched.is_lost THEN NULL ELSE s.valid_until END
  FROM touched WHERE s.user_id = touched.user_id`;
