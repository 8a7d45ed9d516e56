import type { Origin, Services } from '#context.ts';
import { networkOf } from '#lib/network.ts';
import { admitToRoom, type ChatGuest } from '#resolvers/rooms/chat-guest.ts';
import { type ChatStream, followChat } from '#resolvers/rooms/chat-stream.ts';
import { findLastMessage } from '#resolvers/rooms/last-message.ts';
import type { PositionRange } from '#resolvers/rooms/membership.ts';
import { findNamedRoom, type NamedRoom } from '#resolvers/rooms/named-room.ts';
import { type ChatFrames, createChatFrames } from './chat-frames.ts';

/** Somebody who was let into a room, and hears of it from then on. */
export interface ChatEntry {
  readonly room: NamedRoom;
  /** As the client names it. */
  readonly roomName: string;
  readonly token: string;
  readonly guest: ChatGuest;
  readonly stream: ChatStream;
  readonly frames: ChatFrames;
}

export interface ChatWish {
  readonly roomName: string;
  readonly token: string;
  readonly claimedUserId: unknown;
  readonly connectionId: string;
  readonly requestId: string;
  readonly client: Origin['client'];
  readonly isGone: () => boolean;
}

const ENTRIES = { limit: 6_000, windowSeconds: 60 };

/** Whether a network may ask once more: each time costs a question to somebody. */
export async function mayAskToEnter(app: Services, ipAddress: string): Promise<boolean> {
  const key = networkOf(ipAddress);
  const [given] = await app.quotas.take([
    { name: 'chat-entry', key, quota: ENTRIES, units: 1, isDivisible: false },
  ]);
  return given?.given === 1;
}

/** Null for who may not, alike for a room that is not there. Throws `UnavailableError`. */
export async function enterChat(app: Services, wish: ChatWish): Promise<ChatEntry | null> {
  const room = await findNamedRoom(app, wish.roomName);
  const guest = await admitToRoom(app, room, wish);
  if (room === null || guest === null || wish.isGone()) return null;
  const stream = await followChat(app, room, guest, wish.connectionId);
  try {
    // Asked again now that their removal would be heard.
    const range = await guest.readableNow();
    const frames = range && (await framesOf(app, room, wish.roomName, range));
    // Left meanwhile: nobody would ever stop the stream.
    if (frames !== null && !wish.isGone()) {
      const { roomName, token } = wish;
      return { room, roomName, token, guest, stream, frames };
    }
  } catch (error) {
    stream.stop();
    throw error;
  }
  stream.stop();
  return null;
}

async function framesOf(
  app: Services,
  room: NamedRoom,
  roomName: string,
  range: PositionRange,
): Promise<ChatFrames> {
  const first = await findLastMessage(app, room, range);
  return createChatFrames(roomName, first, ({ position }) =>
    findLastMessage(app, room, range, position),
  );
}

/** Whether the name leads to the same room as it did, or as another name of it did. */
export async function isNameOf(app: Services, name: string, room: NamedRoom): Promise<boolean> {
  const found = await findNamedRoom(app, name);
  return found !== null && found.channel === room.channel;
}
