import { watchInbox } from '#resolvers/webhooks/inbox/live-status.ts';
import { readPermissionsCheckedAt } from '#resolvers/webhooks/inbox/repositories.ts';
import { ATTEMPTS_MAX } from '#resolvers/webhooks/inbox/sql.ts';
import { COUNT_MAX, type InboxView, readInbox } from '#resolvers/webhooks/inbox/status.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withCost, withRateLimit, withScope } from '#schema/policy.ts';
import { parseFilter, WebhookMessageFilter } from './filter.ts';

export const WebhookInbox = builder.objectRef<InboxView>('WebhookInbox').implement({
  description: `How the viewer stands with the messages they may see now. Counts stop at ${COUNT_MAX}.`,
  fields: (t) => ({
    pending: t.exposeInt('pending', { description: 'Waiting to be pulled.' }),
    leased: t.exposeInt('leased', { description: 'Handed out and not yet settled.' }),
    acknowledged: t.exposeInt('acknowledged', { description: 'Done with.' }),
    dead: t.exposeInt('dead', {
      description: `Handed out ${ATTEMPTS_MAX} times in vain. \`webhookMessages(filter: { inboxStates: [DEAD] })\` shows them.`,
    }),
    discarded: t.exposeInt('discarded', { description: 'Dead letters that were given up.' }),
    redelivered: t.exposeInt('redelivered', {
      description:
        'Of those neither acknowledged nor discarded, how many were handed out more than once.',
    }),
    oldestPendingAt: t.expose('oldestPendingAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the oldest pending message arrived; null when none is pending.',
    }),
    isCapped: t.exposeBoolean('isCapped', {
      description: `Whether a count stopped at ${COUNT_MAX} although there are more.`,
    }),
    permissionsCheckedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When GitHub was asked what the viewer may read; null before, and for who has not linked GitHub.',
      resolve: (_inbox, _args, ctx) => readPermissionsCheckedAt(ctx),
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

builder.subscriptionField('webhookInboxChanged', (t) =>
  t.field({
    type: WebhookInbox,
    description:
      'The counts of the viewer’s inbox at once, and then whenever they differ: at most once a second, and at the latest ' +
      'ten seconds after time alone has changed them. A state and not a log: it has no cursor, and a stream that is ' +
      'opened again begins with how things stand then. Needs the scope `webhooks:read`.',
    ...withBoth(
      withScope('webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 600, windowSeconds: 60 }),
    ),
    args: {
      filter: t.arg({
        type: WebhookMessageFilter,
        description: 'Only these messages are counted.',
      }),
    },
    subscribe: (_root, { filter }, ctx) => watchInbox(ctx, parseFilter(filter)),
    resolve: (inbox) => inbox,
  }),
);
