import { isOperator, type Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import type { Prisma } from '#generated/prisma/client.ts';
import { ForbiddenError, UnauthenticatedError } from '#lib/errors.ts';

/** The viewer; throws `UnauthenticatedError` for guests. */
export function requireViewer(ctx: Context): Viewer {
  if (ctx.viewer === null)
    throw new UnauthenticatedError('Sign in, or send a personal access token');
  return ctx.viewer;
}

/** The viewer; throws `ForbiddenError` unless they are OPERATOR or ADMIN. */
export function requireOperator(ctx: Context): Viewer {
  const viewer = requireViewer(ctx);
  if (!isOperator(viewer)) throw new ForbiddenError('Only operators may do this');
  return viewer;
}

/** An account is known to itself, to AUDITOR and to ADMIN. */
export function canReadUser(ctx: Context, userId: string): boolean {
  const { viewer } = ctx;
  if (viewer === null) return false;
  return viewer.userId === userId || viewer.roles.has('AUDITOR') || viewer.roles.has('ADMIN');
}

/** `canReadUser` as a condition of a statement. */
export function readableUsers(ctx: Context): Prisma.UserWhereInput {
  const { viewer } = ctx;
  if (viewer === null) return { id: { in: [] } };
  const readsAll = viewer.roles.has('AUDITOR') || viewer.roles.has('ADMIN');
  return readsAll ? {} : { id: viewer.userId };
}

/** A token is shown to the account that it belongs to and to nobody else. */
export function canReadPersonalAccessToken(
  ctx: Context,
  token: { readonly userId: string },
): boolean {
  return ctx.viewer?.userId === token.userId;
}

/** `canReadPersonalAccessToken` as a condition of a statement. */
export function readablePersonalAccessTokens(ctx: Context): Prisma.PersonalAccessTokenWhereInput {
  return ctx.viewer === null ? { id: { in: [] } } : { userId: ctx.viewer.userId };
}
