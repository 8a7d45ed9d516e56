import { isOperator, type Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { WebhookProvider } from '#generated/prisma/enums.ts';
import { ConflictError, NotFoundError, UnauthenticatedError } from '#lib/errors.ts';
import { notForYou, requireSourceManager } from './source-access.ts';

/**
 * Runs the work in a transaction of a viewer who manages sources, and whom nobody disables or demotes before
 * it commits; then this node knows of it at once, and the others within five seconds. Throws
 * `ForbiddenError` for everybody else.
 */
export async function changeSources<Value>(
  ctx: Context,
  work: (sql: Sql, viewer: Viewer) => Promise<Value>,
): Promise<Value> {
  const viewer = await requireSourceManager(ctx);
  const value = await ctx.database.transaction(async (sql) => {
    await lockManager(sql, viewer);
    return work(sql, viewer);
  });
  // It is done, whatever comes of this: the job that reads the sources tries again soon.
  await ctx.webhookSources
    .refresh()
    .catch((error: unknown) => ctx.log.warn({ err: error }, 'The sources could not be read again'));
  return value;
}

// The weakest lock that whoever changes the account has to wait for: two operators who grant something to each
// other do not wait in a circle.
async function lockManager(sql: Sql, viewer: Viewer): Promise<void> {
  const { userId, proof } = viewer;
  await sql.query(
    'SELECT id FROM users WHERE id = $1 FOR KEY SHARE',
    [userId],
    'lock-source-manager',
  );
  // A statement of its own: this lock hands out the row as it was when the statement began.
  const [account] = await sql.query<{ roles: Viewer['user']['roles'] }>(
    `SELECT roles::text[] AS roles FROM users
     WHERE id = $1 AND disabled_at IS NULL AND deleted_at IS NULL`,
    [userId],
    'read-source-manager',
  );
  const [standing] = await sql.query(
    proof.kind === 'session'
      ? 'SELECT id FROM session WHERE id = $1 AND ended_at IS NULL FOR SHARE'
      : 'SELECT id FROM personal_access_token WHERE id = $1 AND revoked_at IS NULL FOR SHARE',
    [proof.id],
    `share-${proof.kind}`,
  );
  if (account === undefined || standing === undefined) {
    throw new UnauthenticatedError('The account or session changed meanwhile: sign in again');
  }
  if (!isOperator({ ...viewer, roles: new Set(account.roles) })) throw notForYou();
}

export interface LockedSource {
  readonly id: string;
  readonly provider: WebhookProvider;
  readonly secretSetting: string | null;
  readonly isDeleted: boolean;
}

/** The source's row lock until the transaction ends, for which no projector waits. Throws `NotFoundError`. */
export async function lockSource(sql: Sql, sourceId: string): Promise<LockedSource> {
  const [source] = await sql.query<LockedSource>(
    `SELECT id, provider, secret_setting AS "secretSetting", deleted_at IS NOT NULL AS "isDeleted"
     FROM webhook_source WHERE id = $1 FOR NO KEY UPDATE`,
    [sourceId],
    'lock-webhook-source',
  );
  if (source === undefined) throw new NotFoundError('No such source');
  return source;
}

/** `lockSource` of one that takes webhooks; throws `ConflictError` for one that was deleted. */
export async function lockLiveSource(sql: Sql, sourceId: string): Promise<LockedSource> {
  const source = await lockSource(sql, sourceId);
  if (source.isDeleted) throw new ConflictError('This source was deleted');
  return source;
}
