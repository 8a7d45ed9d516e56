// Conditions for finding one thing by its id: what the viewer may not know of is not found.
import type { Context } from '#context.ts';
import type { WebhookRepository } from '#generated/prisma/client.ts';
import { canReadMessage, canReadRepository, canReadSource } from './access.ts';

interface ById {
  readonly id: string;
  readonly AND?: { readonly id: { readonly in: string[] } };
}

/** Throws `UnavailableError` while GitHub, whom it is to say, does not answer. */
export async function findReadableMessage(ctx: Context, id: string): Promise<ById> {
  const message = await ctx.prisma.webhookMessage.findUnique({
    where: { id },
    select: { sourceId: true, repositoryId: true, verification: true },
  });
  return byId(id, message !== null && (await canReadMessage(ctx, message)));
}

/** As `findReadableMessage`. */
export async function findReadableRepository(ctx: Context, id: string): Promise<ById> {
  return byId(id, (await readRepository(ctx, id)) !== null);
}

export async function findReadableSource(ctx: Context, id: string): Promise<ById> {
  return byId(id, await canReadSource(ctx, id));
}

/** Null where the viewer may not know of it. Throws as `findReadableMessage`. */
export async function readRepository(ctx: Context, id: string): Promise<WebhookRepository | null> {
  const repository = await ctx.prisma.webhookRepository.findUnique({ where: { id } });
  return repository !== null && (await canReadRepository(ctx, repository)) ? repository : null;
}

function byId(id: string, isReadable: boolean): ById {
  return isReadable ? { id } : { id, AND: { id: { in: [] } } };
}
