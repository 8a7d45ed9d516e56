import { isOperator, type Viewer } from '#auth/viewer.ts';
import { type Context, perContext } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { Prisma } from '#generated/prisma/client.ts';
import type { VerificationOutcome } from '#generated/prisma/enums.ts';
import { createBatcher } from '#lib/batch.ts';

// The rule, once in words: a message of a source is read by those to whom, or to one of whose roles,
// the source is granted; an unverified one by operators and by nobody else. Either way with a token
// that has `webhooks:read`, on every path: also as a `node`, which asks for no scope of its own.

/** The rule as a condition, so that the statement that reads also decides. */
export function readableMessages(viewer: Viewer | null): Prisma.WebhookMessageWhereInput {
  const granted: Prisma.WebhookMessageWhereInput = {
    verification: { not: 'UNVERIFIED' },
    source: readableSources(viewer),
  };
  return readsUnverified(viewer) ? { OR: [granted, { verification: 'UNVERIFIED' }] } : granted;
}

/** A source is known to those it is granted to. */
export function readableSources(viewer: Viewer | null): Prisma.WebhookSourceWhereInput {
  return { grants: { some: grantsTo(viewer) } };
}

function grantsTo(viewer: Viewer | null): Prisma.WebhookSourceGrantWhereInput {
  if (!readsWebhooks(viewer)) return { id: { in: [] } };
  return { OR: [{ userId: viewer.userId }, { role: { in: [...viewer.roles] } }] };
}

/** The same rule for one thing at hand, asked of what is granted at this moment. */
export async function canReadMessage(
  ctx: Context,
  message: { readonly sourceId: string | null; readonly verification: VerificationOutcome },
): Promise<boolean> {
  if (message.verification === 'UNVERIFIED') return readsUnverified(ctx.viewer);
  return message.sourceId !== null && (await canReadSource(ctx, message.sourceId));
}

/** Whether the source is granted to the viewer or to one of their roles. */
export async function canReadSource(ctx: Context, sourceId: string): Promise<boolean> {
  return (await grantedSources(ctx)).has(sourceId);
}

const grantedSources = perContext(async (ctx): Promise<ReadonlySet<string>> => {
  if (!readsWebhooks(ctx.viewer)) return new Set();
  return (await ctx.loadGrants(ctx.viewer.userId)) ?? new Set();
});

/** The sources granted to an account or to one of its roles. */
export type GrantLoader = (userId: string) => Promise<ReadonlySet<string> | undefined>;

/**
 * Always from PostgreSQL, so that a revocation holds from the next hand-out on. Those who ask at once,
 * such as all the followers of a message, share one statement.
 */
export function createGrantLoader(sql: Sql): GrantLoader {
  return createBatcher<string, ReadonlySet<string>>(
    async (userIds) => {
      const rows = await sql.query<{ user_id: string; source_ids: string[] }>(
        `SELECT u.id AS user_id, array_agg(DISTINCT g.source_id)::text[] AS source_ids
         FROM users u JOIN webhook_source_grant g ON g.user_id = u.id OR g.role = ANY(u.roles)
         WHERE u.id = ANY($1) GROUP BY u.id`,
        [userIds],
        'load-grants',
      );
      return new Map(rows.map((row) => [row.user_id, new Set(row.source_ids)]));
    },
    { concurrency: 2, keysMax: 1_000 },
  );
}

function readsWebhooks(viewer: Viewer | null): viewer is Viewer {
  return viewer?.scopes.has('webhooks:read') ?? false;
}

function readsUnverified(viewer: Viewer | null): boolean {
  return readsWebhooks(viewer) && isOperator(viewer);
}
