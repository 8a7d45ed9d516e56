import { ACCOUNTS_MAX } from '#resolvers/rooms/accounts.ts';
import { addParticipants } from '#resolvers/rooms/add-participants.ts';
import { banParticipant, unbanParticipant } from '#resolvers/rooms/ban.ts';
import type { Membership } from '#resolvers/rooms/membership.ts';
import { muteParticipant, unmuteParticipant } from '#resolvers/rooms/mute.ts';
import { setParticipantRole } from '#resolvers/rooms/ownership.ts';
import { leaveRoom, removeParticipant } from '#resolvers/rooms/remove-participant.ts';
import type { Room as RoomShape } from '#resolvers/rooms/room-row.ts';
import { builder } from '#schema/builder.ts';
import { User } from '#schema/users/user.ts';
import { Participant, ParticipantRoleEnum } from './participant.ts';
import { Room } from './room.ts';
import {
  ARCHIVED,
  ENTRY_LIMITS,
  ROOM_FAILURES,
  ROOM_ID,
  ROOM_IS,
  ROOM_NEEDS,
  roomPolicy,
  roomSucceeded,
} from './room-changes.ts';

const OVER =
  'Owners decide over everybody, moderators over members, else ForbiddenError. InvalidInputError for oneself, NotFoundError ' +
  'for who never was in the room.';
const ENDS = `${ARCHIVED} ${ROOM_IS} ${ROOM_NEEDS}`;
const OUT_ENDS = `Also in an archived room. ${ROOM_IS} ${ROOM_NEEDS}`;
const ONCE = 'Again is the same as once.';
const USER_ID = { required: true, for: User, description: 'The participant’s account.' } as const;
const until = (what: string) => ({
  type: 'DateTime' as const,
  description: `When the ${what} ends, which must be ahead; absent or null: once it is lifted.`,
});

interface ParticipantChanged {
  readonly room: RoomShape;
  readonly participant: Membership;
}

const participantChanged = (field: string, description: string) =>
  builder.objectRef<ParticipantChanged>(`${field}Succeeded`).implement({
    description,
    fields: (t) => ({
      room: t.field({ type: Room, description: 'The room.', resolve: ({ room }) => room }),
      participant: t.field({
        type: Participant,
        description: 'How they stand to the room from now on.',
        resolve: ({ participant }) => participant,
      }),
    }),
  });

const AddParticipantsSucceeded = builder
  .objectRef<{ readonly room: RoomShape; readonly participants: readonly Membership[] }>(
    'AddParticipantsSucceeded',
  )
  .implement({
    description: 'All that were named are in the room, unless they left it since.',
    fields: (t) => ({
      room: t.field({ type: Room, description: 'The room.', resolve: ({ room }) => room }),
      participants: t.field({
        type: [Participant],
        description: 'Those who were named, once each: by id first, each list in its order.',
        complexity: { field: 1, multiplier: ACCOUNTS_MAX },
        resolve: ({ participants }) => [...participants],
      }),
    }),
  });

const AddParticipantsInput = builder.inputType('AddParticipantsInput', {
  description: 'Whom to let in, where, as what.',
  fields: (t) => ({
    roomId: t.globalID(ROOM_ID),
    userIds: t.globalIDList({
      for: User,
      description: `Who: 1–${ACCOUNTS_MAX} with \`usernames\`.`,
    }),
    usernames: t.stringList({ description: 'The same by name.' }),
    role: t.field({
      type: ParticipantRoleEnum,
      required: true,
      defaultValue: 'MEMBER',
      description: 'As what they come in. Owners add owners and moderators, both add members.',
    }),
  }),
});

builder.mutationField('addParticipants', (t) =>
  t.field({
    type: AddParticipantsSucceeded,
    description:
      'Lets accounts into a GROUP room, all or none: nobody is asked. Who is in it stays as they are. By owners and moderators, ' +
      'else ForbiddenError. ConflictError that names who is banned. InvalidInputError that names who is not there. ' +
      `${ENTRY_LIMITS} ${ENDS}`,
    ...roomPolicy(600),
    args: { input: t.arg({ type: AddParticipantsInput, required: true, description: 'Whom.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'AddParticipantsResult', description: 'What came of `addParticipants`.' },
    },
    resolve: (_root, { input }, ctx) =>
      addParticipants(ctx, {
        ...input,
        roomId: input.roomId.id,
        userIds: input.userIds?.map(({ id }) => id),
      }),
  }),
);

const RemoveParticipantInput = builder.inputType('RemoveParticipantInput', {
  description: 'Whom to let out, of which room.',
  fields: (t) => ({ roomId: t.globalID(ROOM_ID), userId: t.globalID(USER_ID) }),
});

builder.mutationField('removeParticipant', (t) =>
  t.field({
    type: roomSucceeded('RemoveParticipant', 'They are in the room no more.'),
    description: `Lets somebody else out of a room; they may be added again. Who has left stays so: ${ONCE} ${OVER} ${OUT_ENDS}`,
    ...roomPolicy(600),
    args: { input: t.arg({ type: RemoveParticipantInput, required: true, description: 'Whom.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'RemoveParticipantResult', description: 'What came of `removeParticipant`.' },
    },
    resolve: async (_root, { input: { roomId, userId } }, ctx) => ({
      room: await removeParticipant(ctx, { roomId: roomId.id, userId: userId.id }),
    }),
  }),
);

const LeaveRoomSucceeded = builder
  .objectRef<{ readonly room: RoomShape | null }>('LeaveRoomSucceeded')
  .implement({
    description: 'The viewer is in the room no more.',
    fields: (t) => ({
      room: t.field({
        type: Room,
        nullable: true,
        description: 'The room; null where `historyVisibility` hides it from who has left.',
        resolve: ({ room }) => room,
      }),
    }),
  });

const LeaveRoomInput = builder.inputType('LeaveRoomInput', {
  description: 'Which room.',
  fields: (t) => ({ roomId: t.globalID(ROOM_ID) }),
});

builder.mutationField('leaveRoom', (t) =>
  t.field({
    type: LeaveRoomSucceeded,
    description:
      'The viewer leaves, an archived room, too. Where no owner is left, the moderator who is there longest owns the room, or ' +
      `else the member. ${ONCE} ${ROOM_IS} ${ROOM_NEEDS}`,
    ...roomPolicy(600),
    args: { input: t.arg({ type: LeaveRoomInput, required: true, description: 'Which.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'LeaveRoomResult', description: 'What came of `leaveRoom`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      room: await leaveRoom(ctx, { roomId: input.roomId.id }),
    }),
  }),
);

const BanParticipantInput = builder.inputType('BanParticipantInput', {
  description: 'Whom to keep out, of which room, until when.',
  fields: (t) => ({
    roomId: t.globalID(ROOM_ID),
    userId: t.globalID(USER_ID),
    until: t.field(until('ban')),
  }),
});

builder.mutationField('banParticipant', (t) =>
  t.field({
    type: roomSucceeded(
      'BanParticipant',
      'They are out of the room, and are not added before the end.',
    ),
    description:
      'Lets somebody else out of a room, and in again only after the end; meanwhile they read nothing of it. Who has left can ' +
      `be banned, too. ${ONCE} Another end takes the place of the last. ${OVER} ${OUT_ENDS}`,
    ...roomPolicy(600),
    args: { input: t.arg({ type: BanParticipantInput, required: true, description: 'Whom.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'BanParticipantResult', description: 'What came of `banParticipant`.' },
    },
    resolve: async (_root, { input: { roomId, userId, until: end } }, ctx) => ({
      room: await banParticipant(ctx, {
        roomId: roomId.id,
        userId: userId.id,
        until: end ?? null,
      }),
    }),
  }),
);

const UnbanParticipantInput = builder.inputType('UnbanParticipantInput', {
  description: 'Whose ban to lift, in which room.',
  fields: (t) => ({ roomId: t.globalID(ROOM_ID), userId: t.globalID(USER_ID) }),
});

builder.mutationField('unbanParticipant', (t) =>
  t.field({
    type: roomSucceeded('UnbanParticipant', 'They may be added again.'),
    description: `Lifts a ban; nobody is added by it. ${ONCE} ${OVER} ${OUT_ENDS}`,
    ...roomPolicy(600),
    args: { input: t.arg({ type: UnbanParticipantInput, required: true, description: 'Whose.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'UnbanParticipantResult', description: 'What came of `unbanParticipant`.' },
    },
    resolve: async (_root, { input: { roomId, userId } }, ctx) => ({
      room: await unbanParticipant(ctx, { roomId: roomId.id, userId: userId.id }),
    }),
  }),
);

const MuteParticipantInput = builder.inputType('MuteParticipantInput', {
  description: 'Whom to mute, in which room, until when.',
  fields: (t) => ({
    roomId: t.globalID(ROOM_ID),
    userId: t.globalID(USER_ID),
    until: t.field(until('mute')),
  }),
});

builder.mutationField('muteParticipant', (t) =>
  t.field({
    type: participantChanged('MuteParticipant', 'They read on, and write nothing until the end.'),
    description:
      'Somebody else in the room may not send, edit or react until the end, also where they leave and come back. ' +
      `${ONCE} Another end takes the place of the last. NotFoundError for who is not in it. ${OVER} ${ENDS}`,
    ...roomPolicy(600),
    args: { input: t.arg({ type: MuteParticipantInput, required: true, description: 'Whom.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'MuteParticipantResult', description: 'What came of `muteParticipant`.' },
    },
    resolve: (_root, { input: { roomId, userId, until: end } }, ctx) =>
      muteParticipant(ctx, { roomId: roomId.id, userId: userId.id, until: end ?? null }),
  }),
);

const UnmuteParticipantInput = builder.inputType('UnmuteParticipantInput', {
  description: 'Whose mute to lift, in which room.',
  fields: (t) => ({ roomId: t.globalID(ROOM_ID), userId: t.globalID(USER_ID) }),
});

builder.mutationField('unmuteParticipant', (t) =>
  t.field({
    type: participantChanged('UnmuteParticipant', 'They may write again.'),
    description: `Lifts a mute. ${ONCE} NotFoundError for who is not in the room. ${OVER} ${ENDS}`,
    ...roomPolicy(600),
    args: { input: t.arg({ type: UnmuteParticipantInput, required: true, description: 'Whose.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: { name: 'UnmuteParticipantResult', description: 'What came of `unmuteParticipant`.' },
    },
    resolve: (_root, { input: { roomId, userId } }, ctx) =>
      unmuteParticipant(ctx, { roomId: roomId.id, userId: userId.id }),
  }),
);

const SetParticipantRoleInput = builder.inputType('SetParticipantRoleInput', {
  description: 'Who is what, in which room.',
  fields: (t) => ({
    roomId: t.globalID(ROOM_ID),
    userId: t.globalID({
      ...USER_ID,
      description: 'The participant’s account; one’s own, too.',
    }),
    role: t.field({
      type: ParticipantRoleEnum,
      required: true,
      description: 'What they may decide from now on.',
    }),
  }),
});

builder.mutationField('setParticipantRole', (t) =>
  t.field({
    type: participantChanged('SetParticipantRole', 'They have the role.'),
    description:
      'Gives a participant another role. By owners, else ForbiddenError; one steps down as long as there is another, else ' +
      `ConflictError. ${ONCE} NotFoundError for who is not in the room. ${ENDS}`,
    ...roomPolicy(600),
    args: { input: t.arg({ type: SetParticipantRoleInput, required: true, description: 'Who.' }) },
    errors: {
      types: ROOM_FAILURES,
      union: {
        name: 'SetParticipantRoleResult',
        description: 'What came of `setParticipantRole`.',
      },
    },
    resolve: (_root, { input: { roomId, userId, role } }, ctx) =>
      setParticipantRole(ctx, { roomId: roomId.id, userId: userId.id, role }),
  }),
);
