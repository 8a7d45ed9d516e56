import {
  ForbiddenError,
  InvalidInputError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { discardDeadLetters } from '#resolvers/webhooks/inbox/dead-letter.ts';
import { REASON_LENGTH_MAX, SETTLE_MAX } from '#resolvers/webhooks/inbox/input.ts';
import { REPLAY_MAX, type Replayed, retryDeadLetters } from '#resolvers/webhooks/inbox/replay.ts';
import type { Settled } from '#resolvers/webhooks/inbox/settle.ts';
import { builder } from '#schema/builder.ts';
import { IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY } from '#schema/idempotency.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { parseFilter, WebhookMessageFilter } from './filter.ts';
import { WebhookMessage } from './message.ts';
import { refusedField, WebhookReceiptRefusal } from './settlement.ts';

const ERRORS = [InvalidInputError, UnauthenticatedError, ForbiddenError];
const SCOPES = 'Needs the scopes `webhooks:pull` and `webhooks:read`.';

const WebhookDeadLettersRetried = builder
  .objectRef<Replayed>('WebhookDeadLettersRetried')
  .implement({
    description: 'What is pending again.',
    fields: (t) => ({
      count: t.exposeInt('count', { description: 'Dead letters made pending by this call.' }),
      hasMore: t.exposeBoolean('hasMore', {
        description: `Whether it stopped at ${REPLAY_MAX}: the same call with another key goes on.`,
      }),
    }),
  });

const RetryInput = builder.inputType('RetryWebhookDeadLettersInput', {
  // Not `isOneOf`, which would make the key one of the choices.
  description: 'What to try again: exactly one of `filter` and `messageIds`.',
  fields: (t) => ({
    filter: t.field({
      type: WebhookMessageFilter,
      description: 'All dead letters that it lets through; `inboxStates` is refused here.',
    }),
    messageIds: t.globalIDList({
      for: WebhookMessage,
      description: `These, 1–${SETTLE_MAX}; what is no dead letter stays as it is.`,
    }),
    idempotencyKey: t.string(IDEMPOTENCY_KEY),
  }),
});

builder.mutationField('retryWebhookDeadLetters', (t) =>
  t.field({
    type: WebhookDeadLettersRetried,
    description:
      'Makes dead letters pending again for the viewer and nobody else, with all attempts before them; the reason of ' +
      `their death stays readable. At most ${REPLAY_MAX} a call, oldest first. ${SCOPES}`,
    ...withBoth(
      withScope('webhooks:pull', 'webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 120, windowSeconds: 60 }),
    ),
    args: { input: t.arg({ type: RetryInput, required: true, description: 'What to try again.' }) },
    errors: {
      types: [...ERRORS, ...IDEMPOTENCY_ERRORS],
      union: {
        name: 'RetryWebhookDeadLettersResult',
        description: 'What came of `retryWebhookDeadLetters`.',
      },
    },
    resolve: (_root, { input }, ctx) =>
      retryDeadLetters(ctx, {
        filter: input.filter ? parseFilter(input.filter) : null,
        messageIds: input.messageIds?.map(({ id }) => id) ?? null,
        idempotencyKey: input.idempotencyKey,
      }),
  }),
);

const WebhookDeadLettersDiscarded = builder
  .objectRef<Settled>('WebhookDeadLettersDiscarded')
  .implement({
    description: 'What was given up.',
    fields: (t) => ({
      discarded: t.globalIDList({
        description: 'The messages given up by this call.',
        resolve: ({ messageIds }) => messageIds.map((id) => ({ type: WebhookMessage, id })),
      }),
      refused: t.field({
        type: [WebhookReceiptRefusal],
        description: refusedField,
        resolve: ({ refused }) => [...refused],
      }),
    }),
  });

const DiscardInput = builder.inputType('DiscardWebhookDeadLettersInput', {
  description: 'What to give up, and why.',
  fields: (t) => ({
    messageIds: t.globalIDList({
      for: WebhookMessage,
      required: true,
      description: `Dead letters, 1–${SETTLE_MAX}.`,
    }),
    reason: t.string({
      required: true,
      description: `Kept in the place of the reason of their death, 1–${REASON_LENGTH_MAX} characters.`,
    }),
  }),
});

builder.mutationField('discardWebhookDeadLetters', (t) =>
  t.field({
    type: WebhookDeadLettersDiscarded,
    description:
      'Gives dead letters up for the viewer, each by itself: they count as `discarded`, are found with ' +
      `\`inboxStates: [DISCARDED]\`, and only a replay makes them pending again. ${SCOPES}`,
    ...withBoth(
      withScope('webhooks:pull', 'webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 120, windowSeconds: 60 }),
    ),
    args: { input: t.arg({ type: DiscardInput, required: true, description: 'What to give up.' }) },
    errors: {
      types: [...ERRORS, RateLimitedError],
      union: {
        name: 'DiscardWebhookDeadLettersResult',
        description: 'What came of `discardWebhookDeadLetters`.',
      },
    },
    resolve: (_root, { input }, ctx) =>
      discardDeadLetters(ctx, {
        messageIds: input.messageIds.map(({ id }) => id),
        reason: input.reason,
      }),
  }),
);
