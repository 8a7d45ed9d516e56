// What a room shows of its messages.
import { SEARCH_MS_MAX } from '#resolvers/rooms/bound-search.ts';
import { listMessages } from '#resolvers/rooms/message-page.ts';
import { findNewestMessage } from '#resolvers/rooms/read-message.ts';
import {
  INDEXED_PLACES_MAX,
  QUERY_CHARACTERS_MAX,
  QUERY_CHARACTERS_MIN,
  READ_PLACES_MAX,
  searchMessages,
} from '#resolvers/rooms/search.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity } from '#schema/policy.ts';
import { User } from '#schema/users/user.ts';
import { ChatMessage } from './message.ts';
import { ChatMessageConnection, connectionOf } from './message-connection.ts';
import { Room } from './room.ts';

builder.objectField(Room, 'lastMessage', (t) =>
  t.field({
    type: ChatMessage,
    nullable: true,
    description:
      'The newest message that the viewer may read, also once it is deleted; null where there is none.',
    resolve: ({ id }, _args, ctx) => findNewestMessage(ctx, id),
  }),
);

builder.objectField(Room, 'messages', (t) =>
  t.connection(
    {
      type: ChatMessage,
      description:
        'What was said in the room, as far as the viewer may read it, ascending; without bounds its newest 20. Cursors are ' +
        'places in the room’s log: those of `roomEvents` and of messages do here too.',
      complexity: pageComplexity,
      resolve: async ({ id }, page, ctx) => connectionOf(await listMessages(ctx, id, page)),
    },
    ChatMessageConnection,
  ),
);

const SEARCH_COST = 50;

builder.objectField(Room, 'searchMessages', (t) =>
  t.connection(
    {
      type: ChatMessage,
      description:
        'Messages that say a text, in any case, the newest first; without bounds the first 20. A page looks at no more than ' +
        `${INDEXED_PLACES_MAX} places of the room’s log, or ${READ_PLACES_MAX} where the text has two characters or the viewer ` +
        'has left the room, and then ends with fewer messages, or none: while `hasNextPage`, go on after `endCursor`. What a ' +
        'message said before an edit is not found, nor one that is deleted. Few searches run at once, and of an account one ' +
        `after another; one that takes longer than ${SEARCH_MS_MAX / 1_000} seconds ends with UNAVAILABLE: search for something more specific.`,
      directives: { cost: { weight: SEARCH_COST } },
      complexity: (page) => ({ ...pageComplexity(page), field: SEARCH_COST }),
      args: {
        query: t.arg.string({
          required: true,
          description:
            `The text, ${QUERY_CHARACTERS_MIN}–${QUERY_CHARACTERS_MAX} characters without spaces at its ends, anywhere in a ` +
            'message. Taken word for word: `%`, `_` and `\\` are themselves.',
        }),
        authorId: t.arg.globalID({ for: User, description: 'Only of this account.' }),
        from: t.arg({ type: 'DateTime', description: 'Only sent then or later.' }),
        to: t.arg({ type: 'DateTime', description: 'Only sent before then.' }),
      },
      resolve: async ({ id }, { query, authorId, from, to, ...page }, ctx) => {
        const search = { query, from, to, authorId: authorId?.id };
        return connectionOf(await searchMessages(ctx, id, search, page));
      },
    },
    ChatMessageConnection,
  ),
);
