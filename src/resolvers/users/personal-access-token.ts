import { ALL_SCOPES, type Scope } from '#auth/scopes.ts';
import { createToken, hashToken } from '#auth/tokens.ts';
import type { Context, Services } from '#context.ts';
import { databaseNow } from '#database/now.ts';
import type { PersonalAccessToken } from '#generated/prisma/client.ts';
import { ConflictError, ForbiddenError, InvalidInputError, NotFoundError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { requireViewer } from './access.ts';

export const TOKENS_MAX_PER_USER = 100;
export const TOKEN_DAYS_MAX = 366;
const DAY_MS = 86_400_000;

/** `token` is shown this once: only its hash is stored. */
export interface CreatedToken {
  readonly token: string;
  readonly personalAccessToken: PersonalAccessToken;
}

/**
 * A new token for the viewer's own account, with no scope that the token in use does not have.
 * Throws `ForbiddenError` for a wider scope, `ConflictError` past 100 live tokens.
 */
export async function createPersonalAccessToken(
  ctx: Context,
  input: {
    readonly name: string;
    readonly scopes: readonly Scope[];
    readonly expiresInDays: number;
  },
): Promise<CreatedToken> {
  // Read again: a revoked token must not outlive itself in a field that came late in its request.
  const viewer = requireViewer(await ctx.refresh());
  const wider = input.scopes.filter((scope) => !viewer.scopes.has(scope));
  if (wider.length > 0) {
    throw new ForbiddenError(`This token cannot give what it does not have: ${wider.join(', ')}`);
  }
  const live = await ctx.prisma.personalAccessToken.count({
    where: { userId: viewer.userId, revokedAt: null },
  });
  if (live >= TOKENS_MAX_PER_USER) {
    throw new ConflictError(
      `An account holds at most ${TOKENS_MAX_PER_USER} tokens: revoke one first`,
    );
  }
  const created = await storeToken(ctx, viewer.userId, input);
  return created;
}

/** Makes a token of the viewer's useless from the next call on. Twice is the same as once. */
export async function revokePersonalAccessToken(
  ctx: Context,
  input: { readonly id: string },
): Promise<PersonalAccessToken> {
  const viewer = requireViewer(ctx);
  const token = await ctx.prisma.personalAccessToken.findFirst({
    where: { id: input.id, userId: viewer.userId },
  });
  if (token === null) throw new NotFoundError('No such token');
  if (token.revokedAt !== null) return token;
  return ctx.prisma.personalAccessToken.update({
    where: { id: token.id },
    data: { revokedAt: await databaseNow(ctx.database) },
  });
}

/** For the command line, which acts for whoever runs the server. Throws `NotFoundError`. */
export async function issueToken(
  app: Pick<Services, 'database' | 'prisma'>,
  input: {
    readonly username: string;
    readonly scopes?: readonly Scope[];
    readonly expiresInDays: number;
  },
): Promise<CreatedToken> {
  const user = await app.prisma.user.findUnique({
    where: { username: input.username.toLowerCase() },
  });
  if (user === null) throw new NotFoundError(`No user is called ${JSON.stringify(input.username)}`);
  return storeToken(app, user.id, {
    name: 'command line',
    scopes: input.scopes ?? ALL_SCOPES,
    expiresInDays: input.expiresInDays,
  });
}

async function storeToken(
  app: Pick<Services, 'database' | 'prisma'>,
  userId: string,
  input: {
    readonly name: string;
    readonly scopes: readonly Scope[];
    readonly expiresInDays: number;
  },
): Promise<CreatedToken> {
  const { name, scopes, expiresInDays } = input;
  if (!(expiresInDays >= 1 && expiresInDays <= TOKEN_DAYS_MAX)) {
    throw new InvalidInputError(`A token lives 1 to ${TOKEN_DAYS_MAX} days`, 'input.expiresInDays');
  }
  const now = await databaseNow(app.database);
  const token = createToken('personalAccessToken');
  const personalAccessToken = await app.prisma.personalAccessToken.create({
    data: {
      id: newId(),
      userId,
      name,
      tokenHash: hashToken(token),
      scopes: [...new Set(scopes)],
      expiresAt: new Date(now.getTime() + expiresInDays * DAY_MS),
    },
  });
  return { token, personalAccessToken };
}
