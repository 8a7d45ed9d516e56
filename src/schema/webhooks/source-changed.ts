import type { ObjectFieldBuilder } from '@pothos/core';
import type { builder } from '#schema/builder.ts';
import { WebhookSource } from './source.ts';

/** What the mutations of sources answer with: the source as it is afterwards. */
export interface SourceChanged {
  readonly sourceId: string;
}

/** The field `source` of such an answer. */
export function sourceOf<Shape extends SourceChanged>(
  t: ObjectFieldBuilder<typeof builder.$inferSchemaTypes, Shape>,
) {
  return t.prismaField({
    type: WebhookSource,
    description: 'The source.',
    resolve: (query, { sourceId }, _args, ctx) =>
      ctx.prisma.webhookSource.findUniqueOrThrow({ ...query, where: { id: sourceId } }),
  });
}
