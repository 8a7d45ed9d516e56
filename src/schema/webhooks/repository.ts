import { canReadRepository } from '#resolvers/webhooks/access.ts';
import { findReadableRepository } from '#resolvers/webhooks/readable.ts';
import { builder } from '#schema/builder.ts';

export const WebhookRepository = builder.prismaNode('WebhookRepository', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description:
    'A repository that webhooks of one source are about. Known to those who may read its messages.',
  authScopes: (repository, ctx) => canReadRepository(ctx, repository),
  findUnique: (id, ctx) => findReadableRepository(ctx, id),
  fields: (t) => ({
    providerId: t.exposeString('providerId', {
      description: "The provider's own id, which stays when the name changes.",
    }),
    fullName: t.exposeString('fullName', {
      description: 'As last seen, e.g. `octocat/Hello.World`.',
    }),
  }),
});
