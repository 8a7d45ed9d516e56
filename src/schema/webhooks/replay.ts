import { ForbiddenError, InvalidInputError, UnauthenticatedError } from '#lib/errors.ts';
import { SETTLE_MAX } from '#resolvers/webhooks/inbox/input.ts';
import { REPLAY_MAX, type Replayed, replayMessages } from '#resolvers/webhooks/inbox/replay.ts';
import { builder } from '#schema/builder.ts';
import { IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY } from '#schema/idempotency.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { parseFilter, WebhookMessageFilter } from './filter.ts';
import { WebhookMessage } from './message.ts';

const ERRORS = [InvalidInputError, UnauthenticatedError, ForbiddenError, ...IDEMPOTENCY_ERRORS];

const WebhookMessagesReplayed = builder.objectRef<Replayed>('WebhookMessagesReplayed').implement({
  description: 'What is pending again.',
  fields: (t) => ({
    count: t.exposeInt('count', { description: 'Messages made pending by this call.' }),
    hasMore: t.exposeBoolean('hasMore', {
      description: `Whether it stopped at ${REPLAY_MAX}: the same call, with another key, goes on.`,
    }),
  }),
});

const ReplayInput = builder.inputType('ReplayWebhookMessagesInput', {
  // Not `isOneOf`, which would make the key one of the choices.
  description: 'What to make pending again: exactly one of `filter` and `messageIds`.',
  fields: (t) => ({
    filter: t.field({
      type: WebhookMessageFilter,
      description:
        'All settled ones it lets through, e.g. those of a time range; `inboxStates` is refused here.',
    }),
    messageIds: t.globalIDList({ for: WebhookMessage, description: `These, 1–${SETTLE_MAX}.` }),
    idempotencyKey: t.string(IDEMPOTENCY_KEY),
  }),
});

builder.mutationField('replayWebhookMessages', (t) =>
  t.field({
    type: WebhookMessagesReplayed,
    description:
      'Makes settled messages, dead and discarded letters among them, pending again for the viewer and nobody else, as if never handed ' +
      `out. At most ${REPLAY_MAX} a call, oldest first. Needs the scopes \`webhooks:pull\` and \`webhooks:read\`.`,
    ...withBoth(
      withScope('webhooks:pull', 'webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 120, windowSeconds: 60 }),
    ),
    args: { input: t.arg({ type: ReplayInput, required: true, description: 'What to replay.' }) },
    errors: {
      types: ERRORS,
      union: {
        name: 'ReplayWebhookMessagesResult',
        description: 'What came of `replayWebhookMessages`.',
      },
    },
    resolve: (_root, { input }, ctx) =>
      replayMessages(ctx, {
        filter: input.filter ? parseFilter(input.filter) : null,
        messageIds: input.messageIds?.map(({ id }) => id) ?? null,
        idempotencyKey: input.idempotencyKey,
      }),
  }),
);
