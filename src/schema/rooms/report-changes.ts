import {
  ConflictError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { NOTE_LENGTH_MAX, reportMessage } from '#resolvers/rooms/report.ts';
import type {
  MessageReport as MessageReportShape,
  ReportOutcome,
} from '#resolvers/rooms/report-row.ts';
import { resolveReport } from '#resolvers/rooms/resolve-report.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { ChatMessage } from './message.ts';
import { MessageReport, ReportReasonEnum } from './report.ts';

const ERRORS = [
  InvalidInputError,
  UnauthenticatedError,
  ForbiddenError,
  NotFoundError,
  ConflictError,
  RateLimitedError,
];

interface Changed {
  readonly report: MessageReportShape;
}

const ReportMessageSucceeded = builder.objectRef<Changed>('ReportMessageSucceeded').implement({
  description: 'Who settles it finds it in their queue.',
  fields: (t) => ({
    report: t.field({
      type: MessageReport,
      description: 'The viewer’s report of the message: the first, where there was one.',
      resolve: ({ report }) => report,
    }),
  }),
});

const ReportMessageInput = builder.inputType('ReportMessageInput', {
  description: 'Which message, and why.',
  fields: (t) => ({
    messageId: t.globalID({ for: ChatMessage, required: true, description: 'The message’s id.' }),
    reason: t.field({
      type: ReportReasonEnum,
      required: true,
      description: 'Why. BLOCKED_WORD is the word filter’s alone.',
    }),
    note: t.string({ description: `For who settles it, at most ${NOTE_LENGTH_MAX} characters.` }),
    revision: t.int({
      description:
        'The `revision` that the viewer has seen, so that an edit since hides nothing; the current one unless told.',
    }),
  }),
});

builder.mutationField('reportMessage', (t) =>
  t.field({
    type: ReportMessageSucceeded,
    description:
      'Shows a message of a room that the viewer is in to the room’s owners and moderators, with its text as it is now; in ' +
      'DIRECT rooms, and where nobody else moderates than who wrote it, to the roles OPERATOR and ADMIN. Once a message ' +
      'and account: again is answered by the first report. ForbiddenError for the viewer’s own message; ConflictError for a ' +
      'deleted one. Needs the scopes `rooms:read` and `rooms:write`.',
    ...withBoth(
      withScope('rooms:read', 'rooms:write'),
      withRateLimit({ by: 'ACCOUNT', limit: 30, windowSeconds: 600 }),
    ),
    args: {
      input: t.arg({ type: ReportMessageInput, required: true, description: 'Which, why.' }),
    },
    errors: {
      types: ERRORS,
      union: { name: 'ReportMessageResult', description: 'What came of `reportMessage`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      report: await reportMessage(ctx, { ...input, messageId: input.messageId.id }),
    }),
  }),
);

const OUTCOMES: Readonly<Record<ReportOutcome, string>> = {
  UPHELD: 'The report is right.',
  DISMISSED: 'There is nothing in it.',
};

const ReportOutcomeEnum = builder.enumType('ReportOutcome', {
  description: 'How a report is settled.',
  values: Object.fromEntries(
    Object.entries(OUTCOMES).map(([outcome, description]) => [outcome, { description }]),
  ) as Record<ReportOutcome, { description: string }>,
});

const ResolveReportSucceeded = builder.objectRef<Changed>('ResolveReportSucceeded').implement({
  description: 'The report is settled.',
  fields: (t) => ({
    report: t.field({
      type: MessageReport,
      description: 'The report as it is now.',
      resolve: ({ report }) => report,
    }),
  }),
});

const ResolveReportInput = builder.inputType('ResolveReportInput', {
  description: 'Which report, and how it is settled.',
  fields: (t) => ({
    reportId: t.globalID({ for: MessageReport, required: true, description: 'The report’s id.' }),
    outcome: t.field({ type: ReportOutcomeEnum, required: true, description: 'How.' }),
    resolution: t.string({
      description: `For others who settle reports of the room, at most ${NOTE_LENGTH_MAX} characters.`,
    }),
    deleteMessage: t.boolean({
      description:
        'Deletes the message with it, or neither is done. With UPHELD only; as `deleteMessage` does it, and under its rule ' +
        'of who may. Who settles as OPERATOR or ADMIN may always.',
    }),
  }),
});

builder.mutationField('resolveReport', (t) =>
  t.field({
    type: ResolveReportSucceeded,
    description:
      'Settles a report, for the room’s owners and moderators, except who wrote the message; for the roles OPERATOR and ' +
      'ADMIN where there is nobody else for it, as in DIRECT rooms, also of rooms that they are not in. It is settled once: ' +
      'ConflictError names the outcome where another was first; the same again by the same account is answered as the ' +
      'first time. The message’s other reports stay open. Needs the scopes `rooms:read` and `rooms:moderate`.',
    ...withBoth(
      withScope('rooms:read', 'rooms:moderate'),
      withRateLimit({ by: 'ACCOUNT', limit: 120, windowSeconds: 60 }),
    ),
    args: {
      input: t.arg({ type: ResolveReportInput, required: true, description: 'Which, how.' }),
    },
    errors: {
      types: ERRORS,
      union: { name: 'ResolveReportResult', description: 'What came of `resolveReport`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      report: await resolveReport(ctx, { ...input, reportId: input.reportId.id }),
    }),
  }),
);
