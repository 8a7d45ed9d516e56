import {
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { LEASE_SECONDS_MAX } from '#resolvers/webhooks/inbox/input.ts';
import {
  type Delivery,
  IN_FLIGHT_MAX,
  PULL_LIMIT_MAX,
  type Pulled,
  pullMessages,
  WAIT_SECONDS_MAX,
} from '#resolvers/webhooks/inbox/pull.ts';
import { ATTEMPTS_MAX } from '#resolvers/webhooks/inbox/sql.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { parseFilter, WebhookMessageFilter } from './filter.ts';
import { WebhookMessage } from './message.ts';

const ERRORS = [InvalidInputError, UnauthenticatedError, ForbiddenError, RateLimitedError];

export const WebhookDelivery = builder.objectRef<Delivery>('WebhookDelivery').implement({
  description: 'One message, leased to the viewer.',
  fields: (t) => ({
    receipt: t.exposeString('receipt', {
      description: 'Settles or extends this lease and no other. Worth nothing to another account.',
    }),
    attempt: t.exposeInt('attempt', {
      description: `How often it was handed out, this time included; after ${ATTEMPTS_MAX} in vain it is dead.`,
    }),
    leaseExpiresAt: t.expose('leaseExpiresAt', {
      type: 'DateTime',
      description: 'From then on it is pending again and the receipt is refused.',
    }),
    message: t.prismaField({
      type: WebhookMessage,
      // Whatever becomes of it, the receipt is not lost with it.
      nullable: true,
      description:
        'The message; null, beside an error, where it may not be seen any more, or is no longer kept.',
      resolve: async (query, delivery, _args, ctx) => {
        const message = await ctx.prisma.webhookMessage.findUnique({
          ...query,
          where: { id: delivery.messageId },
        });
        if (message === null) throw new NotFoundError('The message is no longer kept');
        return message;
      },
    }),
  }),
});

const WebhookMessagesPulled = builder.objectRef<Pulled>('WebhookMessagesPulled').implement({
  description: 'What was leased; nothing where nothing was pending.',
  fields: (t) => ({
    deliveries: t.field({
      type: [WebhookDelivery],
      description: 'Oldest first.',
      complexity: { field: 1, multiplier: 1 },
      resolve: ({ deliveries }) => [...deliveries],
    }),
    hasMore: t.exposeBoolean('hasMore', {
      description: 'Whether another pull would find something at once.',
    }),
  }),
});

const PullInput = builder.inputType('PullWebhookMessagesInput', {
  description: 'How much to lease, and for how long.',
  fields: (t) => ({
    limit: t.int({
      required: true,
      defaultValue: 10,
      description: `Messages at most, 1–${PULL_LIMIT_MAX}; fewer where their bodies together would pass 32 MiB.`,
    }),
    leaseSeconds: t.int({
      required: true,
      defaultValue: 30,
      description: `Seconds until they are pending again, 1–${LEASE_SECONDS_MAX}.`,
    }),
    waitSeconds: t.int({
      required: true,
      defaultValue: 0,
      description: `Seconds to wait for one when nothing is pending, 0–${WAIT_SECONDS_MAX}; pulls of one request share the wait.`,
    }),
    filter: t.field({
      type: WebhookMessageFilter,
      description: 'Only these; `inboxStates` is refused here.',
    }),
  }),
});

builder.mutationField('pullWebhookMessages', (t) =>
  t.field({
    type: WebhookMessagesPulled,
    description:
      'Leases the oldest pending messages that the viewer may see: nobody else who pulls for the account gets them until ' +
      `they are settled or the lease ends. At most ${IN_FLIGHT_MAX} leases a repository at once. Needs the scopes \`webhooks:pull\` and \`webhooks:read\`.`,
    ...withBoth(
      withScope('webhooks:pull', 'webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 12000, windowSeconds: 60 }),
    ),
    complexity: ({ input }) => ({
      field: 10,
      multiplier: Math.min(Math.max(input.limit, 1), PULL_LIMIT_MAX),
    }),
    args: { input: t.arg({ type: PullInput, required: true, description: 'What to lease.' }) },
    errors: {
      types: ERRORS,
      union: {
        name: 'PullWebhookMessagesResult',
        description: 'What came of `pullWebhookMessages`.',
      },
    },
    resolve: (_root, { input }, ctx) =>
      pullMessages(ctx, { ...input, filter: parseFilter(input.filter) }),
  }),
);
