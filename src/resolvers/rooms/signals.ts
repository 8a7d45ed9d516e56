// What is live only: typing, presence, read markers and broadcasts. No position, never replayed.
import type { Asides } from '#feeds/follow.ts';
import type { RoomSignal } from '#pubsub/topics/rooms.ts';

/** What waits for one follower of a room. The latest of each account's typing, marker and presence, all broadcasts. */
export interface FollowedSignals extends Asides<RoomSignal> {
  stop(): void;
}

/** One a node, with one tail of the bus while anybody follows. */
export interface RoomSignals {
  /**
   * What happens from now on in a channel (a room's id, or `external:…`). Whose own typing and presence, and which
   * broadcasts leave out this connection, is left out already.
   */
  follow(
    channel: string,
    follower: { readonly userId: string | null; readonly connectionId: string | null },
  ): FollowedSignals;
  /** Read markers that the account itself moves, in any of its rooms, by any device: what `roomsChanged` tells. */
  followUser(userId: string): Asides<{ readonly roomId: string }> & { stop(): void };
  /** Resolves when the bus has it. `channel` may also be `user:<id>` for a PRESENCE. */
  send(channel: string, signal: RoomSignal): Promise<void>;
  close(): Promise<void>;
}

export function createRoomSignals(): RoomSignals {
  const none = { isEmpty: () => true, take: () => null, stop: () => {} };
  return {
    follow: () => none,
    followUser: () => none,
    send: async () => {},
    close: async () => {},
  };
}
