import { ForbiddenError, InvalidInputError, UnauthenticatedError } from '#lib/errors.ts';
import { type InboxStart, startInbox } from '#resolvers/webhooks/inbox/start.ts';
import { readInbox } from '#resolvers/webhooks/inbox/status.ts';
import { builder } from '#schema/builder.ts';
import { IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY } from '#schema/idempotency.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { WebhookInbox } from './inbox.ts';

const ERRORS = [InvalidInputError, UnauthenticatedError, ForbiddenError, ...IDEMPOTENCY_ERRORS];

const StartFrom = builder.enumType('WebhookInboxStart', {
  description: 'Where an inbox begins.',
  values: {
    HISTORY: { description: 'Everything that is stored is pending, acknowledged or not.' },
    NOW: { description: 'Nothing is pending or leased until something new arrives.' },
  } as const,
});

const WebhookInboxStarted = builder
  .objectRef<{ readonly from: InboxStart }>('WebhookInboxStarted')
  .implement({
    description: 'The inbox has begun afresh.',
    fields: (t) => ({
      from: t.expose('from', { type: StartFrom, description: 'Where it began.' }),
      inbox: t.field({
        type: WebhookInbox,
        description: 'How the viewer stands now.',
        resolve: (_started, _args, ctx) => readInbox(ctx, {}),
      }),
    }),
  });

const StartInput = builder.inputType('StartWebhookInboxInput', {
  description: 'Where to begin.',
  fields: (t) => ({
    from: t.field({ type: StartFrom, required: true, description: 'All that is stored, or now.' }),
    idempotencyKey: t.string(IDEMPOTENCY_KEY),
  }),
});

builder.mutationField('startWebhookInbox', (t) =>
  t.field({
    type: WebhookInboxStarted,
    description:
      'Begins the viewer’s inbox afresh, with what they may read and watch at this moment. Dead and discarded letters stay, ' +
      'and with HISTORY what is leased. What is granted later still brings its stored history. Needs the scopes ' +
      '`webhooks:pull` and `webhooks:read`.',
    ...withBoth(
      withScope('webhooks:pull', 'webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 120, windowSeconds: 3_600 }),
    ),
    args: { input: t.arg({ type: StartInput, required: true, description: 'Where to begin.' }) },
    errors: {
      types: ERRORS,
      union: { name: 'StartWebhookInboxResult', description: 'What came of `startWebhookInbox`.' },
    },
    resolve: async (_root, { input }, ctx) => ({ from: await startInbox(ctx, input) }),
  }),
);
