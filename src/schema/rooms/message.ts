import { canReadMessage, viewerMembership } from '#resolvers/rooms/access.ts';
import { isIn } from '#resolvers/rooms/membership.ts';
import type { ChatMessage as ChatMessageShape } from '#resolvers/rooms/message-row.ts';
import { findProfile, findProfiles } from '#resolvers/rooms/profile.ts';
import {
  cursorOfMessage,
  findMessage,
  listEdits,
  type MessageEdit as MessageEditShape,
} from '#resolvers/rooms/read-message.ts';
import { builder } from '#schema/builder.ts';
import { withCost } from '#schema/policy.ts';
import { User } from '#schema/users/user.ts';
import { Attachment } from './attachment.ts';
import { limitComplexity, requireLimit } from './limit.ts';
import { ReactionGroup } from './reaction.ts';
import { Room } from './room.ts';

const EDITS_SHOWN_DEFAULT = 5;
const EDITS_SHOWN_MAX = 50;

const MessageEdit = builder.objectRef<MessageEditShape>('MessageEdit').implement({
  description: 'What a message said before an edit.',
  fields: (t) => ({
    revision: t.exposeInt('revision', { description: 'Which edit replaced it; 1 is the first.' }),
    body: t.exposeString('body', { description: 'What it said.', ...withCost(3) }),
    replacedAt: t.expose('replacedAt', { type: 'DateTime', description: 'When it was replaced.' }),
  }),
});

const ChatMessageRef = builder.objectRef<ChatMessageShape>('ChatMessage');

export const ChatMessage = builder.node(ChatMessageRef, {
  description:
    'What somebody said in a room. Read by those who may read its place in the room’s log; who left a KEPT room reads ' +
    'it as it was then. Once deleted it is a tombstone: who wrote it when and what it answered stay, all else is erased.',
  id: { resolve: ({ id }) => id },
  authScopes: (message, ctx) => canReadMessage(ctx, message),
  // Read anew each time: what is remembered of a request may be from before its own mutation.
  loadWithoutCache: (id, ctx) => findMessage(ctx, id),
  fields: (t) => ({
    room: t.field({
      type: Room,
      description: 'Where it was said.',
      resolve: async ({ roomId }, _args, ctx) => {
        const room = await ctx.loadRoom(roomId);
        if (room === undefined) throw new Error(`A message is in no room: ${roomId}`);
        return room;
      },
    }),
    sequence: t.field({
      type: 'Int',
      description: 'Which message of the room it is: 1 is the first, and none is left out.',
      resolve: ({ sequence }) => Number(sequence),
    }),
    author: t.field({
      type: User,
      nullable: true,
      description: 'Who said it; null once that account is deleted.',
      resolve: ({ authorId }, _args, ctx) => findProfile(ctx, authorId),
    }),
    body: t.exposeString('body', {
      nullable: true,
      description:
        'What was said, as it was written: plain text. Empty where there are only attachments; null once deleted.',
      ...withCost(3),
    }),
    clientMessageId: t.string({
      nullable: true,
      description: 'The client’s own id of it; null for all but its author.',
      resolve: ({ authorId, clientMessageId }, _args, { viewer }) =>
        viewer !== null && viewer.userId === authorId ? clientMessageId : null,
    }),
    replyTo: t.field({
      type: ChatMessageRef,
      nullable: true,
      description:
        'What it answers, of the same room; null where it answers nothing, or what the viewer may not read.',
      resolve: ({ replyToId }, _args, ctx) => findMessage(ctx, replyToId),
    }),
    mentions: t.field({
      type: [User],
      complexity: { field: 1, multiplier: 2 },
      description: 'Whom it names; without accounts that are deleted.',
      resolve: ({ mentionIds }, _args, ctx) => findProfiles(ctx, mentionIds),
    }),
    attachments: t.field({
      type: [Attachment],
      complexity: { field: 1, multiplier: 2 },
      description: 'Files with it, in the author’s order.',
      resolve: ({ attachments }) => attachments,
    }),
    reactions: t.field({
      type: [ReactionGroup],
      complexity: { field: 1, multiplier: 4 },
      description: 'What others answered with one sign, in the order in which each first came.',
      resolve: ({ id, reactions }) => reactions.map((group) => ({ ...group, messageId: id })),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was sent.' }),
    editedAt: t.expose('editedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was edited last; null where it never was.',
    }),
    deletedAt: t.expose('deletedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when it is a tombstone; null while it is none.',
    }),
    revision: t.exposeInt('revision', { description: 'How often it was edited.' }),
    edits: t.field({
      type: [MessageEdit],
      nullable: true,
      description:
        'What it said before its edits, the latest first; none once it is deleted. Null for all but its author and the owners ' +
        'and moderators of the room.',
      args: {
        limit: t.arg.int({
          required: true,
          defaultValue: EDITS_SHOWN_DEFAULT,
          description: `How many of the latest, 1–${EDITS_SHOWN_MAX}.`,
        }),
      },
      complexity: ({ limit }) => limitComplexity(limit, EDITS_SHOWN_MAX),
      resolve: async (message, { limit }, ctx) => {
        const shown = requireLimit(limit, EDITS_SHOWN_MAX);
        const membership = await viewerMembership(ctx, message.roomId);
        const isAuthor = ctx.viewer !== null && ctx.viewer.userId === message.authorId;
        const decides = isIn(membership) && membership.role !== 'MEMBER';
        return isAuthor || decides ? listEdits(ctx, message, shown) : null;
      },
    }),
    cursor: t.field({
      type: 'Cursor',
      description:
        'Its place in the room’s log: for `messages`, and for `roomEvents` to go on behind the sending of it.',
      resolve: (message, _args, ctx) => cursorOfMessage(ctx, message),
    }),
  }),
});
