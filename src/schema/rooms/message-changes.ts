import {
  ConflictError,
  ForbiddenError,
  IdempotencyMismatchError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { deleteMessage } from '#resolvers/rooms/delete-message.ts';
import { EDITS_MAX, editMessage } from '#resolvers/rooms/edit-message.ts';
import {
  ATTACHMENTS_MAX,
  BODY_CHARACTERS_MAX,
  MENTIONS_MAX,
} from '#resolvers/rooms/message-input.ts';
import type { ChatMessage as ChatMessageShape } from '#resolvers/rooms/message-row.ts';
import { sendMessage } from '#resolvers/rooms/send-message.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { User } from '#schema/users/user.ts';
import { AttachmentInput } from './attachment.ts';
import { ChatMessage } from './message.ts';
import { ReportReasonEnum } from './report.ts';
import { Room } from './room.ts';

const POLICY = withBoth(
  withScope('rooms:read', 'rooms:write'),
  withRateLimit({ by: 'ACCOUNT', limit: 20, windowSeconds: 10 }),
);
const SCOPES = 'Needs the scopes `rooms:read` and `rooms:write`.';
const ERRORS = [
  InvalidInputError,
  UnauthenticatedError,
  ForbiddenError,
  NotFoundError,
  RateLimitedError,
];

interface Changed {
  readonly chatMessage: ChatMessageShape;
}

const BODY = `At most ${BODY_CHARACTERS_MAX} Unicode code points, kept as they are, of which one can be seen; empty only beside attachments.`;
const MENTIONS = `At most ${MENTIONS_MAX} accounts, all in the room.`;
const MESSAGE_ID = {
  required: true,
  for: ChatMessage,
  description: 'The message’s id.',
} as const;

const SendMessageInput = builder.inputType('SendMessageInput', {
  description: 'What to say, and where.',
  fields: (t) => ({
    roomId: t.globalID({ required: true, for: Room, description: 'The room’s id.' }),
    clientMessageId: t.string({
      required: true,
      description:
        'The client’s own id of the message, 1–64 printable ASCII characters without spaces, the same when it is sent ' +
        'again: for ever the same message of this account in this room.',
    }),
    body: t.string({ required: true, defaultValue: '', description: BODY }),
    replyToId: t.globalID({
      for: ChatMessage,
      description: 'Which message of the same room it answers.',
    }),
    mentionIds: t.globalIDList({
      required: true,
      defaultValue: [],
      for: User,
      description: `Whom it names. ${MENTIONS}`,
    }),
    attachments: t.field({
      type: [AttachmentInput],
      required: true,
      defaultValue: [],
      description: `Files with it, at most ${ATTACHMENTS_MAX}.`,
    }),
  }),
});

const SendMessageSucceeded = builder.objectRef<Changed>('SendMessageSucceeded').implement({
  description: 'The message is in the room’s log.',
  fields: (t) => ({
    chatMessage: t.expose('chatMessage', {
      type: ChatMessage,
      description: 'The message as it is now.',
    }),
  }),
});

builder.mutationField('sendMessage', (t) =>
  t.field({
    type: SendMessageSucceeded,
    description:
      'Sends a message into a room that the viewer is in, and moves their own read marker to it, which is told by the ' +
      'message alone. With a `clientMessageId` of theirs in this room again, it is answered with the message as it is now, ' +
      'and nothing is sent: IdempotencyMismatchError where something else was sent with it. ForbiddenError for who is muted, ' +
      `ConflictError in an archived room, and in a DIRECT one that the other has left. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: SendMessageInput, required: true, description: 'What.' }) },
    errors: {
      types: [...ERRORS, ConflictError, IdempotencyMismatchError],
      union: { name: 'SendMessageResult', description: 'What came of `sendMessage`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      chatMessage: await sendMessage(ctx, {
        ...input,
        roomId: input.roomId.id,
        replyToId: input.replyToId?.id,
        mentionIds: input.mentionIds.map(({ id }) => id),
      }),
    }),
  }),
);

const EditMessageInput = builder.inputType('EditMessageInput', {
  description: 'Which message is to say what.',
  fields: (t) => ({
    messageId: t.globalID(MESSAGE_ID),
    body: t.string({ required: true, description: BODY }),
    mentionIds: t.globalIDList({
      for: User,
      description: `Whom it names from now on, in place of all before; absent: as before. ${MENTIONS}`,
    }),
  }),
});

const EditMessageSucceeded = builder.objectRef<Changed>('EditMessageSucceeded').implement({
  description: 'The message says what was asked.',
  fields: (t) => ({
    chatMessage: t.expose('chatMessage', {
      type: ChatMessage,
      description: 'The message as it is now.',
    }),
  }),
});

builder.mutationField('editMessage', (t) =>
  t.field({
    type: EditMessageSucceeded,
    description:
      'Gives a message of the viewer’s another body; what it said is kept for its author and for owners and moderators, until ' +
      'it is deleted. What changes nothing is nothing, and nobody is told. ForbiddenError for who did not write it or is ' +
      `muted, ConflictError for what is deleted, in an archived room, and past ${EDITS_MAX} edits. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: EditMessageInput, required: true, description: 'What.' }) },
    errors: {
      types: [...ERRORS, ConflictError],
      union: { name: 'EditMessageResult', description: 'What came of `editMessage`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      chatMessage: await editMessage(ctx, {
        ...input,
        messageId: input.messageId.id,
        mentionIds: input.mentionIds?.map(({ id }) => id),
      }),
    }),
  }),
);

const DeleteMessageInput = builder.inputType('DeleteMessageInput', {
  description: 'Which message to delete.',
  fields: (t) => ({
    messageId: t.globalID(MESSAGE_ID),
    reason: t.field({
      type: ReportReasonEnum,
      description: 'Why, of somebody else’s: for the audit log.',
    }),
  }),
});

const DeleteMessageSucceeded = builder.objectRef<Changed>('DeleteMessageSucceeded').implement({
  description: 'Of the message there is a tombstone.',
  fields: (t) => ({
    chatMessage: t.expose('chatMessage', { type: ChatMessage, description: 'The tombstone.' }),
  }),
});

builder.mutationField('deleteMessage', (t) =>
  t.field({
    type: DeleteMessageSucceeded,
    description:
      'Erases what a message says, said and carries, and the reactions to it: a tombstone is left, and reports of it keep what ' +
      'was reported. The viewer’s own, also in an archived room; owners everybody’s, and moderators that of members and of ' +
      `who has left, which is audited; ForbiddenError for others. Again is the same as once. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: DeleteMessageInput, required: true, description: 'Which.' }) },
    errors: {
      types: ERRORS,
      union: { name: 'DeleteMessageResult', description: 'What came of `deleteMessage`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      chatMessage: await deleteMessage(ctx, { ...input, messageId: input.messageId.id }),
    }),
  }),
);
