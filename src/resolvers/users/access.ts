import { isOperator, type Proof, type Viewer } from '#auth/viewer.ts';
import { type Context, perContext } from '#context.ts';
import type { Prisma } from '#generated/prisma/client.ts';
import { ForbiddenError, UnauthenticatedError } from '#lib/errors.ts';

/** The viewer; throws `UnauthenticatedError` for guests. */
export function requireViewer(ctx: Context): Viewer {
  if (ctx.viewer === null)
    throw new UnauthenticatedError('Sign in, or send a personal access token');
  return ctx.viewer;
}

/** A viewer who signed in, rather than sent a personal access token. */
export interface SignedInViewer extends Viewer {
  readonly proof: Extract<Proof, { kind: 'session' }>;
}

/**
 * The viewer, read again, who has signed in: what decides over an account is not for scripts. Throws
 * `UnauthenticatedError` for guests and `ForbiddenError` for a personal access token.
 */
export async function requireSession(ctx: Context): Promise<SignedInViewer> {
  // Read again: a session must not outlive its end in a field that came late in its request.
  const viewer = requireViewer(await ctx.refresh());
  const { proof } = viewer;
  if (proof.kind !== 'session') {
    throw new ForbiddenError('This needs a session: a personal access token cannot do it');
  }
  return { ...viewer, proof };
}

/** The viewer, read again; throws `ForbiddenError` unless they are ADMIN. */
export async function requireAdmin(ctx: Context): Promise<Viewer> {
  const viewer = requireViewer(await ctx.refresh());
  if (!viewer.roles.has('ADMIN')) throw new ForbiddenError('Only administrators may do this');
  return viewer;
}

const proven = perContext(() => new Set<string>());

/**
 * The answer to signing in shows the account and session although the request came from a guest: it
 * has just proven whose they are.
 */
export function showProven(ctx: Context, ...ids: readonly string[]): void {
  for (const id of ids) proven(ctx).add(id);
}

/** The viewer; throws `ForbiddenError` unless they are OPERATOR or ADMIN. */
export function requireOperator(ctx: Context): Viewer {
  const viewer = requireViewer(ctx);
  if (!isOperator(viewer)) throw new ForbiddenError('Only operators may do this');
  return viewer;
}

const shown = perContext(() => new Set<string>());

/** Lets this request show the names and pictures of accounts: another domain's rule has said that it may. */
export function showProfiles(ctx: Context, userIds: Iterable<string | null>): void {
  for (const userId of userIds) if (userId !== null) shown(ctx).add(userId);
}

/** An account is known to itself, to AUDITOR and ADMIN with a token that has `users:read`, and to who is shown it. */
export function canReadUser(ctx: Context, userId: string): boolean {
  return ctx.viewer?.userId === userId || canReadAccount(ctx, userId) || shown(ctx).has(userId);
}

/**
 * What of an account is more than its name and picture: for itself, with `viewer:read`, and for AUDITOR and ADMIN
 * with `users:read`. A token for something else meets its own account, too, in rooms for one.
 */
export function canReadAccount(ctx: Context, userId: string): boolean {
  return ownIds(ctx).includes(userId) || readsAllUsers(ctx) || proven(ctx).has(userId);
}

/**
 * `canReadUser` as a condition of a statement, for what asks for no scope of its own, e.g. `node`: there
 * the viewer's own account needs `viewer:read`.
 */
export function readableUsers(ctx: Context): Prisma.UserWhereInput {
  return readsAllUsers(ctx) ? {} : { id: { in: ownIds(ctx) } };
}

function readsAllUsers({ viewer }: Context): boolean {
  if (viewer === null || !viewer.scopes.has('users:read')) return false;
  return viewer.roles.has('AUDITOR') || viewer.roles.has('ADMIN');
}

/** The viewer's own id; none for guests and for tokens that may not read the viewer. */
function ownIds({ viewer }: Context): string[] {
  return viewer?.scopes.has('viewer:read') ? [viewer.userId] : [];
}

/** A token is shown to the account that it belongs to and to nobody else. */
export function canReadPersonalAccessToken(
  ctx: Context,
  token: { readonly userId: string },
): boolean {
  return ctx.viewer?.userId === token.userId;
}

/** `canReadPersonalAccessToken` as a condition of a statement; needs `viewer:read`. */
export function readablePersonalAccessTokens(ctx: Context): Prisma.PersonalAccessTokenWhereInput {
  return { userId: { in: ownIds(ctx) } };
}

/** A session is shown to the account that it belongs to and to nobody else. */
export function canReadSession(
  ctx: Context,
  session: { readonly id: string; readonly userId: string },
): boolean {
  return ctx.viewer?.userId === session.userId || proven(ctx).has(session.id);
}

/** `canReadSession` as a condition of a statement; needs `viewer:read`. */
export function readableSessions(ctx: Context): Prisma.SessionWhereInput {
  return { userId: { in: ownIds(ctx) } };
}

/**
 * The audit log is read by AUDITOR and ADMIN, with a token that has `audit:read` also as a `node`,
 * which asks for no scope of its own.
 */
export function canReadAudit(ctx: Context): boolean {
  const { viewer } = ctx;
  if (viewer === null || !viewer.scopes.has('audit:read')) return false;
  return viewer.roles.has('AUDITOR') || viewer.roles.has('ADMIN');
}

/** `canReadAudit` as a condition of a statement. */
export function readableAuditEntries(ctx: Context): Prisma.AuditEntryWhereInput {
  return canReadAudit(ctx) ? {} : { id: { in: [] } };
}
