import {
  ForbiddenError,
  InvalidInputError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import {
  LEASE_SECONDS_MAX,
  REASON_LENGTH_MAX,
  SETTLE_MAX,
} from '#resolvers/webhooks/inbox/input.ts';
import {
  ackMessages,
  ackReceipts,
  type Extended,
  extendLeases,
  nackReceipts,
  type Refusal,
  type Settled,
} from '#resolvers/webhooks/inbox/settle.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { WebhookMessage } from './message.ts';
import { WebhookDelivery } from './pull.ts';

const ERRORS = [InvalidInputError, UnauthenticatedError, ForbiddenError, RateLimitedError];

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
    DISCARDED: { description: 'It was a dead letter and was given up.' },
    NOT_DEAD: { description: 'It is no dead letter, so there is nothing to give up.' },
    NOT_FOUND: { description: 'There is no such message that the viewer may see now.' },
  } as const,
});

export const WebhookReceiptRefusal = builder.objectRef<Refusal>('WebhookReceiptRefusal').implement({
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

export const refusedField = 'Receipts and ids that did nothing, with the reason.';

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
      'Settles messages for the viewer, each by itself. Needs the scopes `webhooks:pull` and `webhooks:read`.',
    ...withBoth(
      withScope('webhooks:pull', 'webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 12000, windowSeconds: 60 }),
    ),
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
      description: `Kept for whoever looks at the dead letter, at most ${REASON_LENGTH_MAX} characters.`,
    }),
  }),
});

builder.mutationField('nackWebhookMessages', (t) =>
  t.field({
    type: WebhookMessagesHandedBack,
    description:
      'Hands messages back before their leases end. Needs the scopes `webhooks:pull` and `webhooks:read`.',
    ...withBoth(
      withScope('webhooks:pull', 'webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 12000, windowSeconds: 60 }),
    ),
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
    description:
      'Holds leased messages longer. Needs the scopes `webhooks:pull` and `webhooks:read`.',
    ...withBoth(
      withScope('webhooks:pull', 'webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 12000, windowSeconds: 60 }),
    ),
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
