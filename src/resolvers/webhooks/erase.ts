import type { Services } from '#context.ts';
import type { Entry } from '#pubsub/bus.ts';
import type { userDeleted } from '#pubsub/topics/users.ts';

const TABLES = [
  'webhook_source_grant',
  'webhook_inbox_floor',
  'webhook_delivery',
  'webhook_inbox',
  'webhook_repository_watch',
  'webhook_saved_filter',
  'github_permission',
  'github_permission_set',
];

/** Removes grants, permissions and inboxes of accounts that were deleted. Twice is the same as once. */
export async function eraseUsers(
  app: Pick<Services, 'database'>,
  batch: readonly Entry<typeof userDeleted.payload._output>[],
): Promise<void> {
  const userIds = batch.map(({ payload }) => payload.userId);
  for (const table of TABLES) {
    await app.database.query(`DELETE FROM ${table} WHERE user_id = ANY($1)`, [userIds]);
  }
}
