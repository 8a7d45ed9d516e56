import DataLoader from 'dataloader';
import type { Role } from '#auth/viewer.ts';
import { type Context, perContext } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { NotFoundError } from '#lib/errors.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import {
  type AuditActor,
  type AuditDetails,
  actorOf,
  recordAudit,
} from '#resolvers/users/audit.ts';
import { changeSources, lockSource } from './source-change.ts';

/** Who may read what a source takes: one account, or all that have a role. */
export type Grantee =
  | { readonly userId: string; readonly role: null }
  | { readonly userId: null; readonly role: Role };

export interface SourceGrant {
  readonly id: string;
  readonly userId: string | null;
  readonly role: Role | null;
  readonly createdAt: Date;
}

/** From the next hand-out on, stored history included; of a deleted source too. Twice is once. Throws `NotFoundError`. */
export async function grantSource(
  ctx: Context,
  { sourceId, grantee }: { readonly sourceId: string; readonly grantee: Grantee },
): Promise<string> {
  return changeSources(ctx, async (sql, viewer) => {
    await lockSource(sql, sourceId);
    await grantEach(sql, actorOf(ctx, viewer), sourceId, [grantee]);
    return sourceId;
  });
}

/** From the next hand-out on, whatever was leased. Twice is once. Throws `NotFoundError`. */
export async function revokeGrant(
  ctx: Context,
  { sourceId, grantee }: { readonly sourceId: string; readonly grantee: Grantee },
): Promise<string> {
  return changeSources(ctx, async (sql, viewer) => {
    await lockSource(sql, sourceId);
    const revoked = await sql.query(
      `DELETE FROM webhook_source_grant WHERE source_id = $1
         AND (user_id = $2::uuid OR role = $3::role) RETURNING id`,
      [sourceId, grantee.userId, grantee.role],
    );
    if (revoked.length === 0) return sourceId;
    await recordAudit(sql, actorOf(ctx, viewer), {
      action: 'WEBHOOK_SOURCE_GRANT_REVOKED',
      subject: { type: 'WebhookSource', id: sourceId },
      details: detailsOf(grantee),
    });
    return sourceId;
  });
}

/** In the caller's transaction, with an audit entry for each that is new. Throws `NotFoundError`. */
export async function grantEach(
  sql: Sql,
  by: AuditActor,
  sourceId: string,
  grantees: readonly Grantee[],
): Promise<void> {
  for (const grantee of grantees) {
    if (grantee.userId !== null) await requireUser(sql, grantee.userId);
    const granted = await sql.query(
      `INSERT INTO webhook_source_grant (id, source_id, user_id, role) VALUES ($1, $2, $3, $4)
       ON CONFLICT DO NOTHING RETURNING id`,
      [newId(), sourceId, grantee.userId, grantee.role],
    );
    if (granted.length === 0) continue;
    await recordAudit(sql, by, {
      action: 'WEBHOOK_SOURCE_GRANTED',
      subject: { type: 'WebhookSource', id: sourceId },
      details: detailsOf(grantee),
    });
  }
}

async function requireUser(sql: Sql, userId: string): Promise<void> {
  await sql.query('SELECT id FROM users WHERE id = $1 FOR KEY SHARE', [userId], 'lock-grantee');
  // A statement of its own: this lock hands out the row as it was when the statement began.
  const [user] = await sql.query(
    'SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL',
    [userId],
    'find-grantee',
  );
  if (user === undefined) throw new NotFoundError('No such account');
}

function detailsOf({ userId, role }: Grantee): AuditDetails {
  return userId === null ? { role } : { userId: encodeGlobalId('User', userId) };
}

/** The grants of a source, oldest first; those of a page of sources share one statement. */
export const grantsOfSource = perContext(
  ({ database }: Context) =>
    new DataLoader<string, SourceGrant[]>(async (sourceIds) => {
      const rows = await database.query<SourceGrant & { sourceId: string }>(
        `SELECT id, source_id AS "sourceId", user_id AS "userId", role, created_at AS "createdAt"
         FROM webhook_source_grant WHERE source_id = ANY($1) ORDER BY id`,
        [sourceIds],
        'read-source-grants',
      );
      const bySource = Map.groupBy(rows, ({ sourceId }) => sourceId);
      return sourceIds.map((id) => bySource.get(id) ?? []);
    }),
);
