import { ACCESS_TOKEN_SECONDS } from '#auth/access-tokens.ts';
import type { Credential } from '#auth/credential.ts';
import { ALL_SCOPES, isScope, type Scope } from '#auth/scopes.ts';
import type { Account, Proof, Viewer } from '#auth/viewer.ts';
import type { Config } from '#config.ts';
import type { Sql } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';
import { UnauthenticatedError } from '#lib/errors.ts';
import { FIND } from './credential-statements.ts';

interface TokenRow extends Account {
  readonly key: Buffer;
  readonly proofId: string;
  readonly scopes: string[];
  readonly trustedDocumentsOnly: boolean;
}

interface SessionRow extends Account {
  readonly proofId: string;
  readonly transport: 'COOKIE' | 'TOKENS';
  readonly expiresAt: Date;
  readonly isFresh: boolean;
  readonly now: Date;
}

interface CookieRow extends SessionRow {
  readonly key: Buffer;
}

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
    const rows = await sql.query<TokenRow>(FIND.tokens, [hashes.map(toBytes)], 'find-tokens');
    return new Map(rows.map((row) => [row.key.toString('hex'), row]));
  }, BATCH);
  const findCookies = createBatcher<string, SessionRow>(async (hashes) => {
    const values = [hashes.map(toBytes), sessionIdleHours];
    const rows = await sql.query<CookieRow>(FIND.cookies, values, 'find-cookies');
    return new Map(rows.map((row) => [row.key.toString('hex'), row]));
  }, BATCH);
  const findAccess = createBatcher<string, SessionRow>(async (ids) => {
    const values = [ids, sessionIdleHours];
    const rows = await sql.query<SessionRow>(FIND.access, values, 'find-access');
    return new Map(rows.map((row) => [row.proofId, row]));
  }, BATCH);

  return async (credential) => {
    if (credential.kind === 'token') {
      const row = await findTokens(credential.hash);
      if (row === undefined) {
        throw new UnauthenticatedError('The token is unknown, expired or revoked');
      }
      const { proofId: id, trustedDocumentsOnly } = row;
      const scopes = new Set(row.scopes.filter(isScope));
      return viewerOf(row, { kind: 'token', id, trustedDocumentsOnly }, scopes);
    }
    const row = await (credential.kind === 'cookie'
      ? findCookies(credential.hash)
      : findAccess(credential.sessionId));
    if (row === undefined) throw new UnauthenticatedError('The session has ended: sign in again');
    if (credential.kind === 'access') requireTimely(credential.expiresAt, row.now);
    const { proofId: id, transport, expiresAt, isFresh } = row;
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
