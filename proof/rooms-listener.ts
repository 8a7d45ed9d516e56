// Listens to a stream of rooms until it ends, whoever ends it, over graphql-ws or as an event stream.
import { WebSocket } from 'ws';
import { decodeGlobalId } from '#lib/global-id.ts';
import { openEventStream } from '../tests/support/graphql-client.ts';
import type { ReceivedEvent } from '../tests/support/room-log.ts';

export type Way = 'socket' | 'event-stream';

export interface StreamItem {
  readonly __typename: string;
  readonly cursor: string;
  readonly [field: string]: unknown;
}

/** `refused` by what it was told, `completed`, or `lost` without a word. */
export type Ending =
  | { readonly why: 'refused'; readonly code: string; readonly message: string }
  | { readonly why: 'completed' | 'lost' };

export interface ListenOptions {
  readonly nodeUrl: string;
  readonly token: string;
  readonly way: Way;
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly onItem: (item: StreamItem) => void;
}

export interface Listening {
  readonly ended: Promise<Ending>;
  close(): void;
}

export const ROOM_EVENTS = `subscription ($roomId: ID!, $after: Cursor) {
  item: roomEvents(roomId: $roomId, after: $after) {
    __typename ... on StreamItem { cursor }
    ... on MessageSent { sent: message { id } }
    ... on MessageEdited { edited: message { id } }
    ... on MessageDeleted { deleted: message { id } }
    ... on ReactionsChanged { reacted: message { id } }
    ... on ParticipantJoined { joined: user { id } }
    ... on ParticipantLeft { left: user { id } }
    ... on ParticipantUpdated { updated: user { id } }
    ... on RoomUpdated { room { id } }
  } }`;

export const ROOMS_CHANGED = `subscription ($after: Cursor) {
  item: roomsChanged(after: $after) {
    __typename ... on StreamItem { cursor }
    ... on RoomChanged { kind room { id } message { id } }
    ... on RoomEntered { entered: room { id } }
    ... on RoomLeft { roomId }
  } }`;

const KINDS: Readonly<Record<string, readonly [kind: string, field: string]>> = {
  MessageSent: ['MESSAGE_SENT', 'sent'],
  MessageEdited: ['MESSAGE_EDITED', 'edited'],
  MessageDeleted: ['MESSAGE_DELETED', 'deleted'],
  ReactionsChanged: ['REACTIONS_CHANGED', 'reacted'],
  ParticipantJoined: ['PARTICIPANT_JOINED', 'joined'],
  ParticipantLeft: ['PARTICIPANT_LEFT', 'left'],
  ParticipantUpdated: ['PARTICIPANT_UPDATED', 'updated'],
  RoomUpdated: ['ROOM_UPDATED', 'room'],
};

/** A cursor is opaque to clients; a proof looks into it: version, epoch, position, signature. */
export function positionOf(cursor: string): bigint {
  return Buffer.from(cursor, 'base64url').readBigUInt64BE(17);
}

/** Null for a checkpoint and for what carries no position. */
export function eventOf(item: StreamItem): ReceivedEvent | null {
  const [kind, field] = KINDS[item.__typename] ?? [];
  if (kind === undefined || field === undefined) return null;
  const subject = item[field] as { readonly id: string } | null;
  const id = subject === null ? '' : decodeGlobalId(subject.id).id;
  return { position: positionOf(item.cursor), what: `${kind} ${id}`, atMs: performance.now() };
}

/** As `eventOf`, of the stream over all rooms: the kind and the room, as the API writes it. */
export function changeOf(item: StreamItem): ReceivedEvent | null {
  const room = (item['entered'] ?? item['room']) as { readonly id: string } | undefined;
  const roomId = item['roomId'] ?? room?.id;
  const kind = OWN_KINDS[item.__typename] ?? item['kind'];
  if (typeof roomId !== 'string' || typeof kind !== 'string') return null;
  const what = `${kind} ${roomId}`;
  return { position: positionOf(item.cursor), what, atMs: performance.now() };
}

const OWN_KINDS: Readonly<Record<string, string>> = {
  RoomEntered: 'PARTICIPANT_JOINED',
  RoomLeft: 'PARTICIPANT_LEFT',
};

/** What `eventOf` says, of a row of `room_event`. */
export const EVENT_COLUMNS = `
  position, kind || ' ' || coalesce(message_id, user_id, room_id)::text AS what`;

export function listen(options: ListenOptions): Listening {
  return options.way === 'socket' ? listenBySocket(options) : listenByEventStream(options);
}

interface Result {
  readonly data?: { readonly item?: StreamItem | null } | null;
  readonly errors?: readonly GraphQLFault[];
}

interface GraphQLFault {
  readonly message: string;
  readonly extensions?: { readonly code?: string };
}

function refusalOf(errors: readonly GraphQLFault[] | undefined): Ending | null {
  const [error] = errors ?? [];
  if (error === undefined) return null;
  return { why: 'refused', code: error.extensions?.code ?? 'ERROR', message: error.message };
}

function listenBySocket(options: ListenOptions): Listening {
  const { nodeUrl, token, query, variables, onItem } = options;
  const { promise: ended, resolve } = Promise.withResolvers<Ending>();
  const socket = new WebSocket(`${nodeUrl.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    perMessageDeflate: false,
  });
  const end = (ending: Ending) => {
    resolve(ending);
    socket.terminate();
  };
  socket.on('error', () => {});
  socket.once('close', () => resolve({ why: 'lost' }));
  socket.once('open', () => {
    const payload = { authorization: `Bearer ${token}` };
    socket.send(JSON.stringify({ type: 'connection_init', payload }));
  });
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as { type: string; payload?: unknown };
    if (frame.type === 'connection_ack') {
      const payload = { query, variables };
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }));
    } else if (frame.type === 'ping') socket.send(JSON.stringify({ type: 'pong' }));
    else if (frame.type === 'complete') end({ why: 'completed' });
    else if (frame.type === 'error') {
      end(refusalOf(frame.payload as readonly GraphQLFault[]) ?? { why: 'completed' });
    } else if (frame.type === 'next') {
      const { data: given, errors } = frame.payload as Result;
      const refusal = refusalOf(errors);
      if (refusal !== null) end(refusal);
      else if (given?.item) onItem(given.item);
    }
  });
  return { ended, close: () => socket.terminate() };
}

function listenByEventStream(options: ListenOptions): Listening {
  const { nodeUrl, token, query, variables, onItem } = options;
  let leave: (() => void) | null = null;
  let isClosed = false;
  const read = async (): Promise<Ending> => {
    const stream = await openEventStream(nodeUrl, { query, variables }, token);
    leave = stream.leave;
    if (isClosed) stream.leave();
    for (;;) {
      const result: Result | null = await stream.next();
      if (result === null) return { why: 'completed' };
      const refusal = refusalOf(result.errors);
      if (refusal !== null) return refusal;
      if (result.data?.item) onItem(result.data.item);
    }
  };
  return {
    ended: read()
      .catch((): Ending => ({ why: 'lost' }))
      .finally(() => leave?.()),
    close() {
      isClosed = true;
      leave?.();
    },
  };
}
