import { transact } from '#outbox.ts';
import type { Listed } from './ask.ts';
import { announceChanges, idsOf } from './changes.ts';
import { type Asking, FRESH, lockSet, type SetState, WATCHED } from './permission-set.ts';

/**
 * Replaces the set by what GitHub listed, or believes it again where that is the same. False where the
 * answer was overtaken while it was asked for. Announces what changed, but not a user's first answer.
 */
export function storeListed(
  app: Parameters<typeof transact>[0],
  asking: Asking & Pick<SetState, 'checkedAt'>,
  answer: { readonly listed: Listed; readonly etags: readonly string[] } | 'SAME',
): Promise<boolean> {
  const { userId, linkId, beganAt } = asking;
  return transact(app, async (sql, announce) => {
    const lock = await lockSet(sql, asking);
    if (lock !== 'STILL') return lock === 'NEWER';
    const changes = new Map<bigint, boolean>();
    await sql.query(DISBELIEVE_OTHER_LINK, [userId, linkId]);
    if (answer === 'SAME') await sql.query(BELIEVE_AGAIN, [userId]);
    else {
      const listed = [...answer.listed];
      const ids = listed.map(([id]) => String(id));
      const owners = listed.map(([, { ownerId }]) => String(ownerId));
      for (const id of await idsOf(sql, ADD_LISTED, [userId, ids, owners])) changes.set(id, true);
      for (const id of await idsOf(sql, REMOVE_UNLISTED, [userId, ids, asking.checkedAt, beganAt]))
        changes.set(id, false);
    }
    for (const id of await idsOf(sql, REMOVE_UNWATCHED, [userId])) changes.set(id, false);
    await sql.query(ADD_WATCHED, [userId, beganAt]);
    await sql.query(
      `UPDATE github_permission_set SET link_id = $2, checked_at = $3::timestamptz,
         valid_until = $3::timestamptz + ${FRESH}, is_stale = false,
         etags = coalesce($4::text[], etags) WHERE user_id = $1`,
      [userId, linkId, beganAt, answer === 'SAME' ? null : answer.etags],
      'store-permission-set',
    );
    if (asking.checkedAt !== null) await announceChanges(sql, announce, userId, changes);
    return true;
  });
}

const DISBELIEVE_OTHER_LINK = `
  UPDATE github_permission p SET state = 'UNKNOWN' FROM github_permission_set s
  WHERE s.user_id = $1 AND s.link_id IS DISTINCT FROM $2::uuid
    AND p.user_id = $1 AND p.valid_until IS NOT NULL`;

// A set's rows are ALLOWED, or UNKNOWN since a fence, and the set is what it was.
const BELIEVE_AGAIN = `
  UPDATE github_permission SET state = 'ALLOWED'
  WHERE user_id = $1 AND valid_until IS NULL AND state <> 'ALLOWED'`;

// Told of as gained is what was not in the set; what is in it and UNKNOWN was allowed before.
const ADD_LISTED = `
  WITH old AS (
    SELECT repository_id, owner_id, state, valid_until FROM github_permission WHERE user_id = $1
  ), stored AS (
    INSERT INTO github_permission (user_id, repository_id, owner_id, state)
    SELECT $1, listed.repository_id, listed.owner_id, 'ALLOWED'::github_permission_state
    FROM unnest($2::bigint[], $3::bigint[]) AS listed(repository_id, owner_id)
    LEFT JOIN old USING (repository_id)
    WHERE old.repository_id IS NULL OR old.state <> 'ALLOWED' OR old.valid_until IS NOT NULL
      OR old.owner_id IS DISTINCT FROM listed.owner_id
    ON CONFLICT (user_id, repository_id) DO UPDATE SET owner_id = excluded.owner_id,
      state = excluded.state, checked_at = NULL, valid_until = NULL
    RETURNING repository_id
  )
  SELECT repository_id FROM stored LEFT JOIN old USING (repository_id)
  WHERE old.repository_id IS NULL OR (old.valid_until IS NOT NULL AND old.state <> 'ALLOWED')`;

// What is watched may be public: it is asked for by itself next, and nobody is told before. That it was
// answered once is kept, so that its loss is told.
const REMOVE_UNLISTED = `
  WITH unlisted AS (
    SELECT p.repository_id, p.repository_id IN (${WATCHED}) AS is_watched
    FROM github_permission p
    WHERE p.user_id = $1 AND p.valid_until IS NULL AND NOT EXISTS (
      SELECT FROM unnest($2::bigint[]) AS listed(id) WHERE listed.id = p.repository_id
    )
  ), kept AS (
    UPDATE github_permission p SET state = 'UNKNOWN', checked_at = $3::timestamptz,
      valid_until = $4::timestamptz
    FROM unlisted
    WHERE p.user_id = $1 AND p.repository_id = unlisted.repository_id AND unlisted.is_watched
  ), gone AS (
    DELETE FROM github_permission p USING unlisted
    WHERE p.user_id = $1 AND p.repository_id = unlisted.repository_id AND NOT unlisted.is_watched
    RETURNING p.repository_id
  )
  SELECT repository_id FROM gone`;

const REMOVE_UNWATCHED = `
  WITH gone AS (
    DELETE FROM github_permission p WHERE p.user_id = $1 AND p.valid_until IS NOT NULL
      AND p.repository_id NOT IN (${WATCHED})
    RETURNING p.repository_id, p.state
  )
  SELECT repository_id FROM gone WHERE state <> 'DENIED'`;

const ADD_WATCHED = `
  INSERT INTO github_permission (user_id, repository_id, state, valid_until)
  SELECT DISTINCT $1::uuid, watched.github_id, 'UNKNOWN'::github_permission_state, $2::timestamptz
  FROM (${WATCHED}) watched ON CONFLICT DO NOTHING`;
