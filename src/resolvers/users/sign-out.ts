import type { Context } from '#context.ts';
import type { Prisma, Session } from '#generated/prisma/client.ts';
import { ForbiddenError, NotFoundError } from '#lib/errors.ts';
import { requireSession } from './access.ts';
import { actorOf, recordAudit } from './audit.ts';
import { lockAccount } from './locked-account.ts';
import { COLUMNS, endSessions } from './session.ts';

const HOUR_MS = 3_600_000;

/** Ends the session in use, or every one of the account; for guests there is none. */
export async function signOut(
  ctx: Context,
  { everywhere }: { readonly everywhere: boolean },
): Promise<{ readonly endedSessions: number }> {
  const { viewer } = ctx;
  if (viewer === null) {
    ctx.origin.setSessionCookie?.(null);
    return { endedSessions: 0 };
  }
  const { userId, proof } = viewer;
  if (proof.kind !== 'session') {
    throw new ForbiddenError('A personal access token is revoked, not signed out');
  }
  const result = await ctx.database.transaction(async (sql) => {
    // All of them: also one that is being opened at this moment.
    if (everywhere) await lockAccount(sql, userId);
    const ended = await endSessions(sql, {
      userId,
      reason: 'SIGNED_OUT',
      ...(!everywhere && { only: proof.id }),
    });
    if (ended.length > 0) {
      await recordAudit(sql, actorOf(ctx, { userId, proof }), {
        action: 'SIGNED_OUT',
        subject: { type: 'Session', id: proof.id },
        details: { everywhere, endedSessions: ended.length },
      });
    }
    return { endedSessions: ended.length };
  });
  // Not before: a cookie taken away from a session that lives on could never end it.
  ctx.origin.setSessionCookie?.(null);
  return result;
}

/** Ends one of the viewer's own. Throws `NotFoundError` for what is none. */
export async function revokeSession(
  ctx: Context,
  input: { readonly id: string },
): Promise<Session> {
  const viewer = await requireSession(ctx);
  const { userId } = viewer;
  return ctx.database.transaction(async (sql) => {
    const ended = await endSessions(sql, { userId, reason: 'REVOKED', only: input.id });
    if (ended.length > 0) {
      await recordAudit(sql, actorOf(ctx, viewer), {
        action: 'SESSION_REVOKED',
        subject: { type: 'Session', id: input.id },
      });
    }
    const [session] = await sql.query<Session>(
      `SELECT ${COLUMNS} FROM session WHERE id = $1 AND user_id = $2`,
      [input.id, userId],
    );
    if (session === undefined) throw new NotFoundError('No such session');
    return session;
  });
}

/** What is not over; by this process' clock, since it is only for looking at. */
export function liveSessions({ config }: Pick<Context, 'config'>): Prisma.SessionWhereInput {
  const now = Date.now();
  return {
    endedAt: null,
    expiresAt: { gt: new Date(now) },
    lastSeenAt: { gt: new Date(now - config.sessionIdleHours * HOUR_MS) },
  };
}
