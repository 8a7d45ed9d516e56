import { getRoom } from '#resolvers/rooms/change-room.ts';
import type { RoomFeedItem } from '#resolvers/rooms/feed.ts';
import { findProfile } from '#resolvers/rooms/profile.ts';
import { watchRooms } from '#resolvers/rooms/rooms-stream.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { StreamCheckpoint, StreamItem, type StreamItemShape } from '#schema/stream.ts';
import { User } from '#schema/users/user.ts';
import { ChatMessage } from './message.ts';
import { Room } from './room.ts';
import { LeaveReason, type RoomEventShape } from './room-events.ts';

const RoomChangeKind = builder.enumType('RoomChangeKind', {
  description: 'What changed in a room.',
  values: {
    MESSAGE_SENT: { description: 'A message was sent.' },
    MESSAGE_EDITED: { description: 'A message was changed.' },
    MESSAGE_DELETED: { description: 'A message was deleted.' },
    REACTIONS_CHANGED: { description: 'Somebody reacted to a message, or took that back.' },
    PARTICIPANT_JOINED: { description: 'Somebody else came into it.' },
    PARTICIPANT_LEFT: { description: 'Somebody else is not in it any more.' },
    PARTICIPANT_UPDATED: { description: 'A role, a mute or a ban.' },
    ROOM_UPDATED: { description: 'Its name, its visibility, or whether it is archived.' },
  } as const,
});

const RoomChanged = builder.objectRef<RoomEventShape>('RoomChanged').implement({
  description:
    'Something happened in a room that the viewer is in: everything that has a place in its log.',
  interfaces: [StreamItem],
  fields: (t) => ({
    kind: t.field({
      type: RoomChangeKind,
      description: 'What.',
      resolve: ({ event }) => event.kind,
    }),
    room: t.field({
      type: Room,
      description: 'The room, as it is now; its unread counts are the viewer’s own.',
      resolve: ({ event }) => event.room,
    }),
    message: t.field({
      type: ChatMessage,
      nullable: true,
      description: 'The message that it is about, as it is now; null where it is about none.',
      resolve: ({ event }) => event.message,
    }),
    user: t.field({
      type: User,
      nullable: true,
      description:
        'Whom it is about; null where that is a message or the room itself, and once the account is deleted.',
      resolve: ({ event }, _args, ctx) => findProfile(ctx, event.userId),
    }),
    actor: t.field({
      type: User,
      nullable: true,
      description: 'Who did it; null for the server itself, and once the account is deleted.',
      resolve: ({ event }, _args, ctx) => findProfile(ctx, event.actorId),
    }),
  }),
});

const RoomEntered = builder.objectRef<RoomEventShape>('RoomEntered').implement({
  description: 'The viewer is in a room from now on: they made it, joined it or were added.',
  interfaces: [StreamItem],
  fields: (t) => ({
    room: t.field({
      type: Room,
      description: 'The room, as it is now.',
      resolve: ({ event }) => event.room,
    }),
    addedBy: t.field({
      type: User,
      nullable: true,
      description: 'Who added them; themselves where they did; null once that account is deleted.',
      resolve: ({ event }, _args, ctx) => findProfile(ctx, event.actorId),
    }),
  }),
});

const RoomLeft = builder.objectRef<RoomEventShape>('RoomLeft').implement({
  description: 'The viewer is not in a room any more. It is the last that is told of it.',
  interfaces: [StreamItem],
  fields: (t) => ({
    roomId: t.globalID({
      description: 'The room’s id, which the viewer may not be able to read any more.',
      resolve: ({ event }) => ({ type: Room, id: event.roomId }),
    }),
    reason: t.field({
      type: LeaveReason,
      description: 'Why.',
      resolve: ({ event }) => event.leftReason ?? 'LEFT',
    }),
    actor: t.field({
      type: User,
      nullable: true,
      description: 'Who did it: themselves where they left; null once that account is deleted.',
      resolve: ({ event }, _args, ctx) => findProfile(ctx, event.actorId),
    }),
  }),
});

interface ReadShape extends StreamItemShape {
  readonly roomId: string;
}

const RoomUnreadChanged = builder.objectRef<ReadShape>('RoomUnreadChanged').implement({
  description:
    'The viewer has read on in a room, on whichever device. Live only: told once, never replayed, and without a place of ' +
    'its own; its cursor is that of what came before it.',
  interfaces: [StreamItem],
  fields: (t) => ({
    room: t.field({
      type: Room,
      description: 'The room, with what is unread now.',
      resolve: ({ roomId }, _args, ctx) => getRoom(ctx, roomId),
    }),
  }),
});

interface ItemShape extends StreamItemShape {
  readonly event?: RoomFeedItem;
  readonly roomId?: string;
}

const RoomsStreamItem = builder.unionType('RoomsStreamItem', {
  description: 'What the stream over all of the viewer’s rooms carries.',
  types: [RoomChanged, RoomEntered, RoomLeft, RoomUnreadChanged, StreamCheckpoint],
  resolveType: (item, ctx) => {
    const { event, roomId } = item as ItemShape;
    if (event !== undefined) return typeOf(event, ctx.viewer?.userId ?? null);
    return roomId === undefined ? StreamCheckpoint : RoomUnreadChanged;
  },
});

function typeOf({ kind, userId }: RoomFeedItem, viewerId: string | null) {
  if (userId === viewerId && kind === 'PARTICIPANT_JOINED') return RoomEntered;
  return userId === viewerId && kind === 'PARTICIPANT_LEFT' ? RoomLeft : RoomChanged;
}

builder.subscriptionField('roomsChanged', (t) =>
  t.field({
    type: RoomsStreamItem,
    description:
      'All that happens in all of the viewer’s rooms, so that one subscription keeps a list of rooms true: after `after`, replayed ' +
      'and then live without a seam, or from now on. A change is told to who was in the room when it happened and may read it ' +
      'when it is handed out. In the order of each room; what happens in two rooms at once comes in either order. Kept for 30 ' +
      'days. While it is open the viewer is online. Needs the scope `rooms:read`. Ends with CURSOR_INVALID, ' +
      'CURSOR_EXPIRED, FEED_RESET, and UNAUTHENTICATED once the token counts no more.',
    ...withBoth(
      withScope('rooms:read'),
      withRateLimit({ by: 'VIEWER', limit: 600, windowSeconds: 60 }),
    ),
    args: {
      after: t.arg({
        type: 'Cursor',
        description:
          'Go on behind this place; without it, from now on. Over server-sent events the header ' +
          '`Last-Event-ID` takes its place.',
      }),
    },
    subscribe: (_root, { after }, ctx) => watchRooms(ctx, { after: after ?? null }),
    resolve: ({ cursor, item, aside }) => {
      if (aside !== null) return { cursor, roomId: aside.roomId };
      return item === null ? { cursor } : { cursor, event: item };
    },
  }),
);
