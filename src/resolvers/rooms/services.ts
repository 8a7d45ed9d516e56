// What the rooms stand on, opened with the app: one of each a node.
import type { Config } from '#config.ts';
import type { Database } from '#database/client.ts';
import type { CursorCodec } from '#feeds/cursor.ts';
import { createFeedHub, type FeedHub } from '#feeds/hub.ts';
import type { Metrics } from '#metrics.ts';
import type { Guard } from '#outbound/guard.ts';
import { createParticipantCheck, type ParticipantCheck } from '#outbound/participant-check.ts';
import type { Bus } from '#pubsub/bus.ts';
import { roomLogged, roomsMoved } from '#pubsub/topics/rooms.ts';
import type { RedisClient } from '#redis/client.ts';
import { createRoomFeed, type RoomFeedItem } from './feed.ts';
import { createMembershipLoader, type MembershipLoader } from './membership.ts';
import {
  createMessageLoader,
  createReactedLoader,
  type MessageLoader,
  type ReactedLoader,
} from './message-row.ts';
import { createNewestMessageLoader, type NewestMessageLoader } from './newest-message.ts';
import { createPresence, type Presence } from './presence.ts';
import { createRoomLoader, type RoomLoader } from './room-row.ts';
import { createRoomsFeed, type RoomsFeedItem } from './rooms-feed.ts';
import { createRoomSignals, type RoomSignals } from './signals.ts';
import { createTyping, type Typing } from './typing.ts';
import { createReadStateLoader, type ReadStateLoader } from './unread.ts';

export interface RoomServices {
  readonly roomFeed: FeedHub<RoomFeedItem>;
  readonly roomsFeed: FeedHub<RoomsFeedItem>;
  readonly roomSignals: RoomSignals;
  readonly presence: Presence;
  readonly typing: Typing;
  /** Null where no backend knows rooms of its own. */
  readonly participantCheck: ParticipantCheck | null;
  readonly loadRoom: RoomLoader;
  readonly loadMembership: MembershipLoader;
  readonly loadMessage: MessageLoader;
  readonly loadNewestMessage: NewestMessageLoader;
  readonly loadReacted: ReactedLoader;
  readonly loadReadState: ReadStateLoader;
}

/** `close` leaves, stops following and stops telling, in this order. */
export function openRooms({
  config,
  database,
  bus,
  redis,
  cursors,
  guard,
  metrics,
  onError,
}: {
  readonly config: Config;
  readonly database: Database;
  readonly bus: Bus;
  readonly redis: RedisClient;
  readonly cursors: CursorCodec;
  readonly guard: Guard;
  readonly metrics: Metrics;
  readonly onError: (error: unknown) => void;
}): { readonly rooms: RoomServices; close(): Promise<void> } {
  const roomFeed = createFeedHub({
    feed: createRoomFeed(database),
    topic: roomLogged,
    bus,
    cursors,
    onError,
  });
  const roomsFeed = createFeedHub({
    feed: createRoomsFeed(database),
    topic: roomsMoved,
    bus,
    cursors,
    onError,
  });
  const roomSignals = createRoomSignals({
    bus,
    database,
    onError,
    onSent: (type) => metrics.roomSignals.inc({ type }),
  });
  const presence = createPresence({ redis, signals: roomSignals, onError });
  return {
    rooms: {
      roomFeed,
      roomsFeed,
      roomSignals,
      presence,
      typing: createTyping({ redis, signals: roomSignals, onError }),
      participantCheck:
        config.backendOrigin === null
          ? null
          : createParticipantCheck(config.backendOrigin, { guard }),
      loadRoom: createRoomLoader(database),
      loadMembership: createMembershipLoader(database),
      loadMessage: createMessageLoader(database),
      loadNewestMessage: createNewestMessageLoader(database),
      loadReacted: createReactedLoader(database),
      loadReadState: createReadStateLoader(database),
    },
    async close() {
      await presence.close();
      await Promise.all([roomFeed.close(), roomsFeed.close()]);
      await roomSignals.close();
    },
  };
}
