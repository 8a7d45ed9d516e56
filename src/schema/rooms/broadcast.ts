import {
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import {
  BROADCAST_BYTES_MAX,
  broadcastToRoom,
  EXCLUDED_CONNECTIONS_MAX,
} from '#resolvers/rooms/broadcast.ts';
import { builder } from '#schema/builder.ts';
import { IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY } from '#schema/idempotency.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { Room } from './room.ts';

const BroadcastToRoomInput = builder.inputType('BroadcastToRoomInput', {
  description: 'What to send, and where.',
  fields: (t) => ({
    roomId: t.globalID({ for: Room, required: true, description: 'The room’s id.' }),
    message: t.field({
      type: 'JSON',
      required: true,
      description:
        `A JSON object of at most ${BROADCAST_BYTES_MAX} bytes and 32 levels, without U+0000. Its meaning is the ` +
        'sender’s and the receivers’ own; clients of the chat worker look at `type`.',
    }),
    excludeConnectionIds: t.stringList({
      description:
        `Connections that are not told, e.g. that of who caused it: at most ${EXCLUDED_CONNECTIONS_MAX}, each of ` +
        'at most 64 characters, as they were given to `roomEvents` or as `_pk`. Best effort.',
    }),
    idempotencyKey: t.string(IDEMPOTENCY_KEY),
  }),
});

const BroadcastToRoomSucceeded = builder
  .objectRef<{ readonly broadcastId: string }>('BroadcastToRoomSucceeded')
  .implement({
    description: 'It is stored as the room’s last broadcast, and goes out.',
    fields: (t) => ({
      broadcastId: t.exposeID('broadcastId', {
        description: 'As `RoomBroadcast` tells it; no object has this id.',
      }),
    }),
  });

builder.mutationField('broadcastToRoom', (t) =>
  t.field({
    type: BroadcastToRoomSucceeded,
    description:
      'Sends a message of an own kind to everybody who follows a room, by `roomEvents` and as clients of the chat ' +
      'worker. It is live only: it has no place in the room’s history, and is never replayed. For personal access ' +
      'tokens only: of OPERATOR and ADMIN into any room, of owners and moderators who are not muted into theirs. ' +
      '`POST /api/broadcast` does the same. Needs the scope `rooms:broadcast`.',
    ...withBoth(
      withScope('rooms:broadcast'),
      withRateLimit({ by: 'ACCOUNT', limit: 600, windowSeconds: 60 }),
    ),
    args: {
      input: t.arg({ type: BroadcastToRoomInput, required: true, description: 'What to send.' }),
    },
    errors: {
      types: [
        InvalidInputError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        ...IDEMPOTENCY_ERRORS,
      ],
      union: { name: 'BroadcastToRoomResult', description: 'What came of `broadcastToRoom`.' },
    },
    resolve: (_root, { input }, ctx) =>
      broadcastToRoom(ctx, { ...input, message: input.message, roomId: input.roomId.id }),
  }),
);
