import { ATTEMPTS_MAX } from '#resolvers/webhooks/inbox/sql.ts';
import { COUNT_MAX, type Inbox, readInbox } from '#resolvers/webhooks/inbox/status.ts';
import { builder } from '#schema/builder.ts';
import { withCost, withScope } from '#schema/policy.ts';
import { parseFilter, WebhookMessageFilter } from './filter.ts';

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
