import type { Account } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { showProfiles } from '#resolvers/users/access.ts';

/**
 * Who is met in a room that the viewer may read: with names and picture, whoever they are. Null for nobody, and once
 * the account is deleted, also until the job that takes it out of its rooms has run.
 */
export async function findProfile(ctx: Context, userId: string | null): Promise<Account | null> {
  if (userId === null) return null;
  showProfiles(ctx, [userId]);
  const account = await ctx.loadUser(userId);
  return account === undefined || account.deletedAt !== null ? null : account;
}

/** Several, in their order, without those who are not there any more. */
export async function findProfiles(ctx: Context, userIds: readonly string[]): Promise<Account[]> {
  const found = await Promise.all(userIds.map((userId) => findProfile(ctx, userId)));
  return found.filter((account) => account !== null);
}
