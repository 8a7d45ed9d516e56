import { FILTER_VALUES_MAX, type GivenWebhookFilter } from '#resolvers/webhooks/filter.ts';
import {
  EQUALS_LENGTH_MAX,
  PATH_LENGTH_MAX,
  PAYLOAD_CONDITIONS_MAX,
} from '#resolvers/webhooks/payload-condition.ts';
import { builder } from '#schema/builder.ts';
import { InboxState } from './inbox-state.ts';
import { WebhookRepository } from './repository.ts';
import { WebhookSavedFilter } from './saved-filter.ts';

const values = `At most ${FILTER_VALUES_MAX}; an empty list matches nothing.`;

const PayloadCondition = builder.inputType('WebhookPayloadCondition', {
  description:
    'That the payload says this; true of messages stored since Naru can be asked for it.',
  fields: (t) => ({
    path: t.string({
      required: true,
      description:
        'Names joined by dots, e.g. `pull_request.draft` or `$.pull_request.draft`. An array is passed ' +
        `through: \`labels.name\` is the name of each label. At most ${PATH_LENGTH_MAX} characters.`,
    }),
    equals: t.field({
      type: 'JSON',
      required: true,
      description: `Text of at most ${EQUALS_LENGTH_MAX} characters, a number, true or false; \`1\` is not \`"1"\`.`,
    }),
  }),
});

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
    senders: t.stringList({ description: `Who caused it, e.g. \`octocat\`. ${values}` }),
    payload: t.field({
      type: [PayloadCondition],
      description: `What the payload says, each of them; at most ${PAYLOAD_CONDITIONS_MAX}.`,
    }),
    receivedFrom: t.field({ type: 'DateTime', description: 'Received then or later.' }),
    receivedTo: t.field({ type: 'DateTime', description: 'Received before then.' }),
    inboxStates: t.field({
      type: [InboxState],
      description: 'How they stand in the viewer’s own inbox. For pages only.',
    }),
    savedFilterId: t.globalID({
      for: WebhookSavedFilter,
      description:
        'One of the viewer’s own saved filters, all of which must hold too. A stream keeps to what it was ' +
        'when the stream began.',
    }),
  }),
});

/** The filter with rows' ids in place of global ones. */
export function parseFilter(
  input: typeof WebhookMessageFilter.$inferInput | null | undefined,
): GivenWebhookFilter {
  return {
    ...input,
    repositoryIds: input?.repositoryIds?.map(({ id }) => id),
    savedFilterId: input?.savedFilterId?.id,
  };
}
