import { resolveCursorConnection } from '@pothos/plugin-relay';
import { CursorInvalidError } from '#lib/errors.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, parsePage } from '#lib/page.ts';
import { canReadRoom, readableBy, viewerMembership } from '#resolvers/rooms/access.ts';
import { isIn } from '#resolvers/rooms/membership.ts';
import { findProfile } from '#resolvers/rooms/profile.ts';
import {
  cursorOfRoom,
  findRoom,
  findRoomByExternalId,
  hiddenSince,
  otherOf,
} from '#resolvers/rooms/room.ts';
import { listRooms } from '#resolvers/rooms/room-list.ts';
import type { Room as RoomShape } from '#resolvers/rooms/room-row.ts';
import { readRoomsCursor } from '#resolvers/rooms/rooms-stream.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity, withScope } from '#schema/policy.ts';
import { User } from '#schema/users/user.ts';

export const RoomKindEnum = builder.enumType('RoomKind', {
  description: 'What sort of room it is. It never changes.',
  values: {
    GROUP: { description: 'It has a name, and participants whom its owners and moderators add.' },
    DIRECT: {
      description: 'Between two accounts: there is one for each pair, and nobody decides.',
    },
  } as const,
});

export const HistoryVisibilityEnum = builder.enumType('HistoryVisibility', {
  description: 'What of a room’s history who is in it, and who was, may read.',
  values: {
    SHARED: { description: 'Who is in it reads all of it, from its beginning; who left, nothing.' },
    SINCE_JOINED: {
      description: 'Who is in it reads what came since they joined last; who left, nothing.',
    },
    KEPT: {
      description:
        'Who is in it reads all of it; who left, or was removed, reads on what was there then. Who is banned reads nothing.',
    },
  } as const,
});

const HIDDEN = 'Null also for who left before the room was changed last.';

const RoomRef = builder.objectRef<RoomShape>('Room');

export const Room = builder.node(RoomRef, {
  description:
    'Where people talk. Known to those who are in it and, where `historyVisibility` is KEPT, to those who were; for ' +
    'everybody else it is as if it were not there.',
  id: { resolve: ({ id }) => id },
  authScopes: (room, ctx) => canReadRoom(ctx, room),
  // Read anew each time: what is remembered of a request may be from before its own mutation.
  loadWithoutCache: (id, ctx) => findRoom(ctx, id),
  fields: (t) => ({
    kind: t.expose('kind', { type: RoomKindEnum, description: 'What sort of room it is.' }),
    name: t.string({
      nullable: true,
      description: `What it is called; null for DIRECT, which is called by who else is in it. ${HIDDEN}`,
      resolve: async (room, _args, ctx) => ((await hiddenSince(ctx, room)) ? null : room.name),
    }),
    directWith: t.field({
      type: User,
      nullable: true,
      description:
        'Who else a DIRECT room is with, also when they have left it; null for GROUP, and once that account is deleted.',
      resolve: (room, _args, ctx) => findProfile(ctx, otherOf(room, requireViewer(ctx).userId)),
    }),
    externalId: t.exposeString('externalId', {
      nullable: true,
      description: 'By which another system knows it; null where none does.',
    }),
    historyVisibility: t.expose('historyVisibility', {
      type: HistoryVisibilityEnum,
      description: 'What of its history may be read, by whom.',
    }),
    createdBy: t.field({
      type: User,
      nullable: true,
      description: 'Who made it; null once that account is deleted.',
      resolve: ({ createdById }, _args, ctx) => findProfile(ctx, createdById),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.field({
      type: 'DateTime',
      description:
        'When its name, its visibility or its being archived was changed last; for who left before that, when they left.',
      resolve: async (room, _args, ctx) => (await hiddenSince(ctx, room)) ?? room.updatedAt,
    }),
    archivedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: `Since when nothing in it changes any more; null while it does. ${HIDDEN}`,
      resolve: async (room, _args, ctx) =>
        (await hiddenSince(ctx, room)) ? null : room.archivedAt,
    }),
    participantCount: t.int({
      nullable: true,
      description: 'How many are in it now; null for who is not.',
      resolve: async ({ id, participantCount }, _args, ctx) =>
        isIn(await viewerMembership(ctx, id)) ? participantCount : null,
    }),
    followCursor: t.field({
      type: 'Cursor',
      description:
        'The head of its log, as far as the viewer reads it: `roomEvents` after it tells all that this does not show yet.',
      resolve: async (room, _args, ctx) => cursorOfRoom(ctx, room, await readableBy(ctx, room.id)),
    }),
  }),
});

builder.queryField('room', (t) =>
  t.field({
    type: Room,
    nullable: true,
    description:
      'A room by its id; null where there is none that the viewer may know of. Needs the scope `rooms:read`.',
    ...withScope('rooms:read'),
    args: { id: t.arg.globalID({ required: true, for: Room, description: 'The room’s id.' }) },
    resolve: (_root, { id }, ctx) => findRoom(ctx, id.id),
  }),
);

builder.queryField('roomByExternalId', (t) =>
  t.field({
    type: Room,
    nullable: true,
    description:
      'A room by the id that another system has for it; null where there is none that the viewer may know of. Needs the ' +
      'scope `rooms:read`.',
    ...withScope('rooms:read'),
    args: {
      externalId: t.arg.string({ required: true, description: 'As it was given to `createRoom`.' }),
    },
    resolve: (_root, { externalId }, ctx) => findRoomByExternalId(ctx, externalId),
  }),
);

const RoomFilter = builder.inputType('RoomFilter', {
  description: 'Which rooms; all of what is given must hold.',
  fields: (t) => ({
    kind: t.field({ type: RoomKindEnum, description: 'Of this sort.' }),
    isArchived: t.boolean({
      description: 'Archived ones, or those that are not; both unless told.',
    }),
  }),
});

builder.queryField('rooms', (t) =>
  t.connection(
    {
      type: Room,
      description:
        'The rooms that the viewer is in, oldest first: an order that stays, whatever happens in them. Needs the scope ' +
        '`rooms:read`.',
      ...withScope('rooms:read'),
      complexity: pageComplexity,
      args: {
        filter: t.arg({
          type: RoomFilter,
          description: 'Only these; all of what is given must hold.',
        }),
      },
      resolve: async (_root, { filter, ...args }, ctx) => {
        parsePage(args, 'forward');
        // Before the page: what comes in between is told by the stream, and at worst shown twice.
        const followCursor = await readRoomsCursor(ctx);
        const page = await resolveCursorConnection<Promise<RoomShape[]>>(
          {
            args,
            defaultSize: PAGE_SIZE_DEFAULT,
            maxSize: PAGE_SIZE_MAX,
            toCursor: ({ id }) => encodeGlobalId('Room', id),
          },
          ({ after, before, limit, inverted }) =>
            listRooms(ctx, filter ?? {}, {
              after: after === undefined ? null : placeOf(after),
              before: before === undefined ? null : placeOf(before),
              limit,
              isInverted: inverted,
            }),
        );
        return { ...page, followCursor };
      },
    },
    {
      name: 'RoomConnection',
      description: 'A page of rooms.',
      fields: (t) => ({
        followCursor: t.field({
          type: 'Cursor',
          description:
            'The head of the stream over all rooms from before the page was read: `roomsChanged` after it misses nothing ' +
            'that the page does not show, and may tell again what it does.',
          resolve: ({ followCursor }) => followCursor,
        }),
      }),
    },
    { name: 'RoomEdge', description: 'A room and its place in the list.' },
  ),
);

const PLACE = /^Room:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

function placeOf(cursor: string): string {
  const [, id] = PLACE.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (id === undefined) throw new CursorInvalidError('Not a cursor of this list');
  return id;
}
