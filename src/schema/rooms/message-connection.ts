import type { MessagePage } from '#resolvers/rooms/message-page.ts';
import { builder } from '#schema/builder.ts';
import { feedConnectionOf } from '#schema/feed-connection.ts';
import { ChatMessage } from './message.ts';

/** What a connection of messages resolves to. */
export function connectionOf(page: MessagePage) {
  return feedConnectionOf(page.messages, page);
}

export const ChatMessageConnection = builder.connectionObject(
  {
    type: ChatMessage,
    name: 'ChatMessageConnection',
    description: 'A page of a room’s messages.',
    fields: (t) => ({
      followCursor: t.field({
        type: 'Cursor',
        description:
          'The head of the room’s log from before the page was read: `roomEvents` after it goes on from here.',
        resolve: (connection) => {
          const { followPosition, cursorAt } = connection as unknown as MessagePage;
          return cursorAt(followPosition);
        },
      }),
    }),
  },
  { name: 'ChatMessageEdge', description: 'A message and its place in the room’s log.' },
);
