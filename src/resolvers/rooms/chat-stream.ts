// What the chat worker's clients hear of a room, in order: its messages, broadcasts, and who is typing.
import type { Services } from '#context.ts';
import { type Asides, follow } from '#feeds/follow.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import type { RoomSignal } from '#pubsub/topics/rooms.ts';
import { externalChannel } from './channel.ts';
import type { ChatGuest } from './chat-guest.ts';
import type { RoomFeedItem } from './feed.ts';
import { covers, type PositionRange } from './membership.ts';
import type { ChatMessage } from './message-row.ts';
import type { NamedRoom } from './named-room.ts';
import type { RoomEventKind } from './write-room.ts';

export type ChatNews =
  | { readonly type: 'sent' | 'edited' | 'deleted'; readonly message: ChatMessage }
  | { readonly type: 'typing'; readonly userId: string; readonly isTyping: boolean }
  | {
      readonly type: 'broadcast';
      readonly message: Readonly<Record<string, unknown>>;
      /** The broadcast before it, where no message came between; else null. */
      readonly before: Readonly<Record<string, unknown>> | null;
    }
  /** They are not in the room any more: nothing follows. */
  | { readonly type: 'out' };

export interface ChatStream {
  /** Null once it was stopped. Throws as `follow` does, and `UnavailableError`. */
  next(): Promise<ChatNews | null>;
  stop(): void;
}

type RoomServices = Pick<Services, 'roomFeed' | 'roomSignals' | 'participantCheck' | 'loadMessage'>;

/** What waits until somebody may hear it; live only. */
interface Heard extends Asides<ChatNews> {
  readonly opened: Promise<unknown>;
  listen(wake: () => void): () => void;
  stop(): void;
}

/** From now on: what happened before is `findLastMessage`'s. Whether they may hear it is asked for every item. */
export async function followChat(
  app: RoomServices,
  room: NamedRoom,
  guest: ChatGuest,
  connectionId: string,
): Promise<ChatStream> {
  const heard = hear(app, room, guest, connectionId);
  try {
    await heard.opened;
    return room.roomId === null
      ? followSignals(heard)
      : await followRoom(app, room.roomId, guest, heard);
  } catch (error) {
    heard.stop();
    throw error;
  }
}

async function followRoom(
  app: RoomServices,
  roomId: string,
  guest: ChatGuest,
  heard: Heard,
): Promise<ChatStream> {
  /** What is handed out next, and what they may read since it was read. */
  const latest: { news: ChatNews | null; range: PositionRange | null } = {
    news: null,
    range: null,
  };
  const stream = await follow<RoomFeedItem, ChatNews>(app.roomFeed, roomId, {
    after: null,
    concerns: ({ kind, userId }) =>
      NEWS[kind] !== undefined ||
      // Their own removal asks again whether they are there.
      (kind === 'PARTICIPANT_LEFT' && userId === guest.account?.userId),
    accept: async (item) => {
      latest.news = await readNews(app, item);
      latest.range = await guest.readableNow();
      return latest.range === null || isFor(latest.range, item, latest.news);
    },
    asides: heard,
    acceptAside: async (news) => {
      latest.news = news;
      latest.range = await guest.readableNow();
      return true;
    },
  });
  return {
    async next() {
      for (;;) {
        const { done, value } = await stream.next();
        if (done) return null;
        if (value.item === null && value.aside === null) continue;
        const { news, range } = latest;
        if (range === null) return { type: 'out' };
        if (news === null) continue;
        // What came before may be from before their time.
        return news.type === 'broadcast' && range.from > 0n ? { ...news, before: null } : news;
      }
    },
    stop() {
      heard.stop();
      void stream.return();
    },
  };
}

/** What happens to a message concerns those who may read it. */
function isFor(range: PositionRange, { position, message }: RoomFeedItem, news: ChatNews | null) {
  return news !== null && covers(range, position) && covers(range, message?.position ?? -1n);
}

/** Of a room that Naru does not know, there is nothing else. */
function followSignals(heard: Heard): ChatStream {
  let isStopped = false;
  let wake = () => {};
  return {
    async next() {
      while (!isStopped) {
        const news = heard.take();
        if (news !== null) return news;
        if (!heard.isEmpty()) continue;
        await new Promise<void>((resolve) => {
          const stopListening = heard.listen(() => wake());
          wake = () => {
            stopListening();
            resolve();
          };
        });
      }
      return null;
    },
    stop() {
      isStopped = true;
      heard.stop();
      wake();
    },
  };
}

/** The message is read anew: what waited here may have been deleted since. */
async function readNews(
  { loadMessage }: RoomServices,
  { kind, message: known }: RoomFeedItem,
): Promise<ChatNews | null> {
  const type = NEWS[kind];
  if (known === null || type === undefined) return null;
  const message = await loadMessage(known.id);
  return message === undefined ? null : { type, message };
}

const NEWS: Readonly<Partial<Record<RoomEventKind, 'sent' | 'edited' | 'deleted'>>> = {
  MESSAGE_SENT: 'sent',
  MESSAGE_EDITED: 'edited',
  MESSAGE_DELETED: 'deleted',
};

/**
 * The room's own channel, and, where a backend lets its people in, the one on which these tell each other that
 * they type: their ids mean nothing to who follows the room as one of Naru's.
 */
function hear(
  app: RoomServices,
  { channel, roomId, externalId }: NamedRoom,
  guest: ChatGuest,
  connectionId: string,
): Heard {
  const follower = { userId: guest.account?.userId ?? null, connectionId };
  const own = app.roomSignals.follow(channel, follower);
  const isOurs = roomId !== null;
  const hasOthers = isOurs && externalId !== null && app.participantCheck !== null;
  const others = hasOthers && app.roomSignals.follow(externalChannel(externalId), follower);
  const take = (signals: Asides<RoomSignal>, isAccounts: boolean): ChatNews | null => {
    while (!signals.isEmpty()) {
      const signal = signals.take();
      const news = signal && newsOfSignal(signal, connectionId, isAccounts);
      if (news !== null) return news;
    }
    return null;
  };
  return {
    opened: Promise.all([own.opened, others === false ? null : others.opened]),
    isEmpty: () => own.isEmpty() && (others === false || others.isEmpty()),
    take: () => take(own, isOurs) ?? (others === false ? null : take(others, false)),
    listen(wake) {
      const stopOwn = own.listen(wake);
      const stopOthers = others === false ? () => {} : others.listen(wake);
      return () => {
        stopOwn();
        stopOthers();
      };
    },
    stop() {
      own.stop();
      if (others !== false) others.stop();
    },
  };
}

function newsOfSignal(
  signal: RoomSignal,
  connectionId: string,
  isAccounts: boolean,
): ChatNews | null {
  if (signal.type === 'BROADCAST') {
    return { type: 'broadcast', message: signal.message, before: signal.before };
  }
  if (signal.type !== 'TYPING' || signal.connectionId === connectionId) return null;
  const { userId, isTyping } = signal;
  return { type: 'typing', userId: isAccounts ? encodeGlobalId('User', userId) : userId, isTyping };
}
