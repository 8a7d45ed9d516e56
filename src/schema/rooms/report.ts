import { resolveCursorConnection } from '@pothos/plugin-relay';
import type { Context } from '#context.ts';
import { CursorInvalidError } from '#lib/errors.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, type PageArguments } from '#lib/page.ts';
import { findProfile } from '#resolvers/rooms/profile.ts';
import { findMessage } from '#resolvers/rooms/read-message.ts';
import { hasQueue, listReports } from '#resolvers/rooms/report-queue.ts';
import {
  canModerateReport,
  canReadReport,
  findReport,
  type MessageReport as MessageReportShape,
  type ReportReason,
  type ReportState,
} from '#resolvers/rooms/report-row.ts';
import { findRoom } from '#resolvers/rooms/room.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity, withScope } from '#schema/policy.ts';
import { User } from '#schema/users/user.ts';
import { ChatMessage } from './message.ts';
import { Room } from './room.ts';

const REASONS: Readonly<Record<ReportReason, string>> = {
  SPAM: 'Advertising, or the same thing over and over.',
  HARASSMENT: 'Attacks or humiliates somebody.',
  VIOLENCE: 'Threatens, or calls for violence.',
  SEXUAL: 'Sexual where it is not wanted.',
  ILLEGAL: 'Against the law.',
  BLOCKED_WORD: 'The word filter found one of `ROOM_BLOCKED_WORDS`. No account gives this reason.',
  OTHER: 'What the note says.',
};

export const ReportReasonEnum = builder.enumType('ReportReason', {
  description: 'Why a message was reported.',
  values: Object.fromEntries(
    Object.entries(REASONS).map(([reason, description]) => [reason, { description }]),
  ) as Record<ReportReason, { description: string }>,
});

const STATES: Readonly<Record<ReportState, string>> = {
  OPEN: 'It waits to be settled.',
  UPHELD: 'It was found to be right.',
  DISMISSED: 'Nothing was found in it.',
};

export const ReportStateEnum = builder.enumType('ReportState', {
  description: 'What has become of a report.',
  values: Object.fromEntries(
    Object.entries(STATES).map(([state, description]) => [state, { description }]),
  ) as Record<ReportState, { description: string }>,
});

const MODERATORS = 'Null for who made the report and does not settle it.';
const MessageReportRef = builder.objectRef<MessageReportShape>('MessageReport');

export const MessageReport = builder.node(MessageReportRef, {
  id: { resolve: ({ id }) => id },
  description:
    'What somebody, or the word filter, has found in a message. Read and settled by the room’s owners and moderators with ' +
    'the scopes `rooms:moderate` and `rooms:read`, except by who wrote the message; with the same scopes by the roles ' +
    'OPERATOR and ADMIN where nobody in the room can: in DIRECT rooms, and where nobody else moderates than who wrote ' +
    'the message; and, without what is null for them below, by who made it.',
  authScopes: (report, ctx) => canReadReport(ctx, report),
  // Read anew each time: what is remembered of a request may be from before its own mutation.
  loadWithoutCache: (id, ctx) => findReport(ctx, id),
  fields: (t) => ({
    room: t.field({
      type: Room,
      nullable: true,
      description:
        'Where it was said; null for who may not read the room, as operators who are not in it.',
      resolve: ({ roomId }, _args, ctx) => findRoom(ctx, roomId),
    }),
    message: t.field({
      type: ChatMessage,
      nullable: true,
      description:
        'The message as it is now; null where the viewer may not read it, as from before they joined a SINCE_JOINED room, or ' +
        'as an operator who is not in the room.',
      resolve: ({ messageId }, _args, ctx) => findMessage(ctx, messageId),
    }),
    author: t.field({
      type: User,
      nullable: true,
      description: `Who wrote the message; null once that account is deleted. ${MODERATORS}`,
      resolve: (report, _args, ctx) =>
        forModerators(ctx, report, () => findProfile(ctx, report.authorId)),
    }),
    reporter: t.field({
      type: User,
      nullable: true,
      description: 'Who reported it; null for the word filter, and once that account is deleted.',
      resolve: ({ reporterId }, _args, ctx) => findProfile(ctx, reporterId),
    }),
    reason: t.expose('reason', { type: ReportReasonEnum, description: 'Why.' }),
    note: t.exposeString('note', {
      nullable: true,
      description:
        'What the reporter said of it, or which word was found; null where nothing was said.',
    }),
    reportedBody: t.string({
      nullable: true,
      description: `The message’s text as it was then, whatever has become of it since. ${MODERATORS}`,
      resolve: (report, _args, ctx) => forModerators(ctx, report, () => report.body),
    }),
    reportedRevision: t.exposeInt('revision', {
      description: 'How often the message had been edited then.',
    }),
    state: t.expose('state', { type: ReportStateEnum, description: 'What has become of it.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    resolvedAt: t.expose('resolvedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was settled; null while it is open.',
    }),
    resolvedBy: t.field({
      type: User,
      nullable: true,
      description: `Who settled it; null while it is open, and once that account is deleted. ${MODERATORS}`,
      resolve: (report, _args, ctx) =>
        forModerators(ctx, report, () => findProfile(ctx, report.resolvedById)),
    }),
    resolution: t.string({
      nullable: true,
      description: `What they said of it; null where nothing was said. ${MODERATORS}`,
      resolve: (report, _args, ctx) => forModerators(ctx, report, () => report.resolution),
    }),
  }),
});

async function forModerators<Value>(
  ctx: Context,
  report: MessageReportShape,
  read: () => Value | Promise<Value>,
): Promise<Value | null> {
  return (await canModerateReport(ctx, report)) ? read() : null;
}

const MessageReportConnection = builder.connectionObject(
  {
    type: MessageReport,
    name: 'MessageReportConnection',
    description: 'A page of reports, oldest first.',
  },
  { name: 'MessageReportEdge', description: 'A report and its place in the queue.' },
);

interface QueueArguments extends PageArguments {
  readonly state?: ReportState | null | undefined;
}

function readQueue(ctx: Context, roomId: string | null, { state, ...args }: QueueArguments) {
  return resolveCursorConnection<Promise<MessageReportShape[]>>(
    {
      args,
      defaultSize: PAGE_SIZE_DEFAULT,
      maxSize: PAGE_SIZE_MAX,
      toCursor: ({ id }) => encodeGlobalId('MessageReport', id),
    },
    ({ after, before, limit, inverted }) =>
      listReports(ctx, {
        roomId,
        state: state ?? null,
        after: after === undefined ? null : placeOf(after),
        before: before === undefined ? null : placeOf(before),
        limit,
        isInverted: inverted,
      }),
  );
}

const PLACE = /^MessageReport:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

function placeOf(cursor: string): string {
  const [, id] = PLACE.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (id === undefined) throw new CursorInvalidError('Not a cursor of this list');
  return id;
}

builder.objectField(Room, 'reports', (t) =>
  t.connection(
    {
      type: MessageReport,
      nullable: true,
      description:
        'What was reported in it, oldest first, without what is about the viewer’s own messages. With the scope ' +
        '`rooms:moderate` for owners and moderators, and for participants with the role OPERATOR or ADMIN, who find there ' +
        'what nobody in the room can settle; null for all others, whether or not there are any.',
      complexity: pageComplexity,
      args: {
        state: t.arg({ type: ReportStateEnum, description: 'Only these; all unless told.' }),
      },
      resolve: async ({ id }, args, ctx) =>
        (await hasQueue(ctx, id)) ? readQueue(ctx, id, args) : null,
    },
    MessageReportConnection,
  ),
);

builder.queryField('messageReports', (t) =>
  t.connection(
    {
      type: MessageReport,
      description:
        'What was reported in all rooms that the viewer is owner or moderator of, oldest first, without what is about ' +
        'their own messages. For the roles OPERATOR and ADMIN also what nobody in its room can settle: what was said in ' +
        'DIRECT rooms, and where no owner or moderator is but who wrote the message. Needs the scopes `rooms:read` and ' +
        '`rooms:moderate`.',
      ...withScope('rooms:read', 'rooms:moderate'),
      complexity: pageComplexity,
      args: {
        state: t.arg({ type: ReportStateEnum, description: 'Only these; all unless told.' }),
      },
      resolve: (_root, args, ctx) => readQueue(ctx, null, args),
    },
    MessageReportConnection,
  ),
);
