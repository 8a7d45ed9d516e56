import { resolveCursorConnection } from '@pothos/plugin-relay';
import { CursorInvalidError } from '#lib/errors.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, parsePage } from '#lib/page.ts';
import { viewerMembership } from '#resolvers/rooms/access.ts';
import { isIn, type Membership } from '#resolvers/rooms/membership.ts';
import { listParticipants, NAME_SEARCH_MAX } from '#resolvers/rooms/participants.ts';
import { findProfile } from '#resolvers/rooms/profile.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity } from '#schema/policy.ts';
import { User } from '#schema/users/user.ts';
import { Room } from './room.ts';

export const ParticipantRoleEnum = builder.enumType('ParticipantRole', {
  description: 'What a participant may decide in a room.',
  values: {
    OWNER: {
      description: 'Everything: the room’s settings, its archiving, and over everybody in it.',
    },
    MODERATOR: { description: 'The room’s name, who is added, and over its members.' },
    MEMBER: { description: 'Nothing over others. Both in a DIRECT room are members.' },
  } as const,
});

export const Participant = builder.objectRef<Membership>('Participant').implement({
  description: 'How an account stands to a room that it is in. Shown to who is in it as well.',
  fields: (t) => ({
    user: t.field({
      type: User,
      nullable: true,
      description: 'The account; null once it is deleted.',
      resolve: ({ userId }, _args, ctx) => findProfile(ctx, userId),
    }),
    role: t.expose('role', { type: ParticipantRoleEnum, description: 'What it may decide there.' }),
    joinedAt: t.expose('joinedAt', { type: 'DateTime', description: 'When it came in last.' }),
    addedBy: t.field({
      type: User,
      nullable: true,
      description:
        'Who added it then: itself, where it made the room or came back; null once deleted.',
      resolve: ({ addedById }, _args, ctx) => findProfile(ctx, addedById),
    }),
    isMuted: t.exposeBoolean('isMuted', {
      description: 'Whether it may not send, edit or react now.',
    }),
    mutedUntil: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When that ends; null where it has no end, and where it is not muted.',
      resolve: ({ isMuted, mutedUntil }) => (isMuted ? mutedUntil : null),
    }),
    readSequence: t.int({
      description: 'It has read the messages up to this `sequence`; 0 for none.',
      resolve: ({ readSequence }) => Number(readSequence),
    }),
    readAt: t.expose('readAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When that marker was moved last; null where it never was.',
    }),
  }),
});

builder.objectField(Room, 'viewerParticipant', (t) =>
  t.field({
    type: Participant,
    nullable: true,
    description: 'The viewer’s own; null for who has left.',
    resolve: async ({ id }, _args, ctx) => {
      const membership = await viewerMembership(ctx, id);
      return isIn(membership) ? membership : null;
    },
  }),
);

builder.objectField(Room, 'participants', (t) =>
  t.connection(
    {
      type: Participant,
      nullable: true,
      description: 'Who is in it now, by joining; null for who is not.',
      complexity: pageComplexity,
      args: {
        search: t.arg.string({
          description:
            `Only those whose username or display name begins so, 1–${NAME_SEARCH_MAX} characters, in any case; \`%\` and \`_\` are ` +
            'themselves. For who is about to be mentioned.',
        }),
      },
      resolve: async ({ id }, { search, ...args }, ctx) => {
        if (!isIn(await viewerMembership(ctx, id))) return null;
        parsePage(args, 'forward');
        return resolveCursorConnection<Promise<Membership[]>>(
          {
            args,
            defaultSize: PAGE_SIZE_DEFAULT,
            maxSize: PAGE_SIZE_MAX,
            toCursor: ({ joinedPosition }) => cursorAt(joinedPosition),
          },
          ({ after, before, limit, inverted }) =>
            listParticipants(
              ctx,
              id,
              {
                after: after === undefined ? null : placeOf(after),
                before: before === undefined ? null : placeOf(before),
                limit,
                isInverted: inverted,
              },
              search ?? null,
            ),
        );
      },
    },
    { name: 'RoomParticipantConnection', description: 'A page of who is in a room.' },
    { name: 'RoomParticipantEdge', description: 'A participant and its place in the list.' },
  ),
);

const PLACE = /^Participant:([0-9]{1,18})$/;

function cursorAt(position: bigint): string {
  return Buffer.from(`Participant:${position}`).toString('base64url');
}

function placeOf(cursor: string): bigint {
  const [, position] = PLACE.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (position === undefined) throw new CursorInvalidError('Not a cursor of this list');
  return BigInt(position);
}
