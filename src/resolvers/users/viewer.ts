import { isScope } from '#auth/scopes.ts';
import { hashToken } from '#auth/tokens.ts';
import type { Role, Viewer } from '#auth/viewer.ts';
import type { Sql } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';
import { UnauthenticatedError } from '#lib/errors.ts';

interface Row {
  readonly token_hash: Buffer;
  readonly token_id: string;
  readonly scopes: string[];
  readonly userId: string;
  readonly username: string;
  readonly displayName: string;
  readonly roles: Role[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

// The update notes the use, at most once a minute a token, so that reading stays reading.
const FIND = `
  WITH found AS (
    SELECT t.token_hash, t.id AS token_id, t.scopes, t.last_used_at, u.id, u.username,
           u.display_name, u.roles::text[] AS roles, u.created_at, u.updated_at
    FROM personal_access_token t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = ANY($1) AND t.revoked_at IS NULL
      AND (t.expires_at IS NULL OR t.expires_at > naru_now())
  ), used AS (
    UPDATE personal_access_token SET last_used_at = naru_now()
    WHERE id IN (SELECT token_id FROM found
                 WHERE last_used_at IS NULL OR last_used_at < naru_now() - interval '1 minute')
  )
  SELECT token_hash, token_id, scopes, id AS "userId", username, display_name AS "displayName", roles,
         created_at AS "createdAt", updated_at AS "updatedAt" FROM found`;

/**
 * Finds who a token belongs to, always from PostgreSQL, so that a revoked token is refused by the
 * very next call. Requests that arrive together share one statement.
 */
export function createAuthenticator(sql: Sql): (token: string) => Promise<Viewer> {
  const load = createBatcher<string, Viewer>(
    async (hashes) => {
      const values = hashes.map((hash) => Buffer.from(hash, 'hex'));
      const rows = await sql.query<Row>(FIND, [values], 'find-viewers');
      return new Map(rows.map((row) => [row.token_hash.toString('hex'), viewerOf(row)]));
    },
    { concurrency: 1, keysMax: 1_000 },
  );
  return async (token) => {
    const viewer = await load(hashToken(token).toString('hex'));
    if (viewer === undefined) {
      throw new UnauthenticatedError('The token is unknown, expired or revoked');
    }
    return viewer;
  };
}

function viewerOf(row: Row): Viewer {
  const { userId, username, displayName, roles, createdAt, updatedAt } = row;
  return {
    userId,
    user: { id: userId, username, displayName, roles, createdAt, updatedAt },
    roles: new Set(roles),
    scopes: new Set(row.scopes.filter(isScope)),
    tokenId: row.token_id,
  };
}
