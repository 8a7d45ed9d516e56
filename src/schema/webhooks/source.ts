import { canReadSource, readableSources } from '#resolvers/webhooks/access.ts';
import { builder } from '#schema/builder.ts';

const WebhookProvider = builder.enumType('WebhookProvider', {
  description: 'Who sends, and so how a webhook is signed, named and shaped.',
  values: {
    GITHUB: { description: 'GitHub, signed with `X-Hub-Signature-256`; JSON or form bodies.' },
    NONE: {
      description: 'Anybody: nothing is signed, and nothing that a body claims is believed.',
    },
  } as const,
});

builder.prismaNode('WebhookSource', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description: 'Where webhooks come from. Known to those it is granted to.',
  authScopes: (source, ctx) => canReadSource(ctx, source.id),
  findUnique: (id, ctx) => ({ id, AND: [readableSources(ctx.viewer)] }),
  fields: (t) => ({
    path: t.exposeString('path', {
      description:
        'First segments after `/webhook/`, e.g. `github` takes `/webhook/github/any/thing`.',
    }),
    provider: t.field({
      type: WebhookProvider,
      description: 'Who sends.',
      resolve: (source) => source.provider,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
  }),
});

export const WebhookRepository = builder.prismaNode('WebhookRepository', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description:
    'A repository that webhooks of one source are about. Known to those who may read the source.',
  authScopes: (repository, ctx) => canReadSource(ctx, repository.sourceId),
  findUnique: (id, ctx) => ({ id, AND: [{ source: readableSources(ctx.viewer) }] }),
  fields: (t) => ({
    providerId: t.exposeString('providerId', {
      description: "The provider's own id, which stays when the name changes.",
    }),
    fullName: t.exposeString('fullName', {
      description: 'As last seen, e.g. `octocat/Hello.World`.',
    }),
  }),
});
