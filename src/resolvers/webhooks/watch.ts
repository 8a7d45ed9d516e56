import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { WebhookRepository } from '#generated/prisma/client.ts';
import { ConflictError, NotFoundError, UnavailableError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { freshenPermissions, gitHubIsAway } from './access.ts';
import { SETTLEABLE } from './access-sql.ts';
import { decideInbox, noteChange } from './inbox/sql.ts';

/** Repositories that an account watches by its own word: GitHub may be asked for each by itself. */
export const WATCHED_MAX = 150;

export interface WatchedRepository {
  readonly repositoryId: string;
  /** UNKNOWN while GitHub does not say whether it still may be read. */
  readonly permission: 'ALLOWED' | 'UNKNOWN';
  readonly isWatched: boolean;
}

/**
 * Puts a repository into the viewer's inbox and live streams, where it may be read: also a public one
 * that GitHub does not count among the viewer's, for which it is asked then. Twice is once. Throws
 * `NotFoundError` alike for what is not there and for what is not for the viewer, `UnavailableError` where
 * GitHub would have to say and does not, and `ConflictError` past 150.
 */
export async function watchRepository(
  ctx: Context,
  repositoryId: string,
): Promise<WatchedRepository> {
  const { userId } = requireViewer(ctx);
  await freshenPermissions(ctx);
  await assertRoom(ctx.database, userId, repositoryId);
  const known = await readPermission(ctx.database, userId, repositoryId);
  const permission = known ?? (await askForOne(ctx, userId, repositoryId));
  if (permission === null) throw await notForViewer(ctx, userId);
  await storeWatch(ctx, userId, repositoryId, true);
  return { repositoryId, permission, isWatched: true };
}

/**
 * Keeps a repository out of the viewer's inbox and live streams; pages still show it, and what is leased of it can be
 * settled, for as long as the viewer may read it: a public one that was not theirs is gone soon after. Twice is once. Throws what `watchRepository` does.
 */
export async function unwatchRepository(
  ctx: Context,
  repositoryId: string,
): Promise<WatchedRepository> {
  const { userId } = requireViewer(ctx);
  await freshenPermissions(ctx);
  const permission = await readPermission(ctx.database, userId, repositoryId);
  if (permission === null && (await readWatch(ctx.database, userId, repositoryId)) === null) {
    throw await notForViewer(ctx, userId);
  }
  await storeWatch(ctx, userId, repositoryId, false);
  return { repositoryId, permission: permission ?? 'UNKNOWN', isWatched: false };
}

/** Null where the viewer may not know of it. */
export async function findWatched(
  ctx: Context,
  { repositoryId, permission }: WatchedRepository,
): Promise<WebhookRepository | null> {
  if (permission !== 'ALLOWED') return null;
  return ctx.prisma.webhookRepository.findUnique({ where: { id: repositoryId } });
}

/** UNKNOWN only for what GitHub has let the user see before; null for all else that is not theirs to read. */
async function readPermission(
  sql: Sql,
  userId: string,
  repositoryId: string,
): Promise<'ALLOWED' | 'UNKNOWN' | null> {
  // A lane of a repository has the repository's id.
  const [known] = await sql.query<{ isReadable: boolean }>(
    `WITH ${SETTLEABLE}
     SELECT id IN (SELECT id FROM readable) AS "isReadable" FROM settleable WHERE id = $2`,
    [userId, repositoryId],
    'read-permission',
  );
  if (known === undefined) return null;
  return known.isReadable ? 'ALLOWED' : 'UNKNOWN';
}

/**
 * GitHub is asked for each watched repository that is not among the user's own, so it is watched before
 * anybody knows whether it may be, and not any more where it may not. A crash in between leaves a watch of
 * what stays unreadable. UNKNOWN is no answer here: the user must not learn from it that there is such a
 * repository.
 */
async function askForOne(
  ctx: Context,
  userId: string,
  repositoryId: string,
): Promise<'ALLOWED' | null> {
  const repository = await ctx.prisma.webhookRepository.findUnique({ where: { id: repositoryId } });
  if (repository === null || repository.githubId === null || ctx.github === null) return null;
  const before = await readWatch(ctx.database, userId, repositoryId);
  await storeWatch(ctx, userId, repositoryId, true);
  try {
    await ctx.permissions.refresh(userId);
    // The asking that this one joined may have begun before the watch; where it had not, nothing is asked.
    await ctx.permissions.refresh(userId);
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw error;
  }
  const permission = await readPermission(ctx.database, userId, repositoryId);
  if (permission === 'ALLOWED') return permission;
  await storeWatch(ctx, userId, repositoryId, before);
  await forgetAnswer(ctx, userId, repository.githubId);
  return null;
}

/** Of the repository by itself: an UNKNOWN that nobody asks about any more would hold up whole pages. */
function forgetAnswer(ctx: Context, userId: string, githubId: bigint): Promise<void> {
  return ctx.database.transaction(async (sql) => {
    // Whoever changes a user's permissions holds the lock of their set.
    await sql.query('SELECT 1 FROM github_permission_set WHERE user_id = $1 FOR UPDATE', [userId]);
    await sql.query(
      `DELETE FROM github_permission
       WHERE user_id = $1 AND repository_id = $2 AND valid_until IS NOT NULL AND state <> 'ALLOWED'`,
      [userId, String(githubId)],
    );
  });
}

async function notForViewer(
  ctx: Context,
  userId: string,
): Promise<NotFoundError | UnavailableError> {
  const isAway = ctx.github !== null && (await ctx.loadIsDue(userId)) === true;
  return isAway ? gitHubIsAway() : new NotFoundError('There is no such repository for you');
}

async function assertRoom(sql: Sql, userId: string, repositoryId: string): Promise<void> {
  const [others] = await sql.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM webhook_repository_watch
     WHERE user_id = $1 AND is_watched AND repository_id <> $2`,
    [userId, repositoryId],
  );
  if ((others?.count ?? 0) < WATCHED_MAX) return;
  throw new ConflictError(`An account watches at most ${WATCHED_MAX} repositories by name`);
}

async function readWatch(sql: Sql, userId: string, repositoryId: string): Promise<boolean | null> {
  const [watch] = await sql.query<{ isWatched: boolean }>(
    `SELECT is_watched AS "isWatched" FROM webhook_repository_watch
     WHERE user_id = $1 AND repository_id = $2`,
    [userId, repositoryId],
  );
  return watch?.isWatched ?? null;
}

/** Null forgets what the user said of it. */
function storeWatch(
  { database }: Pick<Context, 'database'>,
  userId: string,
  repositoryId: string,
  isWatched: boolean | null,
): Promise<void> {
  return decideInbox(database, userId, async (sql) => {
    if (isWatched === null) {
      await sql.query(
        'DELETE FROM webhook_repository_watch WHERE user_id = $1 AND repository_id = $2',
        [userId, repositoryId],
      );
    } else {
      // Again, where one change of a user's happens at a time: many at once must not pass it together.
      if (isWatched) await assertRoom(sql, userId, repositoryId);
      await sql.query(
        `INSERT INTO webhook_repository_watch AS known (user_id, repository_id, is_watched)
         VALUES ($1, $2, $3)
         ON CONFLICT (user_id, repository_id) DO UPDATE SET is_watched = excluded.is_watched`,
        [userId, repositoryId, isWatched],
      );
    }
    await noteChange(sql, userId);
  });
}
