import {
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { getRoom } from '#resolvers/rooms/change-room.ts';
import { markRead } from '#resolvers/rooms/read-marker.ts';
import type { Room as RoomShape } from '#resolvers/rooms/room-row.ts';
import { countUnread, countUnreadMentions, findLastRead } from '#resolvers/rooms/unread.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { ChatMessage } from './message.ts';
import { Room } from './room.ts';

builder.objectFields(Room, (t) => ({
  unreadCount: t.int({
    description:
      'How many messages the viewer has not read: those after their read marker, and after their joining. Deleted ones ' +
      'count. 0 for who is not in the room.',
    resolve: ({ id }, _args, ctx) => countUnread(ctx, id),
  }),
  mentionCount: t.int({
    description:
      'How many of the unread messages mention the viewer; deleted ones do not. 0 for who is not in the room.',
    resolve: ({ id }, _args, ctx) => countUnreadMentions(ctx, id),
  }),
  lastReadMessage: t.field({
    type: ChatMessage,
    nullable: true,
    description:
      'Where the viewer’s read marker stands; null where they have read nothing, may not read it any more, or are not in ' +
      'the room.',
    resolve: ({ id }, _args, ctx) => findLastRead(ctx, id),
  }),
}));

const MarkReadInput = builder.inputType('MarkReadInput', {
  description: 'What the viewer has read.',
  fields: (t) => ({
    roomId: t.globalID({ for: Room, required: true, description: 'The room’s id.' }),
    upToMessageId: t.globalID({
      for: ChatMessage,
      required: true,
      description: 'A message of the room, deleted or not; it and all before it are read.',
    }),
  }),
});

const MarkReadSucceeded = builder
  .objectRef<{ readonly room: RoomShape }>('MarkReadSucceeded')
  .implement({
    description: 'The viewer’s read marker stands at the message, or further.',
    fields: (t) => ({
      room: t.expose('room', { type: Room, description: 'The room, as it is now.' }),
    }),
  });

builder.mutationField('markRead', (t) =>
  t.field({
    type: MarkReadSucceeded,
    description:
      'Moves the viewer’s read marker up to a message; several at once end at the furthest. It never goes back: an older ' +
      'message changes nothing. Only where it moved the room is told (`ReadMarkerMoved`), and the viewer’s other devices are. ' +
      'NOT_FOUND for a room that the viewer is not in, and for a message that is not there for them. Needs the scopes ' +
      '`rooms:read` and `rooms:write`.',
    ...withBoth(
      withScope('rooms:read', 'rooms:write'),
      withRateLimit({ by: 'ACCOUNT', limit: 120, windowSeconds: 60 }),
    ),
    args: { input: t.arg({ type: MarkReadInput, required: true, description: 'What is read.' }) },
    errors: {
      types: [
        InvalidInputError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        RateLimitedError,
      ],
      union: { name: 'MarkReadResult', description: 'What came of `markRead`.' },
    },
    resolve: async (_root, { input }, ctx) => {
      const roomId = input.roomId.id;
      await markRead(ctx, { roomId, messageId: input.upToMessageId.id });
      return { room: await getRoom(ctx, roomId) };
    },
  }),
);
