// Who is kept out of a room.
import { resolveCursorConnection } from '@pothos/plugin-relay';
import { CursorInvalidError } from '#lib/errors.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, parsePage } from '#lib/page.ts';
import { viewerMembership } from '#resolvers/rooms/access.ts';
import { type BanPlace, listBans, type RoomBan as RoomBanShape } from '#resolvers/rooms/bans.ts';
import { isIn } from '#resolvers/rooms/membership.ts';
import { findProfile } from '#resolvers/rooms/profile.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity } from '#schema/policy.ts';
import { User } from '#schema/users/user.ts';
import { Room } from './room.ts';

const RoomBan = builder.objectRef<RoomBanShape>('RoomBan').implement({
  description: 'An account that is not let into a room.',
  fields: (t) => ({
    user: t.field({
      type: User,
      nullable: true,
      description: 'Who; null once that account is deleted.',
      resolve: ({ userId }, _args, ctx) => findProfile(ctx, userId),
    }),
    bannedAt: t.expose('bannedAt', {
      type: 'DateTime',
      description: 'Since when; of several bans the latest.',
    }),
    until: t.expose('until', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ends; null where that is once it is lifted.',
    }),
  }),
});

builder.objectField(Room, 'bans', (t) =>
  t.connection(
    {
      type: RoomBan,
      nullable: true,
      description:
        'Who is banned now, the oldest ban first; null for all but its owners and moderators.',
      complexity: pageComplexity,
      resolve: async ({ id }, args, ctx) => {
        const membership = await viewerMembership(ctx, id);
        if (!isIn(membership) || membership.role === 'MEMBER') return null;
        parsePage(args, 'forward');
        return resolveCursorConnection<Promise<RoomBanShape[]>>(
          {
            args,
            defaultSize: PAGE_SIZE_DEFAULT,
            maxSize: PAGE_SIZE_MAX,
            toCursor: ({ bannedAt, userId }) =>
              Buffer.from(`RoomBan:${bannedAt.getTime()}:${userId}`).toString('base64url'),
          },
          ({ after, before, limit, inverted }) =>
            listBans(ctx, id, {
              after: after === undefined ? null : placeOf(after),
              before: before === undefined ? null : placeOf(before),
              limit,
              isInverted: inverted,
            }),
        );
      },
    },
    { name: 'RoomBanConnection', description: 'A page of who is banned from a room.' },
    { name: 'RoomBanEdge', description: 'A ban and its place in the list.' },
  ),
);

const PLACE = /^RoomBan:([0-9]{1,15}):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

function placeOf(cursor: string): BanPlace {
  const [, time, userId] = PLACE.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (time === undefined || userId === undefined) {
    throw new CursorInvalidError('Not a cursor of this list');
  }
  return { bannedAt: new Date(Number(time)), userId };
}
