import type { Sql } from '#database/client.ts';
import { newId } from '#lib/ids.ts';
import type { WebhookFields } from './providers/provider.ts';

type Claim = WebhookFields['repository'];

export interface Repositories {
  /** The repository's id in this database; null where there is no claim or no source. */
  find(sourceId: string | null, claim: Claim): string | null;
}

/**
 * Makes the repositories that a batch speaks of exist, by source and provider's id; a new name
 * replaces the old one.
 */
export async function storeRepositories(
  sql: Sql,
  batch: readonly {
    readonly received: { readonly sourceId: string | null };
    readonly fields: WebhookFields;
  }[],
): Promise<Repositories> {
  const named = new Map<string, object>();
  for (const { received, fields } of batch) {
    if (fields.repository === null || received.sourceId === null) continue;
    const { providerId, fullName } = fields.repository;
    const source_id = received.sourceId;
    const row = { id: newId(), source_id, provider_id: providerId, full_name: fullName };
    named.set(keyOf(source_id, providerId), row);
  }
  const rows =
    named.size === 0
      ? []
      : await sql.query<Row>(STORE, [JSON.stringify([...named.values()])], 'store-repositories');
  const ids = new Map(rows.map((row) => [keyOf(row.source_id, row.provider_id), row.id]));
  return {
    find: (sourceId, claim) =>
      sourceId === null || claim === null
        ? null
        : (ids.get(keyOf(sourceId, claim.providerId)) ?? null),
  };
}

interface Row {
  readonly id: string;
  readonly source_id: string;
  readonly provider_id: string;
}

const STORE = `
  INSERT INTO webhook_repository AS known (id, source_id, provider_id, full_name)
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS row
    (id uuid, source_id uuid, provider_id text, full_name text)
  ON CONFLICT (source_id, provider_id) DO UPDATE SET
    full_name = excluded.full_name,
    updated_at = CASE WHEN known.full_name = excluded.full_name THEN known.updated_at ELSE naru_now() END
  RETURNING id, source_id, provider_id`;

function keyOf(sourceId: string, providerId: string): string {
  return `${sourceId} ${providerId}`;
}
