// Who may read what, as pieces of SQL, so that the statement that hands out also decides. `$1` is always
// the user. A lane is read by those to whom, or to one of whose roles, its source is granted, and by those
// whom GitHub lets see its repository.

/** Once a statement: as a bare call PostgreSQL would make it again for every row. */
export const NOW = '(SELECT naru_now())';

// `link` has no row for who has not linked GitHub, or whose link GitHub takes no longer: nothing is theirs
// then. Its `valid_until` is null until GitHub was first asked with this link's token.
const OWN = `
  granted AS (
    SELECT DISTINCT g.source_id FROM webhook_source_grant g
    WHERE g.user_id = $1 OR g.role = ANY (SELECT unnest(u.roles) FROM users u WHERE u.id = $1)
  ), link AS (
    SELECT s.checked_at, coalesce(s.valid_until > ${NOW}, false) AS is_valid
    FROM github_account a
    LEFT JOIN github_permission_set s ON s.user_id = a.user_id AND s.link_id = a.id
    WHERE a.user_id = $1 AND a.state = 'LINKED'
  )`;

/** What GitHub said of repository `p`, as long as that counts. */
const COUNTS = `link.is_valid AND (p.valid_until IS NULL OR p.valid_until > ${NOW})`;

/** `readable`: the ids of the lanes that the user may read at this moment. */
export const READABLE = `${OWN}, readable AS (
    SELECT l.id FROM webhook_lane l JOIN granted g ON g.source_id = l.source_id
    UNION
    SELECT l.id FROM link
    JOIN github_permission p ON p.user_id = $1 AND p.state = 'ALLOWED' AND ${COUNTS}
    JOIN webhook_lane l ON l.github_id = p.repository_id
  )`;

// Where GitHub let the user in, and is to be asked again before anybody may say that it does so still.
const UNSURE_LANES = `
    SELECT l.id FROM link
    JOIN github_permission p ON p.user_id = $1 AND p.state <> 'DENIED'
      AND NOT (p.state = 'ALLOWED' AND ${COUNTS})
      -- One that was asked for by itself and never answered was never let in.
      AND (p.valid_until IS NULL OR p.checked_at IS NOT NULL)
    JOIN webhook_lane l ON l.github_id = p.repository_id
    WHERE link.checked_at IS NOT NULL`;

/** `readable`, and `unsure`: lanes of which GitHub's answer is missing, and which may not be skipped. */
export const READABLE_OR_UNSURE = `${READABLE}, unsure AS (
    (${UNSURE_LANES}
    UNION
    SELECT l.id FROM link JOIN webhook_lane l ON l.github_id IS NOT NULL
    WHERE link.checked_at IS NULL)
    EXCEPT SELECT id FROM readable
  )`;

/**
 * `settleable`: lanes whose messages the user may settle that they were handed. GitHub being away must not
 * cost the work of a worker, and settling shows nothing.
 */
export const SETTLEABLE = `${READABLE}, settleable AS (
    SELECT id FROM readable UNION (${UNSURE_LANES})
  )`;

/** For many users at once: $1, $2, $3 are users, sources and repositories of equal length. */
export const DECIDE = `
  SELECT k.user_id, k.source_id, k.repository_id, coalesce(NOT w.is_watched, false) AS "isMuted",
    CASE
      WHEN EXISTS (
        SELECT FROM webhook_source_grant g
        WHERE g.source_id = k.source_id AND (g.user_id = k.user_id
          OR g.role = ANY (SELECT unnest(u.roles) FROM users u WHERE u.id = k.user_id))
      ) THEN 'ALLOWED'
      WHEN r.github_id IS NULL OR a.id IS NULL THEN 'DENIED'
      WHEN s.valid_until IS NULL OR s.valid_until <= ${NOW} THEN 'UNKNOWN'
      WHEN p.state IS NOT NULL THEN
        CASE WHEN p.valid_until <= ${NOW} THEN 'UNKNOWN' ELSE p.state::text END
      WHEN s.is_stale THEN 'UNKNOWN'
      ELSE 'DENIED'
    END AS permission
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS k(user_id, source_id, repository_id)
  LEFT JOIN webhook_repository r ON r.id = k.repository_id
  LEFT JOIN webhook_repository_watch w
    ON w.user_id = k.user_id AND w.repository_id = k.repository_id
  LEFT JOIN github_account a ON a.user_id = k.user_id AND a.state = 'LINKED'
  LEFT JOIN github_permission_set s ON s.user_id = k.user_id AND s.link_id = a.id
  LEFT JOIN github_permission p ON p.user_id = k.user_id AND p.repository_id = r.github_id`;

/** Which of the users in $1 GitHub is to be asked about, before what it does not allow is called denied. */
export const FIND_DUE = `
  SELECT a.user_id FROM github_account a
  LEFT JOIN github_permission_set s ON s.user_id = a.user_id AND s.link_id = a.id
  WHERE a.user_id = ANY($1) AND a.state = 'LINKED'
    AND (s.valid_until IS NULL OR s.valid_until <= ${NOW} OR s.is_stale
      -- While GitHub is away an answer counts longer than it is fresh.
      OR s.checked_at <= ${NOW} - interval '5 minutes'
      OR EXISTS (
        SELECT FROM github_permission p WHERE p.user_id = a.user_id AND p.valid_until IS NOT NULL
          AND (p.state = 'UNKNOWN' OR p.valid_until <= ${NOW})
      ))`;

/** The sources of which each user in $1 may read anything. */
export const READABLE_SOURCES = `
  SELECT user_id, array_agg(DISTINCT source_id)::text[] AS source_ids FROM (
    SELECT u.id AS user_id, g.source_id
    FROM users u JOIN webhook_source_grant g ON g.user_id = u.id OR g.role = ANY(u.roles)
    WHERE u.id = ANY($1)
    UNION
    SELECT a.user_id, l.source_id
    FROM github_account a
    JOIN github_permission_set s ON s.user_id = a.user_id AND s.link_id = a.id
    JOIN github_permission p ON p.user_id = a.user_id AND p.state = 'ALLOWED'
    JOIN webhook_lane l ON l.github_id = p.repository_id
    WHERE a.user_id = ANY($1) AND a.state = 'LINKED' AND s.valid_until > ${NOW}
      AND (p.valid_until IS NULL OR p.valid_until > ${NOW})
  ) readable GROUP BY user_id`;
