import type { Sql } from '#database/client.ts';
import type { Announce } from '#outbox.ts';
import { PERMISSION_CHANGES_MAX, webhookPermissions } from '#pubsub/topics/webhook-permissions.ts';

/** The numbers at GitHub that a statement returns as `repository_id`. */
export async function idsOf(sql: Sql, text: string, values: readonly unknown[]): Promise<bigint[]> {
  const rows = await sql.query<{ readonly repository_id: string | null }>(text, values);
  return rows.flatMap(({ repository_id }) => (repository_id === null ? [] : BigInt(repository_id)));
}

/**
 * Tells open streams, once the transaction commits, which repositories the user has gained and lost. Its
 * entries are published in order, as long as the caller holds the lock of the user's set.
 */
export async function announceChanges(
  sql: Sql,
  announce: Announce,
  userId: string,
  changes: ReadonlyMap<bigint, boolean>,
): Promise<void> {
  if (changes.size === 0) return;
  const rows = await sql.query<{ readonly id: string; readonly githubId: string }>(
    'SELECT id, github_id AS "githubId" FROM webhook_repository WHERE github_id = ANY($1)',
    [[...changes.keys()].map(String)],
  );
  const known = rows.map(({ id, githubId }) => ({
    repositoryId: id,
    isAllowed: changes.get(BigInt(githubId)) ?? false,
  }));
  for (let at = 0; at < known.length; at += PERMISSION_CHANGES_MAX) {
    const part = known.slice(at, at + PERMISSION_CHANGES_MAX);
    await announce(webhookPermissions, userId, { userId, changes: part });
  }
}
