import type { RoomFeedItem } from '#resolvers/rooms/feed.ts';
import { isIn } from '#resolvers/rooms/membership.ts';
import { findProfile } from '#resolvers/rooms/profile.ts';
import { type RoomAside, watchRoom } from '#resolvers/rooms/room-stream.ts';
import type { RoomEventKind } from '#resolvers/rooms/write-room.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { StreamCheckpoint, StreamItem, type StreamItemShape } from '#schema/stream.ts';
import { User } from '#schema/users/user.ts';
import { ChatMessage } from './message.ts';
import { Participant } from './participant.ts';
import { Presence } from './presence.ts';
import { Room } from './room.ts';

/** What the feed has read for all: nothing of it is read again for each. */
export interface RoomEventShape extends StreamItemShape {
  readonly event: RoomFeedItem;
}

interface SignalShape<Type extends RoomAside['type']> extends StreamItemShape {
  readonly signal: Extract<RoomAside, { type: Type }>;
}

export const LeaveReason = builder.enumType('LeaveReason', {
  description: 'Why somebody is not in a room any more.',
  values: {
    LEFT: { description: 'They left, or their account was deleted.' },
    REMOVED: { description: 'An owner or a moderator removed them.' },
    BANNED: { description: 'An owner or a moderator removed them and does not let them back in.' },
  } as const,
});

const LIVE_ONLY =
  'Live only: told once, never replayed, and without a place of its own; its cursor is that of what came before it.';

function defineEvent<Name extends string>(name: Name, description: string) {
  return builder.objectRef<RoomEventShape>(name).implement({
    description,
    interfaces: [StreamItem],
    fields: (t) => ({
      actor: t.field({
        type: User,
        nullable: true,
        description: 'Who did it; null for the server itself, and once the account is deleted.',
        resolve: ({ event }, _args, ctx) => findProfile(ctx, event.actorId),
      }),
    }),
  });
}

const MESSAGE_EVENTS = {
  MESSAGE_SENT: defineEvent(
    'MessageSent',
    'A message was sent. Replayed, it is as it is now: edited since, or a tombstone once deleted.',
  ),
  MESSAGE_EDITED: defineEvent('MessageEdited', 'A message’s text or mentions were changed.'),
  MESSAGE_DELETED: defineEvent(
    'MessageDeleted',
    'A message was deleted. What is left of it is a tombstone, without text, attachments and reactions.',
  ),
  REACTIONS_CHANGED: defineEvent(
    'ReactionsChanged',
    'Somebody reacted to a message, or took that back.',
  ),
} as const;

const PARTICIPANT_EVENTS = {
  PARTICIPANT_JOINED: defineEvent('ParticipantJoined', 'Somebody came into the room.'),
  PARTICIPANT_UPDATED: defineEvent(
    'ParticipantUpdated',
    'How somebody stands to the room was changed: their role, or whether they are muted or banned.',
  ),
} as const;

const ParticipantLeft = defineEvent(
  'ParticipantLeft',
  'Somebody is not in the room any more. To whom it happened it is the last thing that the room tells.',
);

const RoomUpdated = defineEvent(
  'RoomUpdated',
  'The room itself was changed: its name, its visibility, or whether it is archived.',
);

for (const type of Object.values(MESSAGE_EVENTS)) {
  builder.objectField(type, 'message', (t) =>
    t.field({
      type: ChatMessage,
      description: 'The message, as it is now; for who has left, as it was then.',
      resolve: ({ event: { message } }) => {
        if (message === null) throw new Error('A message’s event was let through without it');
        return message;
      },
    }),
  );
}

for (const type of [...Object.values(PARTICIPANT_EVENTS), ParticipantLeft]) {
  builder.objectField(type, 'user', (t) =>
    t.field({
      type: User,
      nullable: true,
      description: 'Whom it is about; null once the account is deleted.',
      resolve: ({ event }, _args, ctx) => findProfile(ctx, event.userId),
    }),
  );
}

for (const type of Object.values(PARTICIPANT_EVENTS)) {
  builder.objectField(type, 'participant', (t) =>
    t.field({
      type: Participant,
      nullable: true,
      description:
        'How they stand to the room now; null where they are not in it, or the viewer is not.',
      resolve: ({ event }) => (isIn(event.participant ?? undefined) ? event.participant : null),
    }),
  );
}

builder.objectField(PARTICIPANT_EVENTS.PARTICIPANT_UPDATED, 'isBanned', (t) =>
  t.boolean({
    description:
      'Whether they are banned now: who had left before may be. False for a viewer who is not in the room.',
    resolve: ({ event }) => event.participant?.isBanned ?? false,
  }),
);

builder.objectField(ParticipantLeft, 'reason', (t) =>
  t.field({
    type: LeaveReason,
    description: 'Why.',
    resolve: ({ event }) => event.leftReason ?? 'LEFT',
  }),
);

builder.objectField(RoomUpdated, 'room', (t) =>
  t.field({
    type: Room,
    description: 'The room, as it is now.',
    resolve: ({ event }) => event.room,
  }),
);

const EVENTS: Readonly<Record<RoomEventKind, typeof RoomUpdated>> = {
  ...MESSAGE_EVENTS,
  ...PARTICIPANT_EVENTS,
  PARTICIPANT_LEFT: ParticipantLeft,
  ROOM_UPDATED: RoomUpdated,
};

const ReadMarkerMoved = builder.objectRef<SignalShape<'READ_MARKER'>>('ReadMarkerMoved').implement({
  description: `Somebody has read on. ${LIVE_ONLY} Of several of one account only the furthest is told.`,
  interfaces: [StreamItem],
  fields: (t) => ({
    user: t.field({
      type: User,
      nullable: true,
      description: 'Who; null once the account is deleted.',
      resolve: ({ signal }, _args, ctx) => findProfile(ctx, signal.userId),
    }),
    sequence: t.int({
      description: 'They have read the messages up to this `sequence`.',
      resolve: ({ signal }) => Number(signal.sequence),
    }),
    readAt: t.field({
      type: 'DateTime',
      description: 'When they said so.',
      resolve: ({ signal }) => new Date(signal.readAt),
    }),
  }),
});

const TypingChanged = builder.objectRef<SignalShape<'TYPING'>>('TypingChanged').implement({
  description: `Somebody else began to type, or stopped. ${LIVE_ONLY} Who is not heard of for 6 seconds does not type any more.`,
  interfaces: [StreamItem],
  fields: (t) => ({
    user: t.field({
      type: User,
      nullable: true,
      description: 'Who; null once the account is deleted.',
      resolve: ({ signal }, _args, ctx) => findProfile(ctx, signal.userId),
    }),
    isTyping: t.boolean({
      description: 'Whether they type now.',
      resolve: ({ signal }) => signal.isTyping,
    }),
  }),
});

const PresenceChanged = builder.objectRef<SignalShape<'PRESENCE'>>('PresenceChanged').implement({
  description: `Somebody else in the room came online, or went. ${LIVE_ONLY}`,
  interfaces: [StreamItem],
  fields: (t) => ({
    user: t.field({
      type: User,
      nullable: true,
      description: 'Who; null once the account is deleted.',
      resolve: ({ signal }, _args, ctx) => findProfile(ctx, signal.userId),
    }),
    presence: t.field({
      type: Presence,
      description: 'What it became.',
      resolve: ({ signal: { userId, isOnline, changedAt } }) => ({
        userId,
        isOnline,
        changedAt: new Date(changedAt),
      }),
    }),
  }),
});

const RoomBroadcast = builder.objectRef<SignalShape<'BROADCAST'>>('RoomBroadcast').implement({
  description: `A server said something to all who are connected (\`broadcastToRoom\`). ${LIVE_ONLY}`,
  interfaces: [StreamItem],
  fields: (t) => ({
    broadcastId: t.string({
      description: 'Its own id, a UUID: two with the same are one.',
      resolve: ({ signal }) => signal.broadcastId,
    }),
    payload: t.field({
      type: 'JSON',
      description: 'The broadcast’s `message`, as it was given: an object.',
      resolve: ({ signal }) => signal.message,
    }),
    sentAt: t.field({
      type: 'DateTime',
      description: 'When it was sent.',
      resolve: ({ signal }) => new Date(signal.sentAt),
    }),
  }),
});

const SIGNALS = {
  READ_MARKER: ReadMarkerMoved,
  TYPING: TypingChanged,
  PRESENCE: PresenceChanged,
  BROADCAST: RoomBroadcast,
} as const;

interface ItemShape extends StreamItemShape {
  readonly event?: RoomFeedItem;
  readonly signal?: RoomAside;
}

const RoomStreamItem = builder.unionType('RoomStreamItem', {
  description: 'What a room’s stream carries.',
  types: [...Object.values(EVENTS), ...Object.values(SIGNALS), StreamCheckpoint],
  resolveType: (item) => {
    const { event, signal } = item as ItemShape;
    if (event !== undefined) return EVENTS[event.kind];
    return signal === undefined ? StreamCheckpoint : SIGNALS[signal.type];
  },
});

builder.subscriptionField('roomEvents', (t) =>
  t.field({
    type: RoomStreamItem,
    description:
      'All that happens in a room: after `after`, replayed and then live without a seam, or from now on; applied to what ' +
      '`room` and its `messages` showed at `followCursor`, it makes what they show now. Whether the viewer is in the room is decided ' +
      'for each thing when it is handed out: who leaves is told so by their own `ParticipantLeft`, hears nothing that came ' +
      'after it, and the stream ends with NOT_FOUND. Under SINCE_JOINED what came before the viewer joined last is passed over, and so is what ' +
      'happens to messages from then. Under KEPT who was in the room may replay what was there until they left, as it was then; ' +
      'what was deleted stays deleted. While it is open the viewer is online. Needs the scope `rooms:read`. Ends with NOT_FOUND for a ' +
      'room that the viewer may not know of, CURSOR_INVALID, CURSOR_EXPIRED, FEED_RESET, and UNAUTHENTICATED once the ' +
      'token counts no more.',
    ...withBoth(
      withScope('rooms:read'),
      withRateLimit({ by: 'VIEWER', limit: 600, windowSeconds: 60 }),
    ),
    args: {
      roomId: t.arg.globalID({ required: true, for: Room, description: 'The room’s id.' }),
      after: t.arg({
        type: 'Cursor',
        description:
          'Go on behind this place; without it, from now on. Over server-sent events the header ' +
          '`Last-Event-ID` takes its place.',
      }),
      connectionId: t.arg.string({
        description:
          'A name for this connection, 1–64 visible ASCII characters: what is sent with the same is not told to it, where that is live only.',
      }),
    },
    subscribe: (_root, { roomId, after, connectionId }, ctx) =>
      watchRoom(ctx, {
        roomId: roomId.id,
        after: after ?? null,
        connectionId: connectionId ?? null,
      }),
    resolve: ({ cursor, item, aside }) => {
      if (aside !== null) return { cursor, signal: aside };
      return item === null ? { cursor } : { cursor, event: item };
    },
  }),
);
