// Reports of messages as they are read, and who may read and settle them.
import { isOperator, type Viewer } from '#auth/viewer.ts';
import { type Context, perContext } from '#context.ts';
import { createBatcher } from '#lib/batch.ts';
import { NotFoundError } from '#lib/errors.ts';
import { viewerMembership } from './access.ts';
import { isIn, type Membership } from './membership.ts';

export type ReportReason =
  | 'SPAM'
  | 'HARASSMENT'
  | 'VIOLENCE'
  | 'SEXUAL'
  | 'ILLEGAL'
  | 'BLOCKED_WORD'
  | 'OTHER';
export type ReportOutcome = 'UPHELD' | 'DISMISSED';
export type ReportState = 'OPEN' | ReportOutcome;

export interface MessageReport {
  readonly id: string;
  readonly roomId: string;
  readonly messageId: string;
  /** Of the message. Whoever wrote it neither sees nor settles reports of it, whatever their role. */
  readonly authorId: string | null;
  /** Whether anybody in the room moderates it who did not write the message. */
  readonly isModerated: boolean;
  readonly reporterId: string | null;
  readonly reason: ReportReason;
  readonly note: string | null;
  /** The message as it was when it was reported, kept whatever becomes of the message. */
  readonly body: string;
  readonly revision: number;
  readonly state: ReportState;
  readonly resolvedById: string | null;
  readonly resolvedAt: Date | null;
  readonly resolution: string | null;
  readonly createdAt: Date;
}

/** Whether anybody settles `message_report AS r` of `chat_message AS m` by their role in its room. DIRECT rooms have none. */
export const IS_MODERATED = `
  EXISTS (SELECT FROM room_participant p JOIN users u ON u.id = p.user_id
    WHERE p.room_id = r.room_id AND p.left_position IS NULL AND p.role <> 'MEMBER'
      AND p.user_id IS DISTINCT FROM m.author_id AND u.disabled_at IS NULL AND u.deleted_at IS NULL)`;

/** Of `message_report AS r` and its `chat_message AS m`, by the names of `MessageReport`. */
export function reportColumns(isModerated = IS_MODERATED): string {
  return `
  r.id, r.room_id AS "roomId", r.message_id AS "messageId", m.author_id AS "authorId",
  ${isModerated} AS "isModerated", r.reporter_id AS "reporterId", r.reason, r.note, r.body,
  r.revision, r.state, r.resolved_by_id AS "resolvedById", r.resolved_at AS "resolvedAt",
  r.resolution, r.created_at AS "createdAt"`;
}

/** By their role in the room, or as an operator, for what nobody in the room can settle. */
export type ReportAuthority = 'ROOM' | 'OPERATOR';

type Reported = Pick<MessageReport, 'roomId' | 'authorId' | 'isModerated'>;

/**
 * By what right somebody settles a report, and so reads all of it; null for none. Operators come in only where the
 * room has nobody for it, and what they read of the room is the report.
 */
export function authorityOver(
  viewer: Viewer | null,
  membership: Membership | undefined,
  { authorId, isModerated }: Reported,
): ReportAuthority | null {
  if (viewer === null || !readsQueues(viewer) || authorId === viewer.userId) return null;
  if (moderates(membership)) return 'ROOM';
  return isOperator(viewer) && !isModerated ? 'OPERATOR' : null;
}

/** Whether who stands so to a room settles what is reported in it. */
export function moderates(membership: Membership | undefined): boolean {
  return isIn(membership) && membership.role !== 'MEMBER';
}

/** Asked for on the way of `node`, too, which wants no scope of its own. */
export function readsQueues(viewer: Viewer | null): boolean {
  return viewer?.scopes.has('rooms:moderate') === true && viewer.scopes.has('rooms:read');
}

/** Whether the viewer settles this report, and so reads all of it. */
export async function canModerateReport(ctx: Context, report: Reported): Promise<boolean> {
  const membership = await viewerMembership(ctx, report.roomId);
  return authorityOver(ctx.viewer, membership, report) !== null;
}

/** A report is read by who settles it, and by who made it. */
export async function canReadReport(ctx: Context, report: MessageReport): Promise<boolean> {
  const { viewer } = ctx;
  const isOwn = viewer !== null && report.reporterId === viewer.userId;
  return (isOwn && viewer.scopes.has('rooms:read')) || canModerateReport(ctx, report);
}

const loaderOf = perContext(({ database }) =>
  createBatcher<string, MessageReport>(
    async (ids) => {
      const rows = await database.query<MessageReport>(
        `SELECT ${reportColumns()} FROM message_report r JOIN chat_message m ON m.id = r.message_id
         WHERE r.id = ANY($1)`,
        [ids],
        'load-message-reports',
      );
      return new Map(rows.map((row) => [row.id, row]));
    },
    { concurrency: 1, keysMax: 100 },
  ),
);

/** Null where there is none that the viewer may know of. */
export async function findReport(ctx: Context, id: string): Promise<MessageReport | null> {
  const report = await loaderOf(ctx)(id);
  return report !== undefined && (await canReadReport(ctx, report)) ? report : null;
}

/** The same for a report that is not there and for one that is not for them. */
export function noSuchReport(): NotFoundError {
  return new NotFoundError('There is no such report for you');
}
