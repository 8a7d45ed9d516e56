// Apart from the type, which the input of every filter names.
import type { WebhookSavedFilter as SavedFilterRow } from '#generated/prisma/client.ts';
import {
  ConflictError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import {
  createSavedFilter,
  deleteSavedFilter,
  FILTER_NAME_LENGTH_MAX,
  SAVED_FILTERS_MAX,
  updateSavedFilter,
} from '#resolvers/webhooks/saved-filter.ts';
import { builder } from '#schema/builder.ts';
import { IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY } from '#schema/idempotency.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { parseFilter, WebhookMessageFilter } from './filter.ts';
import { WebhookSavedFilter } from './saved-filter.ts';

const POLICY = withBoth(
  withScope('webhooks:pull', 'webhooks:read'),
  withRateLimit({ by: 'VIEWER', limit: 600, windowSeconds: 3_600 }),
);
const SCOPES = 'Needs the scopes `webhooks:pull` and `webhooks:read`.';
const ERRORS = [InvalidInputError, UnauthenticatedError, ForbiddenError, ConflictError];

const name = `What to call it, 1–${FILTER_NAME_LENGTH_MAX} characters, unique among the viewer’s own.`;
const conditions = 'What it asks for; `inboxStates` and `savedFilterId` are refused here.';

const CreateInput = builder.inputType('CreateWebhookFilterInput', {
  description: 'What to save.',
  fields: (t) => ({
    name: t.string({ required: true, description: name }),
    filter: t.field({ type: WebhookMessageFilter, required: true, description: conditions }),
    idempotencyKey: t.string(IDEMPOTENCY_KEY),
  }),
});

const WebhookFilterCreated = builder.objectRef<SavedFilterRow>('WebhookFilterCreated').implement({
  description: 'It can be given as `savedFilterId` from now on.',
  fields: (t) => ({
    filter: t.field({
      type: WebhookSavedFilter,
      description: 'The new filter.',
      resolve: (saved) => saved,
    }),
  }),
});

builder.mutationField('createWebhookFilter', (t) =>
  t.field({
    type: WebhookFilterCreated,
    description: `Saves a filter for the viewer, who has ${SAVED_FILTERS_MAX} at most. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: CreateInput, required: true, description: 'What to save.' }) },
    errors: {
      types: [...ERRORS, NotFoundError, ...IDEMPOTENCY_ERRORS],
      union: {
        name: 'CreateWebhookFilterResult',
        description: 'What came of `createWebhookFilter`.',
      },
    },
    resolve: (_root, { input }, ctx) =>
      createSavedFilter(ctx, { ...input, filter: parseFilter(input.filter) }),
  }),
);

const UpdateInput = builder.inputType('UpdateWebhookFilterInput', {
  description: 'Which filter to change, and to what; what is absent or null stays.',
  fields: (t) => ({
    id: t.globalID({ for: WebhookSavedFilter, required: true, description: 'The filter’s id.' }),
    name: t.string({ description: name }),
    filter: t.field({
      type: WebhookMessageFilter,
      description: `In the place of all that it asked for. ${conditions}`,
    }),
  }),
});

const WebhookFilterUpdated = builder.objectRef<SavedFilterRow>('WebhookFilterUpdated').implement({
  description: 'It counts as it is now, except for streams that began before.',
  fields: (t) => ({
    filter: t.field({
      type: WebhookSavedFilter,
      description: 'The filter as it is now.',
      resolve: (saved) => saved,
    }),
  }),
});

builder.mutationField('updateWebhookFilter', (t) =>
  t.field({
    type: WebhookFilterUpdated,
    description: `Changes a saved filter of the viewer’s. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: UpdateInput, required: true, description: 'What to change.' }) },
    errors: {
      types: [...ERRORS, NotFoundError, RateLimitedError],
      union: {
        name: 'UpdateWebhookFilterResult',
        description: 'What came of `updateWebhookFilter`.',
      },
    },
    resolve: (_root, { input }, ctx) =>
      updateSavedFilter(ctx, {
        id: input.id.id,
        name: input.name,
        filter: input.filter ? parseFilter(input.filter) : null,
      }),
  }),
);

const DeleteInput = builder.inputType('DeleteWebhookFilterInput', {
  description: 'Which filter to forget.',
  fields: (t) => ({
    id: t.globalID({ for: WebhookSavedFilter, required: true, description: 'The filter’s id.' }),
  }),
});

const WebhookFilterDeleted = builder
  .objectRef<{ readonly id: string }>('WebhookFilterDeleted')
  .implement({
    description: 'It can be given nowhere any more.',
    fields: (t) => ({
      id: t.globalID({
        description: 'What its id was.',
        resolve: ({ id }) => ({ type: WebhookSavedFilter, id }),
      }),
    }),
  });

builder.mutationField('deleteWebhookFilter', (t) =>
  t.field({
    type: WebhookFilterDeleted,
    description: `Forgets a saved filter of the viewer’s; streams that began with it go on. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: DeleteInput, required: true, description: 'Which.' }) },
    errors: {
      types: [
        InvalidInputError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        RateLimitedError,
      ],
      union: {
        name: 'DeleteWebhookFilterResult',
        description: 'What came of `deleteWebhookFilter`.',
      },
    },
    resolve: async (_root, { input }, ctx) => {
      await deleteSavedFilter(ctx, input.id.id);
      return { id: input.id.id };
    },
  }),
);
