// GitHub's answers in PostgreSQL. Whoever changes anything of a user's answer holds the lock of the user's
// set first; the projector's fence takes those locks in the order of user ids.
import type { Database, Sql } from '#database/client.ts';

/** What an answer is asked for with, and believed by. */
export interface Asking {
  readonly userId: string;
  readonly linkId: string;
  readonly generation: string;
  /** When the asking began, by the database's clock. */
  readonly beganAt: Date;
}

export interface SetState extends Asking {
  /** Null where nothing was ever answered for this link. */
  readonly checkedAt: Date | null;
  /** The last answer has not been overtaken, and all that is watched was asked for. */
  readonly isSound: boolean;
  /** There are none for another link's answer. */
  readonly etags: readonly string[];
}

/** An answer counts for so long. */
export const FRESH = `interval '5 minutes'`;
/** So old an answer may get while GitHub does not give a newer one. */
const STALE = `interval '15 minutes'`;
/** Before an answer stops counting it is asked for again, where somebody follows it. */
const AHEAD = `interval '90 seconds'`;

/** What the user watches of GitHub's repositories known here, whatever the source. */
export const WATCHED = `
  SELECT r.github_id FROM webhook_repository_watch w
  JOIN webhook_repository r ON r.id = w.repository_id
  WHERE w.user_id = $1 AND w.is_watched AND r.github_id IS NOT NULL`;

const READ = `
  SELECT a.id AS "linkId", s.generation, s.user_id IS NOT NULL AS "isThere", naru_now() AS "beganAt",
    CASE WHEN s.link_id = a.id THEN s.checked_at END AS "checkedAt",
    CASE WHEN s.link_id = a.id THEN s.etags ELSE '{}' END AS etags,
    coalesce(s.link_id = a.id AND s.valid_until IS NOT NULL AND NOT s.is_stale, false)
      AND NOT EXISTS (${WATCHED} AND NOT EXISTS (
        SELECT FROM github_permission p WHERE p.user_id = $1 AND p.repository_id = r.github_id
      )) AS "isSound"
  FROM github_account a LEFT JOIN github_permission_set s ON s.user_id = a.user_id
  WHERE a.user_id = $1 AND a.state = 'LINKED'`;

/** Makes the set where there is none. Null for who has no link that GitHub takes. */
export async function readSet(sql: Sql, userId: string): Promise<SetState | null> {
  for (;;) {
    const [row] = await sql.query<Omit<SetState, 'userId'> & { readonly isThere: boolean }>(
      READ,
      [userId],
      'read-permission-set',
    );
    if (row === undefined) return null;
    const { isThere, ...state } = row;
    if (isThere) return { userId, ...state };
    await sql.query(
      'INSERT INTO github_permission_set (user_id) VALUES ($1) ON CONFLICT DO NOTHING',
      [userId],
    );
  }
}

/** Of these users, those of whom GitHub should be asked by now. */
export async function listDue(sql: Sql, userIds: readonly string[]): Promise<string[]> {
  // By the age of the answer and not by its end, which is later while GitHub is away.
  const old = `<= naru_now() - ${FRESH} + ${AHEAD}`;
  const rows = await sql.query<{ readonly userId: string }>(
    `SELECT a.user_id AS "userId" FROM github_account a
     LEFT JOIN github_permission_set s ON s.user_id = a.user_id AND s.link_id = a.id
     WHERE a.user_id = ANY($1) AND a.state = 'LINKED'
       AND (s.valid_until IS NULL OR s.is_stale OR s.checked_at ${old} OR EXISTS (
         SELECT FROM github_permission p WHERE p.user_id = a.user_id AND p.valid_until IS NOT NULL
           AND (p.state = 'UNKNOWN' OR p.checked_at ${old})))`,
    [userIds],
    'list-due-permissions',
  );
  return rows.map(({ userId }) => userId);
}

/**
 * GitHub gives no answer now: what it said last counts a little longer, where nothing has overtaken it. The
 * database's time.
 */
export function prolong(
  { database }: { readonly database: Database },
  { userId, linkId }: Asking,
): Promise<Date> {
  return database.transaction(async (sql) => {
    const [row] = await sql.query<{ readonly now: Date }>(LOCK, [userId, linkId]);
    await sql.query(
      `UPDATE github_permission_set SET valid_until = checked_at + ${STALE}
       WHERE user_id = $1 AND link_id = $2 AND valid_until IS NOT NULL`,
      [userId, linkId],
    );
    await sql.query(
      `UPDATE github_permission SET valid_until = checked_at + ${STALE}
       WHERE user_id = $1 AND valid_until IS NOT NULL AND checked_at IS NOT NULL
         AND state <> 'UNKNOWN'`,
      [userId],
    );
    return row?.now ?? new Date(0);
  });
}

const LOCK = `
  SELECT s.generation, s.checked_at AS "checkedAt", s.link_id AS "linkId", naru_now() AS now,
    EXISTS (SELECT FROM github_account a WHERE a.user_id = s.user_id AND a.id = $2) AS "isLinked"
  FROM github_permission_set s WHERE s.user_id = $1 FOR UPDATE`;

/**
 * Whether an answer to this asking still counts, held so until the transaction ends. NEWER: somebody has
 * asked later than this one, and has been answered already.
 */
export async function lockSet(sql: Sql, asking: Asking): Promise<'STILL' | 'NEWER' | 'OVERTAKEN'> {
  const { userId, linkId, generation, beganAt } = asking;
  const [row] = await sql.query<{
    readonly generation: string;
    readonly checkedAt: Date | null;
    readonly linkId: string | null;
    readonly isLinked: boolean;
  }>(LOCK, [userId, linkId], 'lock-permission-set');
  if (!row?.isLinked || row.generation !== generation) return 'OVERTAKEN';
  const isNewer = row.linkId === linkId && row.checkedAt !== null && row.checkedAt > beganAt;
  return isNewer ? 'NEWER' : 'STILL';
}
