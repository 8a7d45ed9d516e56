import { createToken, hashToken, isToken } from '#auth/tokens.ts';
import type { Context, Services } from '#context.ts';
import type { Session } from '#generated/prisma/client.ts';
import { deriveKey } from '#lib/derive-key.ts';
import { UnauthenticatedError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { seal, unseal } from '#lib/seal.ts';
import { recordAudit } from './audit.ts';
import { COLUMNS } from './session.ts';

/** Honest clients refresh twice at once (two tabs, an answer that got lost): for so long both get the same. */
export const REFRESH_GRACE_SECONDS = 10;
/** One each 15 minutes for 90 days is fewer: a session that asks for more has to sign in again. */
export const REFRESHES_MAX = 10_000;

export interface RefreshedSession {
  readonly session: Session;
  readonly refreshToken: string;
  readonly accessToken: string;
  readonly accessTokenExpiresAt: Date;
}

// One statement, in this order: the session's row is taken first, and whoever ends it takes it too, so no
// token is made once that has committed; then the token is spent, which only one of many can do.
const ROTATE = `
  WITH live AS (
    UPDATE session s SET last_seen_at = naru_now(), refreshes = s.refreshes + 1
    FROM refresh_token r, users u
    WHERE r.token_hash = $1 AND r.used_at IS NULL AND s.id = r.session_id AND u.id = s.user_id
      AND s.ended_at IS NULL AND s.expires_at > naru_now() AND s.refreshes < $6
      AND s.last_seen_at > naru_now() - $5 * interval '1 hour'
      AND u.disabled_at IS NULL AND u.deleted_at IS NULL
    RETURNING s.*, r.id AS token_id
  ), spent AS (
    UPDATE refresh_token r SET used_at = naru_now(), successor_sealed = $2
    FROM live WHERE r.id = live.token_id AND r.used_at IS NULL RETURNING r.id, r.session_id
  ), successor AS (
    INSERT INTO refresh_token (id, session_id, token_hash, parent_id)
    SELECT $3, session_id, $4, id FROM spent RETURNING session_id
  )
  SELECT ${COLUMNS}, naru_now() AS now FROM live WHERE id IN (SELECT session_id FROM successor)`;

/**
 * Exchanges a refresh token for its successor and a new access token. The same token again within
 * 10 s gets the same successor while that is unused; later it ends the whole session, because one of
 * two holders is a thief. Throws `UnauthenticatedError`.
 */
export async function refreshSession(
  ctx: Context,
  input: { readonly refreshToken: string },
): Promise<RefreshedSession> {
  const { refreshToken } = input;
  if (!isToken('refreshToken', refreshToken)) throw refused();
  const successor = createToken('refreshToken');
  const hash = hashToken(refreshToken);
  const [rotated] = await ctx.database.query<Session & { now: Date }>(
    ROTATE,
    [
      hash,
      seal(sealingKey(ctx), successor, hash.toString('hex')),
      newId(),
      hashToken(successor),
      ctx.config.sessionIdleHours,
      REFRESHES_MAX,
    ],
    'rotate-refresh',
  );
  if (rotated !== undefined) {
    ctx.metrics.sessionRefreshes.inc({ outcome: 'rotated' });
    return withAccessToken(ctx, rotated, successor, rotated.now);
  }
  return refreshAgain(ctx, hash);
}

interface Spent extends Session {
  readonly now: Date;
  readonly isLive: boolean;
  readonly isWithinGrace: boolean;
  readonly isSuccessorUsed: boolean;
  readonly successorSealed: Buffer | null;
}

/** The token was spent before, or never counted. */
async function refreshAgain(ctx: Context, hash: Buffer): Promise<RefreshedSession> {
  const [spent] = await ctx.database.query<Spent>(
    `SELECT s.*, naru_now() AS now,
       s."endedAt" IS NULL AND s."expiresAt" > naru_now() AND u.disabled_at IS NULL AS "isLive",
       r.used_at > naru_now() - $2 * interval '1 second' AS "isWithinGrace",
       r.successor_sealed AS "successorSealed", child.used_at IS NOT NULL AS "isSuccessorUsed"
     FROM refresh_token r
     JOIN LATERAL (SELECT ${COLUMNS} FROM session WHERE id = r.session_id) s ON true
     JOIN users u ON u.id = s."userId"
     LEFT JOIN refresh_token child ON child.parent_id = r.id
     WHERE r.token_hash = $1 AND r.used_at IS NOT NULL`,
    [hash, REFRESH_GRACE_SECONDS],
    'find-spent-refresh',
  );
  if (spent === undefined || !spent.isLive) {
    ctx.metrics.sessionRefreshes.inc({ outcome: 'refused' });
    throw refused();
  }
  if (!spent.isWithinGrace) {
    await endStolen(ctx, spent);
    throw refused();
  }
  const successor =
    spent.successorSealed && !spent.isSuccessorUsed
      ? unseal(sealingKey(ctx), spent.successorSealed, hash.toString('hex'))
      : null;
  if (successor === null) {
    ctx.metrics.sessionRefreshes.inc({ outcome: 'refused' });
    throw refused();
  }
  ctx.metrics.sessionRefreshes.inc({ outcome: 'repeated' });
  return withAccessToken(ctx, spent, successor, spent.now);
}

async function endStolen(ctx: Context, { id, userId }: Session): Promise<void> {
  ctx.metrics.sessionRefreshes.inc({ outcome: 'reused' });
  await ctx.database.transaction(async (sql) => {
    const [ended] = await sql.query(
      `UPDATE session SET ended_at = naru_now(), end_reason = 'REFRESH_REUSED'
       WHERE id = $1 AND ended_at IS NULL RETURNING id`,
      [id],
    );
    if (ended === undefined) return;
    const actor = { userId: null, sessionId: id, ipAddress: ctx.origin.client.ipAddress };
    await recordAudit(sql, actor, {
      action: 'REFRESH_REUSED',
      subject: { type: 'User', id: userId },
    });
  });
  ctx.log.warn({ sessionId: id }, 'A refresh token came a second time: its session was ended');
}

/** For a session that was just opened or refreshed. */
export async function withAccessToken(
  app: Pick<Services, 'accessTokens'>,
  session: Session,
  refreshToken: string,
  now: Date,
): Promise<RefreshedSession> {
  const { token, expiresAt } = await app.accessTokens.sign({
    userId: session.userId,
    sessionId: session.id,
    now,
  });
  return { session, refreshToken, accessToken: token, accessTokenExpiresAt: expiresAt };
}

function sealingKey({ config }: Pick<Services, 'config'>): Buffer {
  return deriveKey(config.secretKey, 'refresh-token');
}

function refused(): UnauthenticatedError {
  return new UnauthenticatedError('The refresh token no longer counts: sign in again');
}
