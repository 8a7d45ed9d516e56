import {
  ConflictError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { ACCOUNTS_MAX } from '#resolvers/rooms/accounts.ts';
import { createRoom } from '#resolvers/rooms/create-room.ts';
import { openDirectRoom } from '#resolvers/rooms/direct-room.ts';
import { PARTICIPANTS_MAX, ROOMS_BY_OTHERS_MAX, ROOMS_MAX } from '#resolvers/rooms/enter-room.ts';
import {
  EXTERNAL_ID_BYTES_MAX,
  EXTERNAL_ID_MAX,
  ROOM_NAME_MAX,
} from '#resolvers/rooms/room-input.ts';
import type { Room as RoomShape } from '#resolvers/rooms/room-row.ts';
import { setArchived, updateRoom } from '#resolvers/rooms/update-room.ts';
import { builder } from '#schema/builder.ts';
import { IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY } from '#schema/idempotency.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { User } from '#schema/users/user.ts';
import { HistoryVisibilityEnum, Room } from './room.ts';

export const ROOM_FAILURES = [
  RateLimitedError,
  InvalidInputError,
  UnauthenticatedError,
  ForbiddenError,
  NotFoundError,
  ConflictError,
];
export const ROOM_NEEDS = 'Needs the scopes `rooms:read` and `rooms:write`.';
export const ROOM_IS = 'NotFoundError alike for no room and for one that is not the viewer’s.';
export const ARCHIVED = 'ConflictError for an archived room.';

/** For what changes a room or who is in it: so many a minute and account. */
export const roomPolicy = (limit: number) =>
  withBoth(
    withScope('rooms:read', 'rooms:write'),
    withRateLimit({ by: 'ACCOUNT', limit, windowSeconds: 60 }),
  );

export const ROOM_ID = { required: true, for: Room, description: 'The room’s id.' } as const;

export const ENTRY_LIMITS =
  `ConflictError past ${PARTICIPANTS_MAX.toLocaleString('en')} participants of a room, and past ${ROOMS_MAX} rooms of ` +
  `an account, ${ROOMS_BY_OTHERS_MAX} where others add it, archived and direct ones included.`;

interface RoomChanged {
  readonly room: RoomShape;
}

/** What a change answers with that says all by the room as it is then. */
export const roomSucceeded = (field: string, description: string) =>
  builder.objectRef<RoomChanged>(`${field}Succeeded`).implement({
    description,
    fields: (t) => ({
      room: t.field({ type: Room, description: 'The room.', resolve: ({ room }) => room }),
    }),
  });

const RoomCreated = roomSucceeded('CreateRoom', 'There is the room, and the viewer owns it.');
const DirectRoomOpened = roomSucceeded('OpenDirectRoom', 'The one room of the two.');
const RoomUpdated = roomSucceeded('UpdateRoom', 'The room is as was asked.');
const RoomArchived = roomSucceeded('ArchiveRoom', 'Nothing in it changes any more.');
const RoomUnarchived = roomSucceeded('UnarchiveRoom', 'It goes on.');

const NAME = `1–${ROOM_NAME_MAX} characters on one line, without control characters; spaces at its ends are dropped.`;

const CreateRoomInput = builder.inputType('CreateRoomInput', {
  description: 'What room to make, with whom.',
  fields: (t) => ({
    name: t.string({ required: true, description: `What to call it: ${NAME}` }),
    historyVisibility: t.field({
      type: HistoryVisibilityEnum,
      required: true,
      defaultValue: 'SHARED',
      description: 'What of its history may be read, by whom.',
    }),
    externalId: t.string({
      description:
        `By which another system knows it: 1–${EXTERNAL_ID_MAX} characters and at most ${EXTERNAL_ID_BYTES_MAX} bytes, unique and for ever. Needs the role OPERATOR ` +
        'or ADMIN. ConflictError where another room has it.',
    }),
    userIds: t.globalIDList({
      for: User,
      description: `Who else is in it as a member; at most ${ACCOUNTS_MAX} with \`usernames\`.`,
    }),
    usernames: t.stringList({ description: 'The same by name.' }),
    idempotencyKey: t.string(IDEMPOTENCY_KEY),
  }),
});

builder.mutationField('createRoom', (t) =>
  t.field({
    type: RoomCreated,
    description: `Makes a GROUP room, which the viewer owns. InvalidInputError that names who is not there. ${ENTRY_LIMITS} ${ROOM_NEEDS}`,
    ...roomPolicy(60),
    args: { input: t.arg({ type: CreateRoomInput, required: true, description: 'What room.' }) },
    errors: {
      types: [...new Set([...ROOM_FAILURES, ...IDEMPOTENCY_ERRORS])],
      union: { name: 'CreateRoomResult', description: 'What came of `createRoom`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      room: await createRoom(ctx, { ...input, userIds: input.userIds?.map(({ id }) => id) }),
    }),
  }),
);

const OpenDirectRoomInput = builder.inputType('OpenDirectRoomInput', {
  description: 'With which other account: by exactly one of the two.',
  isOneOf: true,
  fields: (t) => ({
    userId: t.globalID({ for: User, description: 'The account’s id.' }),
    username: t.string({ description: 'The account’s name.' }),
  }),
});

builder.mutationField('openDirectRoom', (t) =>
  t.field({
    type: DirectRoomOpened,
    description:
      'The DIRECT room of the viewer and another account: there is one for each pair, made by whoever opens it first. Who had ' +
      'left it is in it again by opening it; the other is not pulled back. Again is the same as once. InvalidInputError for an ' +
      `account that is not there. ConflictError past ${ROOMS_MAX} rooms of either. ${ROOM_NEEDS}`,
    ...roomPolicy(60),
    args: {
      input: t.arg({ type: OpenDirectRoomInput, required: true, description: 'With whom.' }),
    },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'OpenDirectRoomResult', description: 'What came of `openDirectRoom`.' },
    },
    resolve: async (_root, { input: { userId, username } }, ctx) => {
      if (userId) return { room: await openDirectRoom(ctx, { userId: userId.id }) };
      if (username) return { room: await openDirectRoom(ctx, { username }) };
      throw new InvalidInputError('Name an account', 'input');
    },
  }),
);

const UpdateRoomInput = builder.inputType('UpdateRoomInput', {
  description: 'What to change: what is absent or null stays as it is.',
  fields: (t) => ({
    roomId: t.globalID(ROOM_ID),
    name: t.string({ description: `What to call it: ${NAME} By owners and moderators.` }),
    historyVisibility: t.field({
      type: HistoryVisibilityEnum,
      description:
        'What of its history may be read, by whom: from now on, of what was before, too. By owners.',
    }),
  }),
});

builder.mutationField('updateRoom', (t) =>
  t.field({
    type: RoomUpdated,
    description:
      'Changes what a room is called, or who reads what of it: what is read from then on obeys that, and nobody’s client is told ' +
      'to drop what it holds. What is so already is no change, and makes no event. ' +
      `ForbiddenError for DIRECT. ${ARCHIVED} ${ROOM_IS} ${ROOM_NEEDS}`,
    ...roomPolicy(60),
    args: { input: t.arg({ type: UpdateRoomInput, required: true, description: 'What.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'UpdateRoomResult', description: 'What came of `updateRoom`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      room: await updateRoom(ctx, { ...input, roomId: input.roomId.id }),
    }),
  }),
);

const ArchiveRoomInput = builder.inputType('ArchiveRoomInput', {
  description: 'Which room.',
  fields: (t) => ({ roomId: t.globalID(ROOM_ID) }),
});

builder.mutationField('archiveRoom', (t) =>
  t.field({
    type: RoomArchived,
    description:
      'From then on nothing in the room changes, but that participants leave, are removed and banned, and bans are lifted; it is read on. By owners. Again is the ' +
      `same as once. ${ROOM_IS} ${ROOM_NEEDS}`,
    ...roomPolicy(60),
    args: { input: t.arg({ type: ArchiveRoomInput, required: true, description: 'Which.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'ArchiveRoomResult', description: 'What came of `archiveRoom`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      room: await setArchived(ctx, { roomId: input.roomId.id, isArchived: true }),
    }),
  }),
);

const UnarchiveRoomInput = builder.inputType('UnarchiveRoomInput', {
  description: 'Which room.',
  fields: (t) => ({ roomId: t.globalID(ROOM_ID) }),
});

builder.mutationField('unarchiveRoom', (t) =>
  t.field({
    type: RoomUnarchived,
    description: `An archived room goes on. By owners. Again is the same as once. ${ROOM_IS} ${ROOM_NEEDS}`,
    ...roomPolicy(60),
    args: { input: t.arg({ type: UnarchiveRoomInput, required: true, description: 'Which.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'UnarchiveRoomResult', description: 'What came of `unarchiveRoom`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      room: await setArchived(ctx, { roomId: input.roomId.id, isArchived: false }),
    }),
  }),
);
