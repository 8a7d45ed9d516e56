import type { Account } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { showProfiles } from '#resolvers/users/access.ts';

/** Who is met in a room that the viewer may read: with names and picture, whoever they are. Null for nobody. */
export async function findProfile(ctx: Context, userId: string | null): Promise<Account | null> {
  if (userId === null) return null;
  showProfiles(ctx, [userId]);
  return (await ctx.loadUser(userId)) ?? null;
}
