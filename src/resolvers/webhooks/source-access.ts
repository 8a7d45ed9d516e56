// Who may know of a source, apart from who may read what it sends (`access.ts`): knowing one opens nothing.
import { isOperator, type Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import { ForbiddenError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { canReadSource } from './access.ts';
import { findReadableSource } from './readable.ts';

/** Whether the viewer makes and changes sources: OPERATOR or ADMIN, with a token that has `webhooks:manage`. */
export function managesSources(viewer: Viewer | null): boolean {
  return isOperator(viewer) && (viewer?.scopes.has('webhooks:manage') ?? false);
}

/** The viewer, read again; throws `ForbiddenError` unless they manage sources. */
export async function requireSourceManager(ctx: Context): Promise<Viewer> {
  const viewer = requireViewer(await ctx.refresh());
  if (!managesSources(viewer)) throw notForYou();
  return viewer;
}

export function notForYou(): ForbiddenError {
  return new ForbiddenError('Only operators may manage sources');
}

/** A source is known to those who manage it, and to those who may read anything of it. */
export async function canKnowSource(ctx: Context, sourceId: string): Promise<boolean> {
  return managesSources(ctx.viewer) || (await canReadSource(ctx, sourceId));
}

/** `canKnowSource` as the condition for the source with this id. */
export async function findKnownSource(
  ctx: Context,
  id: string,
): Promise<Awaited<ReturnType<typeof findReadableSource>>> {
  return managesSources(ctx.viewer) ? { id } : findReadableSource(ctx, id);
}
