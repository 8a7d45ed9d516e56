import {
  ConflictError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { listTypists } from '#resolvers/rooms/attendance.ts';
import { getRoom } from '#resolvers/rooms/change-room.ts';
import { findProfiles } from '#resolvers/rooms/profile.ts';
import type { Room as RoomShape } from '#resolvers/rooms/room-row.ts';
import { setTyping } from '#resolvers/rooms/set-typing.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { User } from '#schema/users/user.ts';
import { Room } from './room.ts';

const SHOWN_MAX = 20;

builder.objectField(Room, 'typing', (t) =>
  t.field({
    type: [User],
    nullable: true,
    description:
      `Who else in the room types now, ${SHOWN_MAX} at most; nobody for who is not in the room. Null, with the error ` +
      'UNAVAILABLE, while that is not known. `roomEvents` tells what changes.',
    resolve: async ({ id }, _args, ctx) =>
      findProfiles(ctx, (await listTypists(ctx, id)).slice(0, SHOWN_MAX)),
  }),
);

const SetTypingInput = builder.inputType('SetTypingInput', {
  description: 'Whether the viewer types, and where.',
  fields: (t) => ({
    roomId: t.globalID({ for: Room, required: true, description: 'The room’s id.' }),
    isTyping: t.boolean({ required: true, description: 'Whether the viewer types now.' }),
    connectionId: t.string({
      description:
        'As it was given to `roomEvents`, 1–64 visible ASCII characters: whose connection it is.',
    }),
  }),
});

const SetTypingSucceeded = builder
  .objectRef<{ readonly room: RoomShape }>('SetTypingSucceeded')
  .implement({
    description: 'The others in the room are told, unless they were told the same just before.',
    fields: (t) => ({
      room: t.expose('room', { type: Room, description: 'The room, as it is now.' }),
    }),
  });

builder.mutationField('setTyping', (t) =>
  t.field({
    type: SetTypingSucceeded,
    description:
      'Tells the others in a room that the viewer types, or stopped. Say it again every 3 seconds while it lasts: who is not ' +
      'heard of for 6 seconds does not type any more; sooner than after 3 seconds nobody is told the same again. It is ' +
      'live only and best effort. FORBIDDEN for who is muted there, CONFLICT in an archived room. Needs the scopes ' +
      '`rooms:read` and `rooms:write`.',
    ...withBoth(
      withScope('rooms:read', 'rooms:write'),
      withRateLimit({ by: 'ACCOUNT', limit: 60, windowSeconds: 30 }),
    ),
    args: { input: t.arg({ type: SetTypingInput, required: true, description: 'What to tell.' }) },
    errors: {
      types: [
        InvalidInputError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        ConflictError,
        RateLimitedError,
      ],
      union: { name: 'SetTypingResult', description: 'What came of `setTyping`.' },
    },
    resolve: async (_root, { input }, ctx) => {
      const roomId = input.roomId.id;
      await setTyping(ctx, {
        roomId,
        isTyping: input.isTyping,
        connectionId: input.connectionId ?? null,
      });
      return { room: await getRoom(ctx, roomId) };
    },
  }),
);
