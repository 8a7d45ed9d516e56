// Bodies that are too large for an entry of the bus wait here until the entry that names them is projected.
import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { webhookReceived } from '#pubsub/topics/webhooks.ts';
import { packBody, type StoredBody } from './body.ts';

/** Beyond the log's retention, so that no entry that may still be read loses its body. */
const LEFTOVER_MS = webhookReceived.retainMs + 86_400_000;

/**
 * Keeps a message's body for its projection. Again for the same message it keeps the first one, and makes
 * it young: retention must not remove it just before its entry is published. Throws `UnavailableError`.
 */
export async function claimBody(app: Services, messageId: string, body: Uint8Array): Promise<void> {
  const { compressed, data } = await packBody(body);
  await app.database.query(
    `INSERT INTO webhook_claimed_body (id, compressed, data) VALUES ($1, $2, $3)
     ON CONFLICT (id) DO UPDATE SET created_at = naru_now()`,
    [messageId, compressed, data],
    'claim-body',
  );
}

/** Null where there is none: it was never kept, or its message has been projected. */
export async function findClaimedBody(sql: Sql, messageId: string): Promise<StoredBody | null> {
  const [row] = await sql.query<StoredBody>(
    'SELECT compressed, data FROM webhook_claimed_body WHERE id = $1',
    [messageId],
    'find-claimed-body',
  );
  return row ?? null;
}

/** In the transaction that stored the message with its body, or found it stored. */
export async function releaseClaimedBodies(sql: Sql, messageIds: readonly string[]): Promise<void> {
  if (messageIds.length === 0) return;
  await sql.query(
    'DELETE FROM webhook_claimed_body WHERE id = ANY($1)',
    [messageIds],
    'release-claimed-bodies',
  );
}

/** What no entry will ask for any more: redeliveries of what was projected, and posts that failed. */
export async function removeLeftoverBodies(sql: Sql): Promise<void> {
  await sql.query(
    `DELETE FROM webhook_claimed_body
     WHERE created_at < naru_now() - make_interval(secs => $1)`,
    [LEFTOVER_MS / 1_000],
  );
}
