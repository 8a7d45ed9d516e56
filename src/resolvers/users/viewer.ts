import DataLoader from 'dataloader';
import { isScope } from '#auth/scopes.ts';
import { hashToken } from '#auth/tokens.ts';
import type { Role, Viewer } from '#auth/viewer.ts';
import type { Sql } from '#database/client.ts';
import { UnauthenticatedError } from '#lib/errors.ts';

interface Row {
  readonly token_hash: Buffer;
  readonly token_id: string;
  readonly scopes: string[];
  readonly user_id: string;
  readonly username: string;
  readonly roles: Role[];
}

// The update notes the use, at most once a minute a token, so that reading stays reading.
const FIND = `
  WITH found AS (
    SELECT t.token_hash, t.id AS token_id, t.scopes, t.last_used_at, u.id AS user_id, u.username, u.roles::text[] AS roles
    FROM personal_access_token t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = ANY($1) AND t.revoked_at IS NULL
      AND (t.expires_at IS NULL OR t.expires_at > naru_now())
  ), used AS (
    UPDATE personal_access_token SET last_used_at = naru_now()
    WHERE id IN (SELECT token_id FROM found
                 WHERE last_used_at IS NULL OR last_used_at < naru_now() - interval '1 minute')
  )
  SELECT token_hash, token_id, scopes, user_id, username, roles FROM found`;

/**
 * Finds who a token belongs to, always from PostgreSQL, so that a revoked token is refused by the
 * very next call. Requests that arrive in the same turn share one statement.
 */
export function createAuthenticator(sql: Sql): (token: string) => Promise<Viewer> {
  const loader = new DataLoader<string, Viewer | null>(
    async (hashes) => {
      const unique = [...new Set(hashes)].map((hash) => Buffer.from(hash, 'hex'));
      const rows = await sql.query<Row>(FIND, [unique], 'find-viewers');
      const viewers = new Map(rows.map((row) => [row.token_hash.toString('hex'), viewerOf(row)]));
      return hashes.map((hash) => viewers.get(hash) ?? null);
    },
    { cache: false, batchScheduleFn: (run) => setImmediate(run), maxBatchSize: 1_000 },
  );
  return async (token) => {
    const viewer = await loader.load(hashToken(token).toString('hex'));
    if (viewer === null) throw new UnauthenticatedError('The token is unknown, expired or revoked');
    return viewer;
  };
}

function viewerOf(row: Row): Viewer {
  return {
    userId: row.user_id,
    username: row.username,
    roles: new Set(row.roles),
    scopes: new Set(row.scopes.filter(isScope)),
    tokenId: row.token_id,
  };
}
