// What is live only: typing, presence, read markers and broadcasts. No position, never replayed.
import type { Sql } from '#database/client.ts';
import type { Asides } from '#feeds/follow.ts';
import { newId } from '#lib/ids.ts';
import type { Bus, Entry, Subscription } from '#pubsub/bus.ts';
import { withDeadline } from '#pubsub/deadline.ts';
import { type RoomSignal, roomSignalled } from '#pubsub/topics/rooms.ts';
import { createMarkerNews, type ReadMarkerSignal } from './marker-news.ts';
import { createPresenceRooms, USER_CHANNEL_PREFIX } from './presence-rooms.ts';
import { createSignalChannel, type SignalChannel } from './signal-channel.ts';
import { createLatest } from './signal-queue.ts';

/** What waits for one follower of a room. The latest of each account's typing, marker and presence, all broadcasts. */
export interface FollowedSignals extends Asides<RoomSignal> {
  /** Resolves once this node hears the bus, or after a second: what is sent before may be missed. */
  readonly opened: Promise<void>;
  listen(wake: () => void): () => void;
  stop(): void;
}

/** One a node, with one tail of the bus while anybody follows. */
export interface RoomSignals {
  /**
   * What happens from now on in a channel (a room's id, or `external:…`). Whose own typing and presence, and which
   * broadcasts leave out this connection, is left out already.
   *
   * It is best effort: of broadcasts that a follower does not take, 256 or 1 MiB wait, and the oldest go.
   */
  follow(
    channel: string,
    follower: { readonly userId: string | null; readonly connectionId: string | null },
  ): FollowedSignals;
  /** Read markers that the account itself moves, in any of its rooms, by any device: what `roomsChanged` tells. */
  followUser(userId: string): Asides<{ readonly roomId: string }> & {
    readonly opened: Promise<void>;
    listen(wake: () => void): () => void;
    stop(): void;
  };
  /** Resolves when the bus has it. `channel` may also be `user:<id>` for a PRESENCE. */
  send(channel: string, signal: RoomSignal): Promise<void>;
  /** Soon, and not waited for: at most once a second a room and account, and then the latest. */
  tellRead(roomId: string, marker: ReadMarkerSignal): void;
  close(): Promise<void>;
}

type MarkerListener = (roomId: string) => void;

const RETRY_MS = 1_000;
const OPENED_WITHIN_MS = 1_000;
const TYPING_MS = 6_000;

/**
 * A typist who is not heard of for `typingMs` types no more, by each node's own timer: whoever should have said
 * so may have crashed.
 */
export function createRoomSignals({
  bus,
  database,
  onError,
  onSent = () => {},
  typingMs = TYPING_MS,
  retryMs = RETRY_MS,
}: {
  readonly bus: Pick<Bus, 'tail' | 'publish'>;
  readonly database: Sql;
  readonly onError: (error: unknown) => void;
  readonly onSent?: (type: RoomSignal['type']) => void;
  readonly typingMs?: number;
  readonly retryMs?: number;
}): RoomSignals {
  const channels = new Map<string, SignalChannel>();
  const markers = new Map<string, Set<MarkerListener>>();
  let tail: Promise<Subscription | null> | null = null;
  let retry: NodeJS.Timeout | null = null;
  let isClosed = false;

  const presence = createPresenceRooms({
    sql: database,
    followed: () => [...channels.keys()],
    tell: (channel, signal) => channels.get(channel)?.take(signal),
    onError,
    retryMs,
  });

  const onEntry = ({ key, payload }: Entry<RoomSignal>) => {
    if (key.startsWith(USER_CHANNEL_PREFIX)) {
      if (payload.type === 'PRESENCE') presence.take(payload);
      return;
    }
    channels.get(key)?.take(payload);
    if (payload.type !== 'READ_MARKER') return;
    for (const tell of markers.get(payload.userId) ?? []) tell(key);
  };

  const isFollowed = () => channels.size > 0 || markers.size > 0;

  const open = (): Promise<unknown> => {
    if (isClosed || !isFollowed()) return Promise.resolve();
    if (tail !== null) return tail;
    if (retry !== null) clearTimeout(retry);
    const opening: Promise<Subscription | null> = bus
      .tail(roomSignalled, { from: 'head', onEntry, onLoss: () => {} })
      .catch((error: unknown) => {
        onError(error);
        if (tail === opening) tail = null;
        retry = setTimeout(() => void open(), retryMs).unref();
        return null;
      });
    tail = opening;
    return opening;
  };

  /** A bus that is away holds up nobody who has more to follow. */
  const openSoon = (): Promise<void> =>
    withDeadline(open(), OPENED_WITHIN_MS).then(
      () => {},
      () => {},
    );

  const send: RoomSignals['send'] = async (channel, signal) => {
    await bus.publish(roomSignalled, channel, signal, { id: newId() });
    onSent(signal.type);
  };
  const markerNews = createMarkerNews({ send, onError });

  const shut = async () => {
    if (retry !== null) clearTimeout(retry);
    const closing = tail;
    tail = null;
    await (await closing)?.close();
  };

  const shutIfUnfollowed = () => {
    if (!isFollowed()) shut().catch(onError);
  };

  return {
    follow(name, follower) {
      const channel = channels.get(name) ?? createSignalChannel(typingMs);
      channels.set(name, channel);
      const member = channel.join(follower);
      const opened = openSoon();
      return {
        ...member.queue,
        opened,
        stop() {
          member.leave();
          if (!channel.isEmpty()) return;
          channel.close();
          if (channels.get(name) === channel) channels.delete(name);
          shutIfUnfollowed();
        },
      };
    },
    followUser(userId) {
      const moved = createLatest<{ readonly roomId: string }>();
      const tell: MarkerListener = (roomId) => moved.set(roomId, { roomId });
      const ofUser = markers.get(userId) ?? new Set();
      markers.set(userId, ofUser.add(tell));
      const opened = openSoon();
      return {
        ...moved.asides,
        opened,
        stop() {
          ofUser.delete(tell);
          if (ofUser.size === 0 && markers.get(userId) === ofUser) markers.delete(userId);
          shutIfUnfollowed();
        },
      };
    },
    send,
    tellRead: (roomId, marker) => markerNews.tell(roomId, marker),
    async close() {
      isClosed = true;
      for (const channel of channels.values()) channel.close();
      channels.clear();
      markers.clear();
      presence.close();
      markerNews.close();
      await shut();
    },
  };
}
