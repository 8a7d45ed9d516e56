import DataLoader from 'dataloader';
import { type Context, perContext } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { ConflictError, InvalidInputError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { actorOf, recordAudit } from '#resolvers/users/audit.ts';
import { runOnce } from '#resolvers/users/idempotency.ts';
import { PROVIDERS } from './providers/table.ts';
import { changeSources, lockLiveSource } from './source-change.ts';
import { chooseSecret } from './source-input.ts';
import { createSecretVault, type SecretVault } from './source-secret.ts';

export const LIVE_SECRETS_MAX = 5;
export const OVERLAP_SECONDS_MAX = 7 * 86_400;
export const OVERLAP_SECONDS_DEFAULT = 86_400;

/** `secret` is shown this once; null where the operator brought it, and on replay. */
export interface RotatedSecret {
  readonly sourceId: string;
  readonly secret: string | null;
}

/**
 * A new secret beside those that count, which end after the overlap, or earlier where they were to. 0 ends
 * them at once on this node, and within five seconds on the others. Throws `ForbiddenError`,
 * `InvalidInputError`, `NotFoundError`, `ConflictError` for a deleted source, for one that signs nothing and
 * past 5 that count at once, and what `runOnce` does.
 */
export async function rotateSecret(
  ctx: Context,
  input: {
    readonly sourceId: string;
    readonly secret?: string | null | undefined;
    readonly overlapSeconds: number;
    readonly idempotencyKey?: string | null | undefined;
  },
): Promise<RotatedSecret> {
  const { sourceId, overlapSeconds } = input;
  if (!(overlapSeconds >= 0 && overlapSeconds <= OVERLAP_SECONDS_MAX)) {
    throw new InvalidInputError(
      `Secrets overlap for 0 to ${OVERLAP_SECONDS_MAX} seconds`,
      'input.overlapSeconds',
    );
  }
  const vault = createSecretVault(ctx.config);
  // What is remembered of a call must not be a way to find out what its secret is.
  const known = { ...input, secret: input.secret == null ? null : vault.digest(input.secret) };
  return changeSources(ctx, (sql, viewer) =>
    runOnce(sql, ctx, viewer, {
      field: 'rotateWebhookSecret',
      input: known,
      effect: async () => {
        const { provider } = await lockLiveSource(sql, sourceId);
        if (PROVIDERS[provider].verify === null) {
          throw new ConflictError('What this source takes is not signed: there is no secret');
        }
        const secret = chooseSecret(provider, input.secret, false);
        if (secret === null) throw new Error('A provider that signs has a secret');
        await endOthers(sql, sourceId, overlapSeconds);
        const id = await storeSecret(sql, vault, sourceId, secret.value);
        await recordAudit(sql, actorOf(ctx, viewer), {
          action: 'WEBHOOK_SECRET_ROTATED',
          subject: { type: 'WebhookSource', id: sourceId },
          details: { secretId: id, overlapSeconds, isBrought: !secret.isOurs },
        });
        const answer = { sourceId, secret: secret.isOurs ? secret.value : null };
        return { answer, reference: { id: sourceId } };
      },
      replay: async ({ id }) => ({ sourceId: id, secret: null }),
    }),
  );
}

async function endOthers(sql: Sql, sourceId: string, overlapSeconds: number): Promise<void> {
  await sql.query(
    `UPDATE webhook_source_secret SET ends_at = least(ends_at, naru_now() + make_interval(secs => $2))
     WHERE source_id = $1`,
    [sourceId, overlapSeconds],
  );
  await sql.query(
    // Not by the clock alone: what has just been ended is rounded up to the next millisecond.
    `DELETE FROM webhook_source_secret
     WHERE source_id = $1 AND ($2::float8 = 0 OR ends_at <= naru_now())`,
    [sourceId, overlapSeconds],
  );
  const live = await sql.query('SELECT id FROM webhook_source_secret WHERE source_id = $1', [
    sourceId,
  ]);
  if (live.length < LIVE_SECRETS_MAX) return;
  throw new ConflictError(
    `At most ${LIVE_SECRETS_MAX} secrets count at once: wait until one ends, or end them all with overlapSeconds: 0`,
  );
}

/** Beside those that there are. Answers with the row's id. */
export async function storeSecret(
  sql: Sql,
  vault: SecretVault,
  sourceId: string,
  secret: string,
): Promise<string> {
  const id = newId();
  await sql.query('INSERT INTO webhook_source_secret (id, source_id, sealed) VALUES ($1, $2, $3)', [
    id,
    sourceId,
    vault.seal(secret, id),
  ]);
  return id;
}

/** What is told of a secret: never what it is. */
export interface SourceSecret {
  readonly id: string;
  readonly createdAt: Date;
  readonly endsAt: Date | null;
}

/** The secrets of a source that count now, newest first; those of a page of sources share one statement. */
export const secretLoader = perContext(
  ({ database }: Context) =>
    new DataLoader<string, SourceSecret[]>(async (sourceIds) => {
      const rows = await database.query<SourceSecret & { sourceId: string }>(
        `SELECT id, source_id AS "sourceId", created_at AS "createdAt", ends_at AS "endsAt"
         FROM webhook_source_secret
         WHERE source_id = ANY($1) AND (ends_at IS NULL OR ends_at > naru_now())
         ORDER BY created_at DESC, id DESC`,
        [sourceIds],
        'read-source-secrets',
      );
      const bySource = Map.groupBy(rows, ({ sourceId }) => sourceId);
      return sourceIds.map((id) => bySource.get(id) ?? []);
    }),
);
