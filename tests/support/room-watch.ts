// Subscribers of rooms, over graphql-ws and server-sent events, that write down what they are told.
import { openEventStream, openSocket, type Result } from './graphql-client.ts';

export interface StreamEntry {
  readonly __typename: string;
  readonly cursor: string;
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the selection's
  readonly [field: string]: any;
}

export interface Watch {
  /** The next item, a checkpoint too; rejects with the codes of the errors that came instead. */
  next(): Promise<StreamEntry>;
  /** The next one that has a place in the feed. */
  nextEvent(): Promise<StreamEntry>;
  /** The next one that is live only, of a type. */
  nextSignal(type: string): Promise<StreamEntry>;
  close(): Promise<void>;
}

/** It has had its first checkpoint, so nothing later can be missed. */
export interface StartedWatch extends Watch {
  readonly startCursor: string;
}

const ROOM_EVENTS = `subscription ($roomId: ID!, $after: Cursor, $connectionId: String) {
  item: roomEvents(roomId: $roomId, after: $after, connectionId: $connectionId) {
    __typename ... on StreamItem { cursor }
    ... on MessageSent { message { id body sequence deletedAt } actor { id } }
    ... on MessageEdited { message { id body } actor { id } }
    ... on MessageDeleted { message { id body deletedAt } actor { id } }
    ... on ReactionsChanged { message { id reactions { emoji count } } actor { id } }
    ... on ParticipantJoined { user { id } participant { role } actor { id } }
    ... on ParticipantUpdated { user { id } participant { role isMuted } isBanned actor { id } }
    ... on ParticipantLeft { user { id } reason actor { id } }
    ... on RoomUpdated { room { name } actor { id } }
    ... on ReadMarkerMoved { user { id } sequence readAt }
    ... on TypingChanged { user { id } isTyping }
    ... on PresenceChanged { user { id } presence { isOnline } }
    ... on RoomBroadcast { broadcastId payload sentAt }
  } }`;

const ROOMS_CHANGED = `subscription ($after: Cursor) {
  item: roomsChanged(after: $after) {
    __typename ... on StreamItem { cursor }
    ... on RoomChanged { kind room { id name } message { id body } user { id } actor { id } }
    ... on RoomEntered { room { id } addedBy { id } }
    ... on RoomLeft { roomId reason actor { id } }
    ... on RoomUnreadChanged { room { id } }
  } }`;

export interface RoomWatchOptions {
  readonly roomId: string;
  readonly after?: string;
  readonly connectionId?: string;
}

export function watchRoom(url: string, token: string, options: RoomWatchOptions) {
  return watchBySocket(url, token, { query: ROOM_EVENTS, variables: options });
}

export function watchRoomByEventStream(url: string, token: string, options: RoomWatchOptions) {
  return watchByEventStream(url, token, { query: ROOM_EVENTS, variables: options });
}

export function watchRooms(url: string, token: string, options: { readonly after?: string } = {}) {
  return watchBySocket(url, token, { query: ROOMS_CHANGED, variables: options });
}

export function watchRoomsByEventStream(
  url: string,
  token: string,
  options: { readonly after?: string } = {},
) {
  return watchByEventStream(url, token, { query: ROOMS_CHANGED, variables: options });
}

interface Asked {
  readonly query: string;
  readonly variables: unknown;
}

async function watchBySocket(url: string, token: string, asked: Asked): Promise<StartedWatch> {
  const socket = await openSocket(url, token);
  socket.subscribe('watch', asked);
  const next = async () => {
    const { type, payload } = await socket.next('watch');
    if (type === 'complete') throw new Error('complete');
    return itemOf(type === 'error' ? { errors: payload } : payload);
  };
  return started(next, async () => {
    socket.ws.close();
    await socket.closed;
  });
}

async function watchByEventStream(url: string, token: string, asked: Asked): Promise<StartedWatch> {
  const stream = await openEventStream(url, asked, token);
  const next = async () => {
    const result = await stream.next();
    if (result === null) throw new Error('complete');
    return itemOf(result);
  };
  return started(next, async () => stream.leave());
}

function itemOf({ data, errors }: Result): StreamEntry {
  if (errors) throw new Error(errors.map(({ extensions }) => extensions.code).join());
  return data.item;
}

const UNPLACED = new Set([
  'StreamCheckpoint',
  'ReadMarkerMoved',
  'TypingChanged',
  'PresenceChanged',
  'RoomBroadcast',
  'RoomUnreadChanged',
]);

async function started(
  next: () => Promise<StreamEntry>,
  close: () => Promise<void>,
): Promise<StartedWatch> {
  const nextOf = async (isWanted: (type: string) => boolean) => {
    for (;;) {
      const item = await next();
      if (isWanted(item.__typename)) return item;
    }
  };
  try {
    const { cursor } = await next();
    return {
      startCursor: cursor,
      next,
      nextEvent: () => nextOf((type) => !UNPLACED.has(type)),
      nextSignal: (wanted) => nextOf((type) => type === wanted),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** So many of the next ones that have a place in the feed. */
export async function take(watch: Watch, count: number): Promise<StreamEntry[]> {
  const items: StreamEntry[] = [];
  while (items.length < count) items.push(await watch.nextEvent());
  return items;
}
