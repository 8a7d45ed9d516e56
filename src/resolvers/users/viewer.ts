import { ACCESS_TOKEN_SECONDS } from '#auth/access-tokens.ts';
import type { Credential } from '#auth/credential.ts';
import { ALL_SCOPES, isScope, type Scope } from '#auth/scopes.ts';
import type { Account, Proof, Viewer } from '#auth/viewer.ts';
import type { Config } from '#config.ts';
import type { Sql } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';
import { UnauthenticatedError } from '#lib/errors.ts';

interface TokenRow extends Account {
  readonly tokenHash: Buffer;
  readonly tokenId: string;
  readonly scopes: string[];
}

interface SessionRow extends Account {
  readonly secretHash: Buffer | null;
  readonly sessionId: string;
  readonly transport: 'COOKIE' | 'TOKENS';
  readonly expiresAt: Date;
  readonly isFresh: boolean;
  readonly now: Date;
}

const ACCOUNT = `
  u.id, u.username, u.display_name AS "displayName", u.avatar_url AS "avatarUrl", u.email,
  u.email_verified_at AS "emailVerifiedAt", u.roles::text[] AS roles, u.disabled_at AS "disabledAt",
  u.deleted_at AS "deletedAt", u.created_at AS "createdAt", u.updated_at AS "updatedAt"`;
const COUNTS = 'u.disabled_at IS NULL AND u.deleted_at IS NULL';

// The updates note the use, at most once a minute, so that reading stays reading. They pass over what
// somebody holds: whoever ends a session must neither wait for a batch nor make it wait, and with it
// everybody who asks on this node; and two batches that share rows must not wait in a circle.
const FIND_TOKENS = `
  WITH found AS (
    SELECT t.token_hash AS "tokenHash", t.id AS "tokenId", t.scopes, t.last_used_at, ${ACCOUNT}
    FROM personal_access_token t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = ANY($1) AND t.revoked_at IS NULL
      AND (t.expires_at IS NULL OR t.expires_at > naru_now()) AND ${COUNTS}
  ), used AS (
    UPDATE personal_access_token SET last_used_at = naru_now()
    WHERE id IN (SELECT id FROM personal_access_token WHERE id IN (
                   SELECT "tokenId" FROM found
                   WHERE last_used_at IS NULL OR last_used_at < naru_now() - interval '1 minute')
                 FOR NO KEY UPDATE SKIP LOCKED)
  )
  SELECT * FROM found`;

const findSessions = (which: string) => `
  WITH found AS (
    SELECT s.secret_hash AS "secretHash", s.id AS "sessionId", s.transport, s.expires_at AS "expiresAt",
           s.authenticated_at > naru_now() - interval '15 minutes' AS "isFresh", s.last_seen_at,
           naru_now() AS now, ${ACCOUNT}
    FROM session s JOIN users u ON u.id = s.user_id
    WHERE ${which} AND s.ended_at IS NULL AND s.expires_at > naru_now()
      AND s.last_seen_at > naru_now() - $2 * interval '1 hour' AND ${COUNTS}
  ), seen AS (
    UPDATE session SET last_seen_at = naru_now()
    WHERE id IN (SELECT id FROM session WHERE id IN (
                   SELECT "sessionId" FROM found WHERE last_seen_at < naru_now() - interval '1 minute')
                 FOR NO KEY UPDATE SKIP LOCKED)
  )
  SELECT * FROM found`;
const FIND_COOKIES = findSessions('s.secret_hash = ANY($1)');
const FIND_ACCESS = findSessions(`s.id = ANY($1) AND s.transport = 'TOKENS'`);

/** Of the servers that a PostgreSQL fails over between. */
const CLOCKS_DIFFER_MS = 60_000;
const BATCH = { concurrency: 1, keysMax: 1_000 };
const ALL: ReadonlySet<Scope> = new Set(ALL_SCOPES);

/** The viewer that a credential stands for at this moment. Throws `UnauthenticatedError`. */
export type Authenticate = (credential: Credential) => Promise<Viewer>;

/**
 * Always from PostgreSQL, so that what was revoked is refused by the very next call on every node, and
 * there is no cache that could be wrong (docs/decisions/0013). Requests that arrive together share one
 * statement.
 */
export function createAuthenticator(
  sql: Sql,
  { sessionIdleHours }: Pick<Config, 'sessionIdleHours'>,
): Authenticate {
  const findTokens = createBatcher<string, TokenRow>(async (hashes) => {
    const rows = await sql.query<TokenRow>(FIND_TOKENS, [hashes.map(toBytes)], 'find-tokens');
    return new Map(rows.map((row) => [row.tokenHash.toString('hex'), row]));
  }, BATCH);
  const findCookies = createBatcher<string, SessionRow>(async (hashes) => {
    const values = [hashes.map(toBytes), sessionIdleHours];
    const rows = await sql.query<SessionRow>(FIND_COOKIES, values, 'find-cookies');
    return new Map(rows.map((row) => [row.secretHash?.toString('hex') ?? '', row]));
  }, BATCH);
  const findAccess = createBatcher<string, SessionRow>(async (ids) => {
    const values = [ids, sessionIdleHours];
    const rows = await sql.query<SessionRow>(FIND_ACCESS, values, 'find-access');
    return new Map(rows.map((row) => [row.sessionId, row]));
  }, BATCH);

  return async (credential) => {
    if (credential.kind === 'token') {
      const row = await findTokens(credential.hash);
      if (row === undefined) {
        throw new UnauthenticatedError('The token is unknown, expired or revoked');
      }
      const scopes = new Set(row.scopes.filter(isScope));
      return viewerOf(row, { kind: 'token', id: row.tokenId }, scopes);
    }
    const row = await (credential.kind === 'cookie'
      ? findCookies(credential.hash)
      : findAccess(credential.sessionId));
    if (row === undefined) throw new UnauthenticatedError('The session has ended: sign in again');
    if (credential.kind === 'access') requireTimely(credential.expiresAt, row.now);
    const { sessionId: id, transport, expiresAt, isFresh } = row;
    return viewerOf(row, { kind: 'session', id, transport, expiresAt, isFresh }, ALL);
  };
}

/** Also refuses what was signed in the future, by more than clocks differ, and what is no time at all. */
function requireTimely(expiresAt: Date, now: Date): void {
  const leftMs = expiresAt.getTime() - now.getTime();
  if (leftMs > 0 && leftMs <= ACCESS_TOKEN_SECONDS * 1_000 + CLOCKS_DIFFER_MS) return;
  throw new UnauthenticatedError('The access token has expired: refresh the session', {
    isExpired: true,
  });
}

function toBytes(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}

function viewerOf(row: Account, proof: Proof, scopes: ReadonlySet<Scope>): Viewer {
  const { id, username, displayName, avatarUrl, email, emailVerifiedAt } = row;
  const { roles, disabledAt, deletedAt, createdAt, updatedAt } = row;
  const user = {
    id,
    username,
    displayName,
    avatarUrl,
    email,
    emailVerifiedAt,
    roles,
    disabledAt,
    deletedAt,
    createdAt,
    updatedAt,
  };
  return { userId: id, user, roles: new Set(roles), scopes, proof };
}
