import { ALL_SCOPES, type Scope } from '#auth/scopes.ts';
import { createToken, hashToken } from '#auth/tokens.ts';
import type { Viewer } from '#auth/viewer.ts';
import type { Context, Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { PersonalAccessToken } from '#generated/prisma/client.ts';
import { ConflictError, ForbiddenError, InvalidInputError, NotFoundError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { requireViewer } from './access.ts';
import { actorOf, recordAudit, SYSTEM_ACTOR } from './audit.ts';
import { runOnce } from './idempotency.ts';
import { lockViewer } from './locked-account.ts';

export const TOKENS_MAX_PER_USER = 100;
export const TOKEN_DAYS_MAX = 366;

interface TokenInput {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly expiresInDays: number;
  readonly trustedDocumentsOnly?: boolean;
}

/** `token` is shown this once: only its hash is stored. */
export interface CreatedToken {
  readonly token: string;
  readonly personalAccessToken: PersonalAccessToken;
}

/** What the same call is answered with again: the token was shown the first time. */
export interface RepeatedToken {
  readonly token: null;
  readonly personalAccessToken: PersonalAccessToken;
}

/**
 * A new token for the viewer's own account, with no scope that the token in use does not have; once for
 * an idempotency key. One that is held to trusted documents makes only such. Throws `ForbiddenError` for a wider scope, `ConflictError` past 100 live tokens,
 * `NotFoundError` where the key's token is gone, and what `runOnce` does.
 */
export async function createPersonalAccessToken(
  ctx: Context,
  input: TokenInput & { readonly idempotencyKey?: string | null | undefined },
): Promise<CreatedToken | RepeatedToken> {
  // Read again: a revoked token must not outlive itself in a field that came late in its request.
  const viewer = requireViewer(await ctx.refresh());
  const wider = input.scopes.filter((scope) => !viewer.scopes.has(scope));
  if (wider.length > 0) {
    throw new ForbiddenError(`This token cannot give what it does not have: ${wider.join(', ')}`);
  }
  return ctx.database.transaction((sql) =>
    runOnce(sql, ctx, viewer, {
      field: 'createPersonalAccessToken',
      input,
      effect: async () => {
        const answer = await createWithinLimit(sql, ctx, viewer, input);
        return { answer, reference: { id: answer.personalAccessToken.id } };
      },
      replay: async ({ id }) => ({
        token: null,
        personalAccessToken: await getOwnToken(sql, viewer, id),
      }),
    }),
  );
}

async function createWithinLimit(
  sql: Sql,
  ctx: Context,
  viewer: Viewer,
  input: TokenInput,
): Promise<CreatedToken> {
  // One after another, so that many at once cannot pass the limit together.
  await lockViewer(sql, viewer);
  const notAfter = await findOwnExpiry(sql, viewer);
  const [held] = await sql.query<{ tokens: number }>(
    `SELECT count(*)::int AS tokens FROM personal_access_token
     WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > naru_now())`,
    [viewer.userId],
  );
  if ((held?.tokens ?? 0) >= TOKENS_MAX_PER_USER) {
    throw new ConflictError(
      `An account holds at most ${TOKENS_MAX_PER_USER} tokens: revoke one first`,
    );
  }
  const { proof } = viewer;
  const isHeld = proof.kind === 'token' && proof.trustedDocumentsOnly;
  const wanted = isHeld ? { ...input, trustedDocumentsOnly: true } : input;
  const created = await storeToken(sql, viewer.userId, wanted, notAfter);
  await recordAudit(sql, actorOf(ctx, viewer), {
    action: 'TOKEN_CREATED',
    subject: { type: 'PersonalAccessToken', id: created.personalAccessToken.id },
    details: { scopes: created.personalAccessToken.scopes },
  });
  return created;
}

/** A token makes none that outlives it: a chain of them would never end. Null for a session. */
async function findOwnExpiry(sql: Sql, { proof }: Viewer): Promise<Date | null> {
  if (proof.kind === 'session') return null;
  const [own] = await sql.query<{ expiresAt: Date | null }>(
    'SELECT expires_at AS "expiresAt" FROM personal_access_token WHERE id = $1',
    [proof.id],
  );
  return own?.expiresAt ?? null;
}

/** Makes a token of the viewer's useless from the next call on. Twice is the same as once. */
export async function revokePersonalAccessToken(
  ctx: Context,
  input: { readonly id: string },
): Promise<PersonalAccessToken> {
  const viewer = requireViewer(ctx);
  return ctx.database.transaction(async (sql) => {
    const [revoked] = await sql.query<PersonalAccessToken>(
      `UPDATE personal_access_token SET revoked_at = naru_now()
       WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL RETURNING ${COLUMNS}`,
      [input.id, viewer.userId],
    );
    if (revoked !== undefined) {
      await recordAudit(sql, actorOf(ctx, viewer), {
        action: 'TOKEN_REVOKED',
        subject: { type: 'PersonalAccessToken', id: input.id },
      });
      return revoked;
    }
    return getOwnToken(sql, viewer, input.id);
  });
}

async function getOwnToken(sql: Sql, { userId }: Viewer, id: string): Promise<PersonalAccessToken> {
  const [token] = await sql.query<PersonalAccessToken>(
    `SELECT ${COLUMNS} FROM personal_access_token WHERE id = $1 AND user_id = $2`,
    [id, userId],
  );
  if (token === undefined) throw new NotFoundError('No such token');
  return token;
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
    where: { username: input.username.toLowerCase(), disabledAt: null, deletedAt: null },
  });
  if (user === null) throw new NotFoundError(`No user is called ${JSON.stringify(input.username)}`);
  return app.database.transaction(async (sql) => {
    const created = await storeToken(sql, user.id, {
      name: 'command line',
      scopes: input.scopes ?? ALL_SCOPES,
      expiresInDays: input.expiresInDays,
    });
    await recordAudit(sql, SYSTEM_ACTOR, {
      action: 'TOKEN_CREATED',
      subject: { type: 'PersonalAccessToken', id: created.personalAccessToken.id },
      details: { scopes: created.personalAccessToken.scopes },
    });
    return created;
  });
}

/** `personal_access_token` as Prisma would read it. */
const COLUMNS = `id, user_id AS "userId", name, token_hash AS "tokenHash", scopes,
  trusted_documents_only AS "trustedDocumentsOnly", created_at AS "createdAt",
  expires_at AS "expiresAt", last_used_at AS "lastUsedAt", revoked_at AS "revokedAt"`;

async function storeToken(
  sql: Sql,
  userId: string,
  input: TokenInput,
  notAfter: Date | null = null,
): Promise<CreatedToken> {
  const { name, scopes, expiresInDays, trustedDocumentsOnly = false } = input;
  if (!(expiresInDays >= 1 && expiresInDays <= TOKEN_DAYS_MAX)) {
    throw new InvalidInputError(`A token lives 1 to ${TOKEN_DAYS_MAX} days`, 'input.expiresInDays');
  }
  const token = createToken('personalAccessToken');
  const [personalAccessToken] = await sql.query<PersonalAccessToken>(
    `INSERT INTO personal_access_token (id, user_id, name, token_hash, scopes, expires_at, trusted_documents_only)
     VALUES ($1, $2, $3, $4, $5, least(naru_now() + $6 * interval '1 day', $7), $8) RETURNING ${COLUMNS}`,
    [
      newId(),
      userId,
      name,
      hashToken(token),
      [...new Set(scopes)],
      expiresInDays,
      notAfter,
      trustedDocumentsOnly,
    ],
  );
  if (personalAccessToken === undefined) throw new Error('A token was not stored');
  return { token, personalAccessToken };
}
