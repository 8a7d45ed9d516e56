import type { Role, Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { ConflictError, ForbiddenError, InvalidInputError, NotFoundError } from '#lib/errors.ts';
import { requireAdmin } from './access.ts';
import { actorOf, recordAudit } from './audit.ts';
import { type LockedAccount, lockAccount, lockViewer } from './locked-account.ts';
import { endSessions } from './session.ts';

/** From the next call of the account on. Throws `ConflictError` where no administrator would be left. */
export async function setUserRoles(
  ctx: Context,
  input: { readonly userId: string; readonly roles: readonly Role[] },
): Promise<string> {
  const roles = [...new Set(input.roles)];
  if (roles.length === 0) throw new InvalidInputError('An account has a role', 'input.roles');
  return change(ctx, input.userId, async (sql, viewer, account) => {
    if (!roles.includes('ADMIN')) await requireOtherAdmin(sql, account.id);
    await sql.query('UPDATE users SET roles = $2::role[], updated_at = naru_now() WHERE id = $1', [
      account.id,
      roles,
    ]);
    await recordAudit(sql, actorOf(ctx, viewer), {
      action: 'ROLES_CHANGED',
      subject: { type: 'User', id: account.id },
      details: { before: account.roles, after: roles },
    });
  });
}

/** Ends every session, and refuses sign-ins and personal access tokens until it is enabled. Twice is once. */
export async function disableUser(
  ctx: Context,
  input: { readonly userId: string },
): Promise<string> {
  return change(ctx, input.userId, async (sql, viewer, account) => {
    if (account.isDisabled) return;
    await requireOtherAdmin(sql, account.id);
    await sql.query(
      'UPDATE users SET disabled_at = naru_now(), updated_at = naru_now() WHERE id = $1',
      [account.id],
    );
    await endSessions(sql, { userId: account.id, reason: 'ACCOUNT_DISABLED' });
    await recordAudit(sql, actorOf(ctx, viewer), {
      action: 'ACCOUNT_DISABLED',
      subject: { type: 'User', id: account.id },
    });
  });
}

/** Sessions that were ended stay ended; personal access tokens count again. Twice is once. */
export async function enableUser(
  ctx: Context,
  input: { readonly userId: string },
): Promise<string> {
  return change(ctx, input.userId, async (sql, viewer, account) => {
    if (!account.isDisabled) return;
    await sql.query('UPDATE users SET disabled_at = NULL, updated_at = naru_now() WHERE id = $1', [
      account.id,
    ]);
    await recordAudit(sql, actorOf(ctx, viewer), {
      action: 'ACCOUNT_ENABLED',
      subject: { type: 'User', id: account.id },
    });
  });
}

async function change(
  ctx: Context,
  userId: string,
  work: (sql: Sql, viewer: Viewer, account: LockedAccount) => Promise<void>,
): Promise<string> {
  const viewer = await requireAdmin(ctx);
  await ctx.database.transaction(async (sql) => {
    await lockAdmins(sql);
    // Whoever held the lock may have taken the viewer's role away, or ended what proves them.
    const { roles } = await lockViewer(sql, viewer);
    if (!roles.includes('ADMIN')) throw new ForbiddenError('Only administrators may do this');
    const account = await lockAccount(sql, userId);
    if (account === null) throw new NotFoundError('No such account');
    await work(sql, viewer, account);
  });
  return userId;
}

/**
 * Throws `ConflictError` where this account is the only administrator that can sign in: nobody could
 * make another. Takes the lock of `lockAdmins`, so that two who remove each other do not both succeed.
 */
export async function requireOtherAdmin(sql: Sql, userId: string): Promise<void> {
  await lockAdmins(sql);
  const admins = await sql.query<{ id: string }>(
    `SELECT id FROM users WHERE 'ADMIN' = ANY(roles) AND disabled_at IS NULL AND deleted_at IS NULL`,
  );
  const isOne = admins.some(({ id }) => id === userId);
  if (isOne && admins.length === 1) {
    throw new ConflictError('This is the last administrator: make another one first');
  }
}

/** Before any account's row lock, always, so that nobody waits in a circle. */
async function lockAdmins(sql: Sql): Promise<void> {
  await sql.query(`SELECT pg_advisory_xact_lock(hashtextextended('naru administrators', 0))`);
}
