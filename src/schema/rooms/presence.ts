import { listPresence, type ParticipantPresence } from '#resolvers/rooms/attendance.ts';
import { findProfile } from '#resolvers/rooms/profile.ts';
import { builder } from '#schema/builder.ts';
import { User } from '#schema/users/user.ts';
import { limitComplexity, requireLimit } from './limit.ts';
import { Room } from './room.ts';

export const Presence = builder.objectRef<ParticipantPresence>('Presence').implement({
  description:
    'Whether somebody is there. An account is online while one of its devices has a live stream or a chat socket, and for ' +
    'a second after, so that a page can be loaded again; at most 45 seconds longer where a server died.',
  fields: (t) => ({
    user: t.field({
      type: User,
      nullable: true,
      description: 'Who; null once the account is deleted.',
      resolve: async ({ userId }, _args, ctx) => {
        const account = await findProfile(ctx, userId);
        return account === null || account.deletedAt !== null ? null : account;
      },
    }),
    isOnline: t.exposeBoolean('isOnline', { description: 'Whether one of its devices is there.' }),
    changedAt: t.expose('changedAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'Since when that is so; null where it is not known, e.g. for who was not there for a week.',
    }),
  }),
});

const SHOWN_DEFAULT = 50;
const SHOWN_MAX = 1_000;

builder.objectField(Room, 'presence', (t) =>
  t.field({
    type: [Presence],
    nullable: true,
    description:
      'Who of those in the room is there: who is online first, then by joining; nobody for who is not in the room. Null, ' +
      'with the error UNAVAILABLE, while that is not known. `roomEvents` tells what changes.',
    args: {
      limit: t.arg.int({
        required: true,
        defaultValue: SHOWN_DEFAULT,
        description: `How many at most, 1–${SHOWN_MAX}.`,
      }),
      isOnline: t.arg.boolean({ description: 'Only who is online, or only who is not.' }),
    },
    // All who are in the room are looked at, however few are shown.
    complexity: ({ limit }) => limitComplexity(limit, SHOWN_MAX, 50),
    resolve: async ({ id }, { limit, isOnline }, ctx) => {
      const shown = requireLimit(limit, SHOWN_MAX);
      const all = await listPresence(ctx, id);
      const wanted = isOnline == null ? all : all.filter((each) => each.isOnline === isOnline);
      return wanted.slice(0, shown);
    },
  }),
);
