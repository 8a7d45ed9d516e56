import { type ReactionGroup as Group, REACTED_SHOWN_MAX } from '#resolvers/rooms/message-row.ts';
import { findProfiles } from '#resolvers/rooms/profile.ts';
import { builder } from '#schema/builder.ts';
import { User } from '#schema/users/user.ts';
import { limitComplexity, requireLimit } from './limit.ts';

const USERS_DEFAULT = 10;

interface ReactionGroupShape extends Group {
  readonly messageId: string;
}

export const ReactionGroup = builder.objectRef<ReactionGroupShape>('ReactionGroup').implement({
  description: 'All who reacted to a message in one way.',
  fields: (t) => ({
    emoji: t.exposeString('emoji', { description: 'One emoji, or a `:shortcode:`.' }),
    count: t.exposeInt('count', { description: 'How many they are.' }),
    viewerHasReacted: t.boolean({
      description: 'Whether the viewer is one of them.',
      resolve: async ({ messageId, emoji }, _args, { viewer, loadReacted }) =>
        viewer !== null && (await loadReacted(messageId, viewer.userId))?.includes(emoji) === true,
    }),
    users: t.field({
      type: [User],
      description: 'The first of them, in the order in which they reacted.',
      args: {
        limit: t.arg.int({
          required: true,
          defaultValue: USERS_DEFAULT,
          description: `How many, 1–${REACTED_SHOWN_MAX}.`,
        }),
      },
      complexity: ({ limit }) => limitComplexity(limit, REACTED_SHOWN_MAX),
      resolve: ({ userIds }, { limit }, ctx) =>
        findProfiles(ctx, userIds.slice(0, requireLimit(limit, REACTED_SHOWN_MAX))),
    }),
  }),
});
