import type { Role, Viewer } from '#auth/viewer.ts';
import type { Sql } from '#database/client.ts';
import { UnauthenticatedError } from '#lib/errors.ts';

export interface LockedAccount {
  readonly id: string;
  readonly username: string;
  readonly displayName: string;
  readonly email: string | null;
  readonly isEmailVerified: boolean;
  readonly roles: Role[];
  readonly isDisabled: boolean;
  /** Null where the account has no password. */
  readonly passwordHash: string | null;
  /** Stays when the same password is hashed anew. */
  readonly passwordChangedAt: Date | null;
}

/**
 * The account's row lock until the transaction ends, and how the account stands now. Signing in,
 * changing a password, disabling and deleting all take it, so each sees what the other has done. Null
 * where there is no such account, or no longer.
 */
export async function lockAccount(sql: Sql, userId: string): Promise<LockedAccount | null> {
  const [locked] = await sql.query(
    'SELECT id FROM users WHERE id = $1 FOR UPDATE',
    [userId],
    'lock-account',
  );
  if (locked === undefined) return null;
  // A statement of its own: the one that waited for the lock still sees other tables as they were.
  const [account] = await sql.query<LockedAccount>(
    `SELECT u.id, u.username, u.display_name AS "displayName", u.email,
       u.email_verified_at IS NOT NULL AS "isEmailVerified", u.roles::text[] AS roles,
       u.disabled_at IS NOT NULL AS "isDisabled", p.hash AS "passwordHash",
       p.changed_at AS "passwordChangedAt"
     FROM users u LEFT JOIN password p ON p.user_id = u.id
     WHERE u.id = $1 AND u.deleted_at IS NULL`,
    [userId],
    'read-locked-account',
  );
  return account ?? null;
}

/**
 * `lockAccount` of the viewer, and the row lock of the session or token that proves them: for what hands
 * out credentials, or changes them. Whoever ends the proof comes before, and nothing is done; or after,
 * and ends what was done as well. Throws `UnauthenticatedError` where it was ended since it was read.
 */
export async function lockViewer(
  sql: Sql,
  { userId, proof }: Pick<Viewer, 'userId' | 'proof'>,
): Promise<LockedAccount> {
  const account = await lockAccount(sql, userId);
  const [standing] = await sql.query(
    proof.kind === 'session'
      ? 'SELECT id FROM session WHERE id = $1 AND ended_at IS NULL FOR NO KEY UPDATE'
      : 'SELECT id FROM personal_access_token WHERE id = $1 AND revoked_at IS NULL FOR NO KEY UPDATE',
    [proof.id],
    `lock-${proof.kind}`,
  );
  if (account === null || account.isDisabled || standing === undefined) {
    throw new UnauthenticatedError('The account or session changed meanwhile: sign in again');
  }
  return account;
}
