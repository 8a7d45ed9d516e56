import { isOperator, type Role, type Viewer } from '#auth/viewer.ts';
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { ConflictError, InvalidInputError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { actorOf, recordAudit } from '#resolvers/users/audit.ts';
import { deleteUnderLock } from './delete-message.ts';
import { checkedNote } from './report.ts';
import {
  authorityOver,
  canModerateReport,
  findReport,
  type MessageReport,
  noSuchReport,
  type ReportAuthority,
  type ReportOutcome,
  reportColumns,
} from './report-row.ts';
import { type RoomWrite, writeRoom } from './write-room.ts';

export interface Resolution {
  readonly reportId: string;
  readonly outcome: ReportOutcome;
  /** For the other moderators. */
  readonly resolution?: string | null | undefined;
  readonly deleteMessage?: boolean | null | undefined;
}

const SETTLE = `
  UPDATE message_report r
  SET state = $2, resolved_by_id = $3, resolved_at = naru_now(), resolution = $4
  FROM chat_message m WHERE r.id = $1 AND m.id = r.message_id RETURNING ${reportColumns()}`;

/**
 * Settles a report, once: under the room's lock, with the deletion of the message where that is asked for, or not at
 * all. The same outcome again by the same account is the same answer. Throws `NotFoundError` for who has no right
 * to, `ConflictError` that names the outcome where another was first, and what deleting throws.
 */
export async function resolveReport(ctx: Context, input: Resolution): Promise<MessageReport> {
  const viewer = requireViewer(ctx);
  const { reportId, outcome, deleteMessage: deletes = false } = input;
  const resolution = checkedNote(input.resolution, 'input.resolution');
  if (deletes && outcome !== 'UPHELD') {
    throw new InvalidInputError('A message is deleted with UPHELD only', 'input.deleteMessage');
  }
  const known = await findReport(ctx, reportId);
  if (known === null || !(await canModerateReport(ctx, known))) throw noSuchReport();
  return writeRoom(ctx, known.roomId, async (write) => {
    const report = await readReport(write, reportId);
    const authority = await requireAuthority(write, viewer, report);
    if (report.state !== 'OPEN') {
      const isAgain = report.state === outcome && report.resolvedById === viewer.userId;
      if (!isAgain) throw new ConflictError(`The report was settled already: ${report.state}`);
    }
    if (deletes) {
      const { messageId, reason } = report;
      await deleteUnderLock(ctx, write, { messageId, reason, authority });
    }
    if (report.state !== 'OPEN') return report;
    const [settled] = await write.sql.query<MessageReport>(
      SETTLE,
      [reportId, outcome, viewer.userId, resolution],
      'settle-report',
    );
    if (settled === undefined) throw noSuchReport();
    await recordAudit(write.sql, actorOf(ctx, viewer), {
      action: 'REPORT_RESOLVED',
      subject: { type: 'MessageReport', id: reportId },
      details: { outcome, roomId: report.roomId, messageId: report.messageId, deletes, authority },
    });
    return settled;
  });
}

/**
 * As it is under the lock, which whoever joins, leaves or gets another role in the room takes, too: who lost the role
 * while this waited settles nothing any more, nor does an operator once somebody in the room can.
 */
async function requireAuthority(
  write: RoomWrite,
  viewer: Viewer,
  report: MessageReport,
): Promise<ReportAuthority> {
  const authority = authorityOver(viewer, await write.findMembership(viewer.userId), report);
  const isLost = authority === 'OPERATOR' && !(await isStillOperator(write.sql, viewer));
  if (authority === null || isLost) throw noSuchReport();
  return authority;
}

async function isStillOperator(sql: Sql, viewer: Viewer): Promise<boolean> {
  const [account] = await sql.query<{ roles: Role[] }>(
    `SELECT roles::text[] AS roles FROM users
     WHERE id = $1 AND disabled_at IS NULL AND deleted_at IS NULL`,
    [viewer.userId],
    'read-report-operator',
  );
  return account !== undefined && isOperator({ ...viewer, roles: new Set(account.roles) });
}

async function readReport({ sql }: RoomWrite, id: string): Promise<MessageReport> {
  const [report] = await sql.query<MessageReport>(
    `SELECT ${reportColumns()} FROM message_report r JOIN chat_message m ON m.id = r.message_id
     WHERE r.id = $1`,
    [id],
    'read-report',
  );
  if (report === undefined) throw noSuchReport();
  return report;
}
