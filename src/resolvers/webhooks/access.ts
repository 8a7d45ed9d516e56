import { isOperator, type Viewer } from '#auth/viewer.ts';
import { type Context, perContext } from '#context.ts';
import type { Prisma } from '#generated/prisma/client.ts';
import type { VerificationOutcome } from '#generated/prisma/enums.ts';

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
  const rows = await ctx.database.query<{ source_id: string }>(
    `SELECT source_id FROM webhook_source_grant
     WHERE user_id = $1 OR role::text = ANY($2)`,
    [ctx.viewer.userId, [...ctx.viewer.roles]],
    'list-granted-sources',
  );
  return new Set(rows.map((row) => row.source_id));
});

function readsWebhooks(viewer: Viewer | null): viewer is Viewer {
  return viewer?.scopes.has('webhooks:read') ?? false;
}

function readsUnverified(viewer: Viewer | null): boolean {
  return readsWebhooks(viewer) && isOperator(viewer);
}
