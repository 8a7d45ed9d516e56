// Apart from the type, which messages name.
import {
  ConflictError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import type { ChatMessage as ChatMessageShape } from '#resolvers/rooms/message-row.ts';
import { addReaction, EMOJI_PER_MESSAGE_MAX, removeReaction } from '#resolvers/rooms/react.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { ChatMessage } from './message.ts';

const POLICY = withBoth(
  withScope('rooms:read', 'rooms:write'),
  withRateLimit({ by: 'ACCOUNT', limit: 30, windowSeconds: 10 }),
);
const SCOPES = 'Needs the scopes `rooms:read` and `rooms:write`.';
const ERRORS = [
  InvalidInputError,
  UnauthenticatedError,
  ForbiddenError,
  NotFoundError,
  ConflictError,
  RateLimitedError,
];
const MESSAGE_ID = { required: true, for: ChatMessage, description: 'The message’s id.' } as const;
const EMOJI = {
  required: true,
  description:
    'One emoji of those that Unicode recommends for interchange (RGI), or `:name:` with 1–62 of a–z, 0–9, `_`, `+` and `-`. An ' +
    'emoji is taken in the form that shows in colour, whatever form it comes in.',
} as const;

interface Changed {
  readonly chatMessage: ChatMessageShape;
}

const AddReactionInput = builder.inputType('AddReactionInput', {
  description: 'How to react to what.',
  fields: (t) => ({ messageId: t.globalID(MESSAGE_ID), emoji: t.string(EMOJI) }),
});

const AddReactionSucceeded = builder.objectRef<Changed>('AddReactionSucceeded').implement({
  description: 'The viewer is one of those who reacted so.',
  fields: (t) => ({
    chatMessage: t.expose('chatMessage', {
      type: ChatMessage,
      description: 'The message as it is now.',
    }),
  }),
});

builder.mutationField('addReaction', (t) =>
  t.field({
    type: AddReactionSucceeded,
    description:
      'Reacts to a message. Again is nothing, and nobody is told. ForbiddenError for who is muted, ConflictError for what is ' +
      `deleted, in an archived room, and past ${EMOJI_PER_MESSAGE_MAX} different reactions to the message. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: AddReactionInput, required: true, description: 'How.' }) },
    errors: {
      types: ERRORS,
      union: { name: 'AddReactionResult', description: 'What came of `addReaction`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      chatMessage: await addReaction(ctx, { ...input, messageId: input.messageId.id }),
    }),
  }),
);

const RemoveReactionInput = builder.inputType('RemoveReactionInput', {
  description: 'Which reaction to take back.',
  fields: (t) => ({ messageId: t.globalID(MESSAGE_ID), emoji: t.string(EMOJI) }),
});

const RemoveReactionSucceeded = builder.objectRef<Changed>('RemoveReactionSucceeded').implement({
  description: 'The viewer is none of those who reacted so.',
  fields: (t) => ({
    chatMessage: t.expose('chatMessage', {
      type: ChatMessage,
      description: 'The message as it is now.',
    }),
  }),
});

builder.mutationField('removeReaction', (t) =>
  t.field({
    type: RemoveReactionSucceeded,
    description:
      'Takes back a reaction of the viewer’s. Where there is none it is nothing, and nobody is told. ConflictError in an ' +
      `archived room. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: RemoveReactionInput, required: true, description: 'Which.' }) },
    errors: {
      types: ERRORS,
      union: { name: 'RemoveReactionResult', description: 'What came of `removeReaction`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      chatMessage: await removeReaction(ctx, { ...input, messageId: input.messageId.id }),
    }),
  }),
);
