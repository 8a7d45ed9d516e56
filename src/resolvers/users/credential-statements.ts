// What counts as proof of who is asking, said once: for whoever asks, and for what is open meanwhile.

/** Once a statement: by itself it is called for every row, which costs more than finding the row does. */
const NOW = '(SELECT naru_now())';
const ACCOUNT = `
  u.id, u.username, u.display_name AS "displayName", u.avatar_url AS "avatarUrl", u.email,
  u.email_verified_at AS "emailVerifiedAt", u.roles::text[] AS roles, u.disabled_at AS "disabledAt",
  u.deleted_at AS "deletedAt", u.created_at AS "createdAt", u.updated_at AS "updatedAt"`;
const COUNTS = 'u.disabled_at IS NULL AND u.deleted_at IS NULL';

// The updates note the use, at most once a minute, so that reading stays reading. They pass over what
// somebody holds: whoever ends a session must neither wait for a batch nor make it wait, and with it
// everybody who asks on this node; and two batches that share rows must not wait in a circle.

/** $1: SHA-256 of the tokens. `found` has those that count, by `key`. */
const onTokens = (columns: string, answer: string) => `
  WITH found AS (
    SELECT t.token_hash AS key, t.id AS "proofId", t.last_used_at ${columns}
    FROM personal_access_token t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = ANY($1) AND t.revoked_at IS NULL
      AND (t.expires_at IS NULL OR t.expires_at > ${NOW}) AND ${COUNTS}
  ), used AS (
    UPDATE personal_access_token SET last_used_at = ${NOW}
    WHERE id IN (SELECT id FROM personal_access_token WHERE id IN (
                   SELECT "proofId" FROM found
                   WHERE last_used_at IS NULL OR last_used_at < ${NOW} - interval '1 minute')
                 FOR NO KEY UPDATE SKIP LOCKED)
  )
  ${answer}`;

/** $1: keys of sessions; $2: hours after which an unused one is over. */
const onSessions = (key: string, condition: string, columns: string, answer: string) => `
  WITH found AS (
    SELECT ${key} AS key, s.id AS "proofId", s.last_seen_at ${columns}
    FROM session s JOIN users u ON u.id = s.user_id
    WHERE ${key} = ANY($1) AND ${condition} AND s.ended_at IS NULL AND s.expires_at > ${NOW}
      AND s.last_seen_at > ${NOW} - $2 * interval '1 hour' AND ${COUNTS}
  ), seen AS (
    UPDATE session SET last_seen_at = ${NOW}
    WHERE id IN (SELECT id FROM session WHERE id IN (
                   SELECT "proofId" FROM found WHERE last_seen_at < ${NOW} - interval '1 minute')
                 FOR NO KEY UPDATE SKIP LOCKED)
  )
  ${answer}`;

const ALL = 'SELECT * FROM found';
const SESSION = `, s.transport, s.expires_at AS "expiresAt",
  s.authenticated_at > ${NOW} - interval '15 minutes' AS "isFresh", ${NOW} AS now, ${ACCOUNT}`;
const TOKEN = `, t.scopes, t.trusted_documents_only AS "trustedDocumentsOnly", ${ACCOUNT}`;
const COOKIES = ['s.secret_hash', `s.transport = 'COOKIE'`] as const;
const ACCESS = ['s.id', `s.transport = 'TOKENS'`] as const;

/** The rows of those that count, with their accounts. */
export const FIND = {
  tokens: onTokens(TOKEN, ALL),
  cookies: onSessions(...COOKIES, SESSION, ALL),
  access: onSessions(...ACCESS, SESSION, ALL),
} as const;

const missing = (asked: string, isOver = 'false') => `
  SELECT place::int FROM ${asked}
  WHERE ${isOver} OR NOT EXISTS (SELECT FROM found WHERE found.key = asked.key)`;
const HASHES = 'unnest($1::bytea[]) WITH ORDINALITY AS asked(key, place)';

/** The places, from 1, of those in $1 that do not count; of access tokens $3 has their ends. */
export const FIND_ENDED = {
  tokens: onTokens('', missing(HASHES)),
  cookies: onSessions(...COOKIES, '', missing(HASHES)),
  access: onSessions(
    ...ACCESS,
    '',
    missing(
      'unnest($1::uuid[], $3::timestamptz[]) WITH ORDINALITY AS asked(key, expires_at, place)',
      `asked.expires_at <= ${NOW}`,
    ),
  ),
} as const;
