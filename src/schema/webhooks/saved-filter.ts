import { encodeGlobalId } from '#lib/global-id.ts';
import type { WebhookFilter } from '#resolvers/webhooks/filter.ts';
import type { PayloadCondition } from '#resolvers/webhooks/payload-condition.ts';
import {
  canReadSavedFilter,
  ownSavedFilters,
  readConditions,
} from '#resolvers/webhooks/saved-filter.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity, withScope } from '#schema/policy.ts';

const Condition = builder.objectRef<PayloadCondition>('WebhookSavedPayloadCondition').implement({
  description: 'That the payload says this.',
  fields: (t) => ({
    path: t.exposeString('path', { description: 'As it was given.' }),
    equals: t.field({
      type: 'JSON',
      description: 'Text, a number or a boolean.',
      resolve: ({ equals }) => equals,
    }),
  }),
});

const texts = (name: 'sources' | 'eventNames' | 'actions' | 'branches' | 'senders') => ({
  nullable: true as const,
  description: 'Null where it asks for none.',
  resolve: (filter: WebhookFilter) => (filter[name] ? [...filter[name]] : null),
});

const Conditions = builder.objectRef<WebhookFilter>('WebhookSavedConditions').implement({
  description: 'What a saved filter asks for, as `WebhookMessageFilter` takes it.',
  fields: (t) => ({
    sources: t.stringList(texts('sources')),
    repositoryIds: t.idList({
      nullable: true,
      description: 'Null where it asks for none.',
      resolve: ({ repositoryIds }) =>
        repositoryIds?.map((id) => encodeGlobalId('WebhookRepository', id)) ?? null,
    }),
    eventNames: t.stringList(texts('eventNames')),
    actions: t.stringList(texts('actions')),
    branches: t.stringList(texts('branches')),
    senders: t.stringList(texts('senders')),
    payload: t.field({
      type: [Condition],
      nullable: true,
      description: 'Null where it asks for none.',
      resolve: ({ payload }) => (payload ? [...payload] : null),
    }),
    receivedFrom: t.expose('receivedFrom', {
      type: 'DateTime',
      nullable: true,
      description: 'Null where it asks for none.',
    }),
    receivedTo: t.expose('receivedTo', {
      type: 'DateTime',
      nullable: true,
      description: 'Null where it asks for none.',
    }),
  }),
});

export const WebhookSavedFilter = builder.prismaNode('WebhookSavedFilter', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description:
    'A filter with a name: its owner gives its id wherever messages are asked for. Shown to nobody else.',
  authScopes: (filter, ctx) => canReadSavedFilter(ctx, filter),
  findUnique: (id, ctx) => ({ id, AND: [ownSavedFilters(ctx)] }),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What its owner calls it; unique among theirs.' }),
    conditions: t.field({
      type: Conditions,
      description: 'What it asks for.',
      resolve: (filter) => readConditions(filter),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was saved.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When it was changed last.',
    }),
  }),
});

builder.queryField('webhookFilters', (t) =>
  t.prismaConnection(
    {
      type: WebhookSavedFilter,
      cursor: 'id',
      description: 'The viewer’s saved filters, oldest first. Needs the scope `webhooks:read`.',
      ...withScope('webhooks:read'),
      complexity: pageComplexity,
      resolve: (query, _root, _args, ctx) =>
        ctx.prisma.webhookSavedFilter.findMany({
          ...query,
          where: ownSavedFilters(ctx),
          orderBy: { id: 'asc' },
        }),
    },
    {
      name: 'WebhookSavedFilterConnection',
      description: 'A page of saved filters.',
    },
    { name: 'WebhookSavedFilterEdge', description: 'A saved filter and its place in the list.' },
  ),
);
