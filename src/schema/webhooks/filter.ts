import { FILTER_VALUES_MAX, type WebhookFilter } from '#resolvers/webhooks/filter.ts';
import { builder } from '#schema/builder.ts';
import { InboxState } from './inbox-state.ts';
import { WebhookRepository } from './source.ts';

const values = `At most ${FILTER_VALUES_MAX}; an empty list matches nothing.`;

export const WebhookMessageFilter = builder.inputType('WebhookMessageFilter', {
  description:
    'Which messages. All that is given must hold; what is absent or null asks for nothing.',
  fields: (t) => ({
    sources: t.stringList({ description: `Paths of sources, e.g. \`github\`. ${values}` }),
    repositoryIds: t.globalIDList({
      for: WebhookRepository,
      description: `Ids of repositories, renamed or not. ${values}`,
    }),
    eventNames: t.stringList({ description: `Names of events, e.g. \`push\`. ${values}` }),
    actions: t.stringList({ description: `Actions, e.g. \`opened\`. ${values}` }),
    branches: t.stringList({ description: `Branches, e.g. \`main\`. ${values}` }),
    receivedFrom: t.field({ type: 'DateTime', description: 'Received then or later.' }),
    receivedTo: t.field({ type: 'DateTime', description: 'Received before then.' }),
    inboxStates: t.field({
      type: [InboxState],
      description: 'How they stand in the viewer’s own inbox. For pages only.',
    }),
  }),
});

/** The filter with rows' ids in place of global ones. */
export function parseFilter(
  input: typeof WebhookMessageFilter.$inferInput | null | undefined,
): WebhookFilter {
  return { ...input, repositoryIds: input?.repositoryIds?.map(({ id }) => id) };
}
