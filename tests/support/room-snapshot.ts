// A room as one of its participants reads it, and what the room's events make of that.
import { openSocket, post } from './graphql-client.ts';
import type { StreamEntry } from './room-watch.ts';

/** What of a room changes only with an event of its log. */
export interface RoomSnapshot {
  readonly cursor: string;
  readonly room: RoomPart;
  /** By the account's id. */
  readonly participants: ReadonlyMap<string, unknown>;
  /** By id. */
  readonly messages: ReadonlyMap<string, unknown>;
}

interface Page {
  readonly nodes: readonly StreamEntry[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

type RoomPart = Readonly<Record<string, unknown>>;

const ROOM = 'name historyVisibility archivedAt updatedAt externalId';
const PARTICIPANT = 'user { id } role joinedAt addedBy { id } isMuted mutedUntil';
const MESSAGE = `id sequence author { id } body replyTo { id } mentions { id } createdAt editedAt
  deletedAt revision reactions { emoji count viewerHasReacted }`;

/** By several operations, one after another: what is written meanwhile may be in it, or not. */
export async function readSnapshot(
  url: string,
  token: string,
  roomId: string,
): Promise<RoomSnapshot> {
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the selection's
  const ask = async (selection: string, after: string | null = null): Promise<any> => {
    const query = `query ($id: ID!${after === null ? '' : ', $after: String'}) {
      room(id: $id) { ${selection} } }`;
    const { result } = await post(url, { query, variables: { id: roomId, after } }, token);
    if (result.errors) throw new Error(JSON.stringify(result.errors));
    return result.data.room;
  };
  const askAll = async (field: string, selection: string) => {
    const nodes: StreamEntry[] = [];
    for (let after: string | null = null, isMore = true; isMore; ) {
      const page: Page = (
        await ask(
          `page: ${field}(first: 20${after === null ? '' : ', after: $after'}) {
            nodes { ${selection} } pageInfo { hasNextPage endCursor } }`,
          after,
        )
      ).page;
      nodes.push(...page.nodes);
      isMore = page.pageInfo.hasNextPage;
      after = page.pageInfo.endCursor;
    }
    return nodes;
  };
  const { followCursor, ...room } = await ask(`followCursor ${ROOM}`);
  const participants = await askAll('participants', PARTICIPANT);
  const messages = await askAll('messages', MESSAGE);
  return {
    cursor: followCursor,
    room,
    participants: new Map(participants.map((each) => [each['user'].id, each])),
    messages: new Map(messages.map((each) => [each['id'], each])),
  };
}

const EVENTS = `subscription ($roomId: ID!, $after: Cursor) {
  item: roomEvents(roomId: $roomId, after: $after) {
    __typename ... on StreamItem { cursor }
    ... on MessageSent { message { ${MESSAGE} } }
    ... on MessageEdited { message { ${MESSAGE} } }
    ... on MessageDeleted { message { ${MESSAGE} } }
    ... on ReactionsChanged { message { ${MESSAGE} } }
    ... on ParticipantJoined { user { id } participant { ${PARTICIPANT} } }
    ... on ParticipantUpdated { user { id } participant { ${PARTICIPANT} } }
    ... on ParticipantLeft { user { id } }
    ... on RoomUpdated { room { ${ROOM} } }
  } }`;

/** What the snapshot becomes by the events since, up to that of sending the message `lastId`. */
export async function bringUpToDate(
  url: string,
  token: string,
  roomId: string,
  snapshot: RoomSnapshot,
  lastId: Promise<string>,
): Promise<RoomSnapshot> {
  const socket = await openSocket(url, token);
  socket.subscribe('events', { query: EVENTS, variables: { roomId, after: snapshot.cursor } });
  let state = snapshot;
  for (;;) {
    const { type, payload } = await socket.next('events');
    if (type !== 'next' || payload.errors) throw new Error(JSON.stringify(payload));
    const event: StreamEntry = payload.data.item;
    state = applyEvent(state, event);
    if (event.__typename === 'MessageSent' && event['message'].id === (await lastId)) break;
  }
  socket.ws.close();
  return state;
}

/** Pure, and the same when what happened is in the snapshot already. */
export function applyEvent(snapshot: RoomSnapshot, event: StreamEntry): RoomSnapshot {
  const { cursor, message, user, participant = null, room } = event;
  const next = { ...snapshot, cursor };
  switch (event.__typename) {
    case 'MessageSent':
    case 'MessageEdited':
    case 'MessageDeleted':
    case 'ReactionsChanged':
      return { ...next, messages: new Map(snapshot.messages).set(message.id, message) };
    case 'ParticipantJoined':
    case 'ParticipantUpdated':
    case 'ParticipantLeft': {
      const participants = new Map(snapshot.participants);
      if (participant === null) participants.delete(user.id);
      else participants.set(user.id, participant);
      return { ...next, participants };
    }
    case 'RoomUpdated':
      return { ...next, room };
    default:
      return next;
  }
}

/** To compare: what it shows, whatever the order in which it was learned. */
export function shownBy({ room, participants, messages }: RoomSnapshot) {
  const ofKeys = (map: ReadonlyMap<string, unknown>) =>
    Object.fromEntries([...map].toSorted(([one], [other]) => (one < other ? -1 : 1)));
  return { room, participants: ofKeys(participants), messages: ofKeys(messages) };
}
