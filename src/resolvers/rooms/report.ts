import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { ConflictError, ForbiddenError, InvalidInputError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { viewerMembership } from './access.ts';
import { isIn } from './membership.ts';
import { getMessage, noSuchMessage } from './read-message.ts';
import { type MessageReport, type ReportReason, reportColumns } from './report-row.ts';

export const NOTE_LENGTH_MAX = 1_000;

export interface NewReport {
  readonly messageId: string;
  readonly reason: ReportReason;
  readonly note?: string | null | undefined;
  /** Which of the message's revisions the viewer has seen; the current one without it. */
  readonly revision?: number | null | undefined;
}

// In one statement, so that body and revision are of one moment.
const INSERT = `
  INSERT INTO message_report (id, room_id, message_id, reporter_id, reason, note, body, revision)
  SELECT $1, m.room_id, m.id, $3, $4, $5, coalesce(was.body, m.body), coalesce($6, m.revision)
  FROM chat_message m LEFT JOIN chat_message_edit was
    ON was.message_id = m.id AND was.revision = $6::int + 1
  WHERE m.id = $2 AND m.body IS NOT NULL
  ON CONFLICT (message_id, reporter_id) DO NOTHING`;

/**
 * Shows a message to those who moderate its room, and where nobody does, as in direct rooms, to operators, as it
 * was when the viewer saw it. An account reports a message once: again is answered by the report that is there,
 * whatever reason is given now. Throws `NotFoundError` for what the viewer cannot read or only used to,
 * `ForbiddenError` for their own, `ConflictError` for what was deleted.
 */
export async function reportMessage(ctx: Context, input: NewReport): Promise<MessageReport> {
  const { userId } = requireViewer(ctx);
  const { messageId, reason, revision = null } = input;
  const note = checkedNote(input.note, 'input.note');
  if (reason === 'BLOCKED_WORD') {
    throw new InvalidInputError('Only the word filter gives this reason', 'input.reason');
  }
  const message = await getMessage(ctx, messageId);
  if (!isIn(await viewerMembership(ctx, message.roomId))) throw noSuchMessage();
  if (message.authorId === userId) {
    throw new ForbiddenError('A message is reported by others than who wrote it');
  }
  if (revision !== null && (revision < 0 || revision > message.revision)) {
    throw new InvalidInputError('The message has no such revision', 'input.revision');
  }
  const known = await findOwnReport(ctx.database, messageId, userId);
  if (known !== undefined) return known;
  await ctx.database.query(
    INSERT,
    [newId(), messageId, userId, reason, note, revision],
    'report-message',
  );
  const report = await findOwnReport(ctx.database, messageId, userId);
  if (report !== undefined) return report;
  throw new ConflictError('The message was deleted');
}

async function findOwnReport(
  sql: Sql,
  messageId: string,
  userId: string,
): Promise<MessageReport | undefined> {
  const [report] = await sql.query<MessageReport>(
    `SELECT ${reportColumns()} FROM message_report r JOIN chat_message m ON m.id = r.message_id
     WHERE r.message_id = $1 AND r.reporter_id = $2`,
    [messageId, userId],
    'find-own-report',
  );
  return report;
}

/** Null for nothing said. Throws `InvalidInputError` for what PostgreSQL cannot hold, and what is too long. */
export function checkedNote(text: string | null | undefined, field: string): string | null {
  const trimmed = text?.trim() ?? '';
  if (trimmed === '') return null;
  const isText = trimmed.isWellFormed() && !trimmed.includes('\u0000');
  if (isText && trimmed.length <= NOTE_LENGTH_MAX) return trimmed;
  throw new InvalidInputError(
    `At most ${NOTE_LENGTH_MAX} characters, no U+0000, no half of a surrogate pair`,
    field,
  );
}
