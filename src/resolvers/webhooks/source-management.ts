import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import type { Prisma, WebhookSource } from '#generated/prisma/client.ts';
import type { VerificationMode, WebhookProvider } from '#generated/prisma/enums.ts';
import { ConflictError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { actorOf, recordAudit } from '#resolvers/users/audit.ts';
import { runOnce } from '#resolvers/users/idempotency.ts';
import { type SourceSettings, sourceSettings } from './providers/settings.ts';
import { PROVIDERS } from './providers/table.ts';
import { SECRET_SETTINGS } from './source.ts';
import { changeSources, type LockedSource, lockLiveSource, lockSource } from './source-change.ts';
import { type Grantee, grantEach } from './source-grant.ts';
import {
  chooseSecret,
  type GivenSettings,
  parseSettings,
  parseSourcePath,
  requireLimits,
  type SourceLimits,
} from './source-input.ts';
import { storeSecret } from './source-rotation.ts';
import { createSecretVault } from './source-secret.ts';

/** `secret` is shown this once; null where the operator brought it, where there is none, and on replay. */
export interface CreatedSource {
  readonly sourceId: string;
  readonly secret: string | null;
}

/**
 * A new source, known to ingress on this node when this resolves; once for an idempotency key. Throws
 * `ForbiddenError`, `InvalidInputError`, `NotFoundError` for a grant to nobody, `ConflictError` where the path
 * is taken, and what `runOnce` does.
 */
export async function createSource(
  ctx: Context,
  input: SourceLimits & {
    readonly path: string;
    readonly provider: WebhookProvider;
    readonly verification: VerificationMode;
    readonly secret?: string | null | undefined;
    readonly settings: GivenSettings;
    readonly grants: readonly Grantee[];
    readonly idempotencyKey?: string | null | undefined;
  },
): Promise<CreatedSource> {
  const path = parseSourcePath(input.path);
  const settings = parseSettings(input.settings);
  requireLimits(input, ctx.config);
  const secret = chooseSecret(input.provider, input.secret, input.verification === 'MONITOR');
  const vault = createSecretVault(ctx.config);
  // What is remembered of a call must not be a way to find out what its secret is.
  const known = { ...input, secret: input.secret == null ? null : vault.digest(input.secret) };
  return changeSources(ctx, (sql, viewer) =>
    runOnce(sql, ctx, viewer, {
      field: 'createWebhookSource',
      input: known,
      effect: async () => {
        const id = await storeSource(sql, { ...input, path, settings });
        if (secret !== null) await storeSecret(sql, vault, id, secret.value);
        await recordAudit(sql, actorOf(ctx, viewer), {
          action: 'WEBHOOK_SOURCE_CREATED',
          subject: { type: 'WebhookSource', id },
          details: { provider: input.provider, verification: input.verification },
        });
        await grantEach(sql, actorOf(ctx, viewer), id, input.grants);
        const answer = { sourceId: id, secret: secret?.isOurs === true ? secret.value : null };
        return { answer, reference: { id } };
      },
      replay: async ({ id }) => ({ sourceId: id, secret: null }),
    }),
  );
}

async function storeSource(
  sql: Sql,
  source: SourceLimits & {
    readonly path: string;
    readonly provider: WebhookProvider;
    readonly verification: VerificationMode;
    readonly settings: SourceSettings;
  },
): Promise<string> {
  const id = newId();
  // Whoever takes the same path at the same moment is waited for: one of the two has it then.
  const stored = await sql.query(
    `INSERT INTO webhook_source (id, path, provider, verification_mode, settings, body_bytes_max,
       messages_per_minute, tolerance_seconds)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (path) WHERE deleted_at IS NULL DO NOTHING RETURNING id`,
    [
      id,
      source.path,
      source.provider,
      source.verification,
      JSON.stringify(source.settings),
      source.bodyBytesMax ?? null,
      source.messagesPerMinute ?? null,
      source.toleranceSeconds ?? null,
    ],
  );
  if (stored.length === 0) throw new ConflictError('Another source has this path');
  return id;
}

/** What is absent stays; a limit that is null is the server's again. */
export interface SourceChange extends SourceLimits {
  readonly sourceId: string;
  readonly verification?: VerificationMode | null | undefined;
  readonly settings?: GivenSettings | null | undefined;
}

/**
 * Changes what is given and nothing else, so that two who change something else at once both do. Throws
 * `ForbiddenError`, `InvalidInputError`, `NotFoundError`, and `ConflictError` for a deleted source and where
 * there would be nothing to enforce with.
 */
export async function updateSource(ctx: Context, input: SourceChange): Promise<string> {
  requireLimits(input, ctx.config);
  const { sourceId, verification, settings } = input;
  const wanted: Readonly<Record<string, unknown>> = {
    verification_mode: verification ?? undefined,
    settings: settings == null ? undefined : JSON.stringify(parseSettings(settings)),
    body_bytes_max: input.bodyBytesMax,
    messages_per_minute: input.messagesPerMinute,
    tolerance_seconds: input.toleranceSeconds,
  };
  const given = Object.entries(wanted).filter(([, value]) => value !== undefined);
  return changeSources(ctx, async (sql, viewer) => {
    const source = await lockLiveSource(sql, sourceId);
    if (verification === 'ENFORCE') await requireSecret(sql, ctx, source);
    if (given.length === 0) return sourceId;
    const assignments = given.map(([column], index) => `${column} = $${index + 2}`);
    await sql.query(
      `UPDATE webhook_source SET ${assignments.join(', ')}, updated_at = naru_now() WHERE id = $1`,
      [sourceId, ...given.map(([, value]) => value)],
    );
    await recordAudit(sql, actorOf(ctx, viewer), {
      action: 'WEBHOOK_SOURCE_UPDATED',
      subject: { type: 'WebhookSource', id: sourceId },
      details: { changed: given.map(([column]) => column), verification: verification ?? null },
    });
    return sourceId;
  });
}

/** A source that has nothing to verify with would refuse all that comes. */
async function requireSecret(sql: Sql, { config }: Context, source: LockedSource): Promise<void> {
  if (PROVIDERS[source.provider].verify === null) return;
  if (hasSetting(source, { config })) return;
  const live = await sql.query(
    `SELECT id FROM webhook_source_secret
     WHERE source_id = $1 AND (ends_at IS NULL OR ends_at > naru_now()) LIMIT 1`,
    [source.id],
  );
  if (live.length === 0) throw new ConflictError('This source has no secret yet: rotate it first');
}

function hasSetting({ secretSetting }: LockedSource, { config }: Pick<Context, 'config'>): boolean {
  return (SECRET_SETTINGS[secretSetting ?? '']?.(config) ?? null) !== null;
}

/**
 * Takes nothing from then on, and its path is free; what it took stays readable, and its secrets are gone.
 * Twice is once. Throws `ForbiddenError`, `NotFoundError`, and `ConflictError` where a setting of the server
 * would make it again.
 */
export async function deleteSource(
  ctx: Context,
  input: { readonly sourceId: string },
): Promise<string> {
  const { sourceId } = input;
  return changeSources(ctx, async (sql, viewer) => {
    const source = await lockSource(sql, sourceId);
    if (source.isDeleted) return sourceId;
    if (hasSetting(source, ctx)) {
      throw new ConflictError(
        `The server’s setting ${source.secretSetting} makes this source: take that away first`,
      );
    }
    await sql.query(
      'UPDATE webhook_source SET deleted_at = naru_now(), updated_at = naru_now() WHERE id = $1',
      [sourceId],
    );
    await sql.query('DELETE FROM webhook_source_secret WHERE source_id = $1', [sourceId]);
    await recordAudit(sql, actorOf(ctx, viewer), {
      action: 'WEBHOOK_SOURCE_DELETED',
      subject: { type: 'WebhookSource', id: sourceId },
    });
    return sourceId;
  });
}

/** Oldest first; those that were deleted only where they are asked for. */
export function listSources(
  ctx: Context,
  { includesDeleted }: { readonly includesDeleted: boolean },
  selection: Prisma.WebhookSourceFindManyArgs,
): Promise<WebhookSource[]> {
  return ctx.prisma.webhookSource.findMany({
    ...selection,
    where: includesDeleted ? {} : { deletedAt: null },
    orderBy: { id: 'asc' },
  });
}

/** Null where what is stored is no settings of this version. */
export function readSettings({ settings }: Pick<WebhookSource, 'settings'>): SourceSettings | null {
  return sourceSettings.safeParse(settings).data ?? null;
}

/** Where its provider is to send. */
export function webhookUrlOf({ config }: Context, { path }: Pick<WebhookSource, 'path'>): string {
  return `${config.publicUrl}/webhook/${path}`;
}
