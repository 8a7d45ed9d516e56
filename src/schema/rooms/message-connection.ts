import type { MessagePage } from '#resolvers/rooms/message-page.ts';
import type { ChatMessage as ChatMessageShape } from '#resolvers/rooms/message-row.ts';
import { builder } from '#schema/builder.ts';
import { ChatMessage } from './message.ts';

interface Edge {
  readonly node: ChatMessageShape;
  readonly cursorAt: (position: bigint) => string;
  readonly cursor: string;
}

interface PageInfo {
  readonly page: MessagePage;
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor: string | null;
  readonly endCursor: string | null;
}

// A cursor is signed only when it is asked for. Made once, since an accessor in a literal keeps what it
// closes over until the next full collection.
const EDGE = {
  get cursor(): string {
    const { node, cursorAt } = this as unknown as Edge;
    return cursorAt(node.position);
  },
};
const PAGE_INFO = {
  get startCursor(): string | null {
    const { page } = this as unknown as PageInfo;
    return cursorOf(page, page.bounds?.start ?? page.messages[0]?.position);
  },
  get endCursor(): string | null {
    const { page } = this as unknown as PageInfo;
    return cursorOf(page, page.bounds?.end ?? page.messages.at(-1)?.position);
  },
};

function cursorOf({ cursorAt }: MessagePage, position: bigint | undefined): string | null {
  return position === undefined ? null : cursorAt(position);
}

/** What a connection of messages resolves to. */
export function connectionOf(page: MessagePage) {
  const { messages, cursorAt, hasNextPage, hasPreviousPage } = page;
  const edges = messages.map(
    (node): Edge => Object.assign(Object.create(EDGE), { node, cursorAt }),
  );
  const pageInfo: PageInfo = Object.assign(Object.create(PAGE_INFO), {
    page,
    hasNextPage,
    hasPreviousPage,
  });
  return { ...page, edges, pageInfo };
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
