// Repositories that GitHub does not list for a user, and that are asked for by themselves because the user
// watches them: those that are open to everybody.
import type { Sql } from '#database/client.ts';
import { transact } from '#outbox.ts';
import { announceChanges, idsOf } from './changes.ts';
import { type Asking, FRESH, lockSet } from './permission-set.ts';

/** At one asking; the others follow at the next. */
const SINGLES_MAX = 100;

/** What is to be asked for by itself, that was not since the asking began; UNKNOWN and oldest first. */
export async function listSingles(sql: Sql, asking: Asking): Promise<readonly bigint[]> {
  return idsOf(
    sql,
    `SELECT repository_id FROM github_permission
     WHERE user_id = $1 AND valid_until IS NOT NULL AND (checked_at IS NULL OR checked_at < $2)
     ORDER BY state <> 'UNKNOWN', checked_at NULLS FIRST, repository_id LIMIT ${SINGLES_MAX}`,
    [asking.userId, asking.beganAt],
  );
}

/** One repository's own answer; a null owner says that it may not be seen. Otherwise as `storeListed`. */
export function storeSingle(
  app: Parameters<typeof transact>[0],
  asking: Asking,
  repositoryId: bigint,
  ownerId: bigint | null,
): Promise<boolean> {
  const { userId, beganAt } = asking;
  const isAllowed = ownerId !== null;
  return transact(app, async (sql, announce) => {
    if ((await lockSet(sql, asking)) === 'OVERTAKEN') return false;
    const id = String(repositoryId);
    // One that has come into the set since needs no answer of its own.
    const changed = await idsOf(
      sql,
      `WITH old AS (
         SELECT state, checked_at FROM github_permission WHERE user_id = $1 AND repository_id = $2
       )
       UPDATE github_permission p SET state = $3::github_permission_state,
         owner_id = coalesce($4::bigint, p.owner_id), checked_at = $5::timestamptz,
         valid_until = $5::timestamptz + ${FRESH}
       FROM old WHERE p.user_id = $1 AND p.repository_id = $2 AND p.valid_until IS NOT NULL
         AND (p.checked_at IS NULL OR p.checked_at < $5)
       RETURNING CASE WHEN old.state <> p.state AND (p.state = 'ALLOWED' OR old.checked_at IS NOT NULL)
         THEN p.repository_id END AS repository_id`,
      [
        userId,
        id,
        isAllowed ? 'ALLOWED' : 'DENIED',
        ownerId === null ? null : String(ownerId),
        beganAt,
      ],
    );
    const changes = new Map(changed.map((changedId) => [changedId, isAllowed]));
    await announceChanges(sql, announce, userId, changes);
    return true;
  });
}
