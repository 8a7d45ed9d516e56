import {
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import {
  type Delivery,
  IN_FLIGHT_MAX,
  LEASE_SECONDS_MAX,
  PULL_LIMIT_MAX,
  type Pulled,
  pullMessages,
  WAIT_SECONDS_MAX,
} from '#resolvers/webhooks/inbox/pull.ts';
import { REPLAY_MAX, type Replayed, replayMessages } from '#resolvers/webhooks/inbox/replay.ts';
import {
  ackMessages,
  ackReceipts,
  type Extended,
  extendLeases,
  nackReceipts,
  type Refusal,
  SETTLE_MAX,
  type Settled,
} from '#resolvers/webhooks/inbox/settle.ts';
import { ATTEMPTS_MAX } from '#resolvers/webhooks/inbox/sql.ts';
import { COUNT_MAX, type Inbox, readInbox } from '#resolvers/webhooks/inbox/status.ts';
import { builder } from '#schema/builder.ts';
import { withCost, withScope } from '#schema/policy.ts';
import { parseFilter, WebhookMessageFilter } from './filter.ts';
import { WebhookMessage } from './message.ts';

const ERRORS = [InvalidInputError, UnauthenticatedError, ForbiddenError];

const WebhookInbox = builder.objectRef<Inbox>('WebhookInbox').implement({
  description: `How the viewer stands with the messages they may see now. Counts stop at ${COUNT_MAX}.`,
  fields: (t) => ({
    pending: t.exposeInt('pending', { description: 'Waiting to be pulled.' }),
    leased: t.exposeInt('leased', { description: 'Handed out and not yet settled.' }),
    acknowledged: t.exposeInt('acknowledged', { description: 'Done with.' }),
    dead: t.exposeInt('dead', {
      description: `Handed out ${ATTEMPTS_MAX} times in vain. \`webhookMessages(filter: { inboxStates: [DEAD] })\` shows them.`,
    }),
    redelivered: t.exposeInt('redelivered', {
      description: 'Of those not acknowledged, how many were handed out more than once.',
    }),
    oldestPendingAt: t.expose('oldestPendingAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the oldest pending message arrived; null when none is pending.',
    }),
    isCapped: t.exposeBoolean('isCapped', {
      description: `Whether a count stopped at ${COUNT_MAX} although there are more.`,
    }),
  }),
});

builder.queryField('webhookInbox', (t) =>
  t.field({
    type: WebhookInbox,
    description: 'Counts of the viewer’s inbox. Needs the scope `webhooks:read`.',
    ...withScope('webhooks:read'),
    ...withInboxCost(),
    args: {
      filter: t.arg({
        type: WebhookMessageFilter,
        description: 'Only these messages are counted.',
      }),
    },
    resolve: (_root, { filter }, ctx) => readInbox(ctx, parseFilter(filter)),
  }),
);

/** Counting reads more than a page does. */
function withInboxCost() {
  return {
    complexity: 50,
    directives: { ...withScope('webhooks:read').directives, ...withCost(50).directives },
  };
}

const WebhookDelivery = builder.objectRef<Delivery>('WebhookDelivery').implement({
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
      description: 'The message.',
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

const RefusalReason = builder.enumType('WebhookReceiptRefusalReason', {
  description: 'Why a receipt or an id did nothing.',
  values: {
    FORGED: { description: 'Not a receipt of this Naru.' },
    FOREIGN: { description: 'Given to another account.' },
    STALE: { description: 'The message was handed out again, extended or handed back since.' },
    EXPIRED: { description: 'The lease ran out; the message is pending again.' },
    ALREADY_ACKNOWLEDGED: {
      description: 'It was acknowledged before: there is nothing left to do.',
    },
    DEAD: { description: 'It has become a dead letter.' },
    NOT_FOUND: { description: 'There is no such message that the viewer may see now.' },
  } as const,
});

const WebhookReceiptRefusal = builder.objectRef<Refusal>('WebhookReceiptRefusal').implement({
  description: 'A receipt or id that did nothing. The others of the call are not affected.',
  fields: (t) => ({
    receipt: t.exposeString('receipt', {
      nullable: true,
      description: 'As given; null where an id was.',
    }),
    messageId: t.globalID({
      nullable: true,
      description: 'The message, where it is the viewer’s to know.',
      resolve: ({ messageId }) =>
        messageId === null ? null : { type: WebhookMessage, id: messageId },
    }),
    reason: t.expose('reason', { type: RefusalReason, description: 'Why.' }),
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
      description: `Seconds to wait for one when nothing is pending, 0–${WAIT_SECONDS_MAX}.`,
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
      `they are settled or the lease ends. At most ${IN_FLIGHT_MAX} leases a repository at once. Needs \`webhooks:pull\`.`,
    ...withScope('webhooks:pull'),
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

const refusedField = 'Receipts and ids that did nothing, with the reason.';

const WebhookMessagesAcknowledged = builder
  .objectRef<Settled>('WebhookMessagesAcknowledged')
  .implement({
    description: 'What is done with now.',
    fields: (t) => ({
      acknowledged: t.globalIDList({
        description: 'The messages acknowledged by this call.',
        resolve: ({ messageIds }) => messageIds.map((id) => ({ type: WebhookMessage, id })),
      }),
      refused: t.field({
        type: [WebhookReceiptRefusal],
        description: refusedField,
        resolve: ({ refused }) => [...refused],
      }),
    }),
  });

const AckInput = builder.inputType('AckWebhookMessagesInput', {
  description: 'What to acknowledge: exactly one of the two.',
  isOneOf: true,
  fields: (t) => ({
    receipts: t.stringList({
      description: `Receipts of leases, 1–${SETTLE_MAX}: what a worker does.`,
    }),
    messageIds: t.globalIDList({
      for: WebhookMessage,
      description: `Messages, leased or not, 1–${SETTLE_MAX}: what a person does who has read them.`,
    }),
  }),
});

builder.mutationField('ackWebhookMessages', (t) =>
  t.field({
    type: WebhookMessagesAcknowledged,
    description:
      'Settles messages for the viewer, each by itself. Needs the scope `webhooks:pull`.',
    ...withScope('webhooks:pull'),
    args: { input: t.arg({ type: AckInput, required: true, description: 'What to acknowledge.' }) },
    errors: {
      types: ERRORS,
      union: {
        name: 'AckWebhookMessagesResult',
        description: 'What came of `ackWebhookMessages`.',
      },
    },
    resolve: (_root, { input: { receipts, messageIds } }, ctx) =>
      receipts
        ? ackReceipts(ctx, receipts)
        : ackMessages(
            ctx,
            (messageIds ?? []).map(({ id }) => id),
          ),
  }),
);

const WebhookMessagesHandedBack = builder
  .objectRef<Settled>('WebhookMessagesHandedBack')
  .implement({
    description: 'What is pending again, or dead where it was the last attempt.',
    fields: (t) => ({
      handedBack: t.globalIDList({
        description: 'The messages handed back by this call.',
        resolve: ({ messageIds }) => messageIds.map((id) => ({ type: WebhookMessage, id })),
      }),
      refused: t.field({
        type: [WebhookReceiptRefusal],
        description: refusedField,
        resolve: ({ refused }) => [...refused],
      }),
    }),
  });

const NackInput = builder.inputType('NackWebhookMessagesInput', {
  description: 'What to hand back.',
  fields: (t) => ({
    receipts: t.stringList({ required: true, description: `Receipts of leases, 1–${SETTLE_MAX}.` }),
    delaySeconds: t.int({
      required: true,
      defaultValue: 0,
      description: `Seconds until they are pending again, 0–${LEASE_SECONDS_MAX}.`,
    }),
    reason: t.string({
      description: 'Kept for whoever looks at the dead letter, at most 1,000 characters.',
    }),
  }),
});

builder.mutationField('nackWebhookMessages', (t) =>
  t.field({
    type: WebhookMessagesHandedBack,
    description: 'Hands messages back before their leases end. Needs the scope `webhooks:pull`.',
    ...withScope('webhooks:pull'),
    args: { input: t.arg({ type: NackInput, required: true, description: 'What to hand back.' }) },
    errors: {
      types: ERRORS,
      union: {
        name: 'NackWebhookMessagesResult',
        description: 'What came of `nackWebhookMessages`.',
      },
    },
    resolve: (_root, { input }, ctx) =>
      nackReceipts(ctx, { ...input, reason: input.reason ?? null }),
  }),
);

const WebhookLeasesExtended = builder.objectRef<Extended>('WebhookLeasesExtended').implement({
  description: 'What is held longer now.',
  fields: (t) => ({
    deliveries: t.field({
      type: [WebhookDelivery],
      description: 'With new receipts: the old ones are stale.',
      complexity: { field: 1, multiplier: 1 },
      resolve: ({ deliveries }) => [...deliveries],
    }),
    refused: t.field({
      type: [WebhookReceiptRefusal],
      description: refusedField,
      resolve: ({ refused }) => [...refused],
    }),
  }),
});

const ExtendInput = builder.inputType('ExtendWebhookLeasesInput', {
  description: 'What to hold longer.',
  fields: (t) => ({
    receipts: t.stringList({ required: true, description: `Receipts of leases, 1–${SETTLE_MAX}.` }),
    leaseSeconds: t.int({
      required: true,
      defaultValue: 30,
      description: `Seconds from now until they are pending again, 1–${LEASE_SECONDS_MAX}.`,
    }),
  }),
});

builder.mutationField('extendWebhookLeases', (t) =>
  t.field({
    type: WebhookLeasesExtended,
    description: 'Holds leased messages longer. Needs the scope `webhooks:pull`.',
    ...withScope('webhooks:pull'),
    complexity: ({ input }) => ({ field: 1, multiplier: Math.max(input.receipts.length, 1) }),
    args: {
      input: t.arg({ type: ExtendInput, required: true, description: 'What to hold longer.' }),
    },
    errors: {
      types: ERRORS,
      union: {
        name: 'ExtendWebhookLeasesResult',
        description: 'What came of `extendWebhookLeases`.',
      },
    },
    resolve: (_root, { input }, ctx) => extendLeases(ctx, input),
  }),
);

const WebhookMessagesReplayed = builder.objectRef<Replayed>('WebhookMessagesReplayed').implement({
  description: 'What is pending again.',
  fields: (t) => ({
    count: t.exposeInt('count', { description: 'Messages made pending by this call.' }),
    hasMore: t.exposeBoolean('hasMore', {
      description: `Whether it stopped at ${REPLAY_MAX}: the same call again goes on.`,
    }),
  }),
});

const ReplayInput = builder.inputType('ReplayWebhookMessagesInput', {
  description: 'What to make pending again: exactly one of the two.',
  isOneOf: true,
  fields: (t) => ({
    filter: t.field({
      type: WebhookMessageFilter,
      description:
        'All settled ones it lets through, e.g. those of a time range; `inboxStates` is refused here.',
    }),
    messageIds: t.globalIDList({ for: WebhookMessage, description: `These, 1–${SETTLE_MAX}.` }),
  }),
});

builder.mutationField('replayWebhookMessages', (t) =>
  t.field({
    type: WebhookMessagesReplayed,
    description:
      'Makes settled messages, dead letters among them, pending again for the viewer and nobody else, as if never handed ' +
      `out. At most ${REPLAY_MAX} a call, oldest first. Needs the scope \`webhooks:pull\`.`,
    ...withScope('webhooks:pull'),
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
        filter: parseFilter(input.filter),
        messageIds: input.messageIds?.map(({ id }) => id) ?? null,
      }),
  }),
);
