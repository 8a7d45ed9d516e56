import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { transact } from '#outbox.ts';
import type { Entry } from '#pubsub/bus.ts';
import { type WebhookReceived, webhookStored } from '#pubsub/topics/webhooks.ts';
import { packBody, type StoredBody, unpackBody } from './body.ts';
import { findClaimedBody, releaseClaimedBodies } from './claimed-body.ts';
import { type Envelope, readEnvelope } from './envelope.ts';
import { WEBHOOK_FEED, WEBHOOK_FEED_KEY } from './feed.ts';
import { takeLaneSequences } from './lane.ts';
import { fencePermissions } from './permissions/fence.ts';
import { type RepositorySighting, storeRepositories } from './repository.ts';

interface Prepared extends Envelope {
  readonly received: WebhookReceived;
  readonly body: StoredBody;
  readonly byteSize: number;
}

/**
 * Moves a batch of the log into PostgreSQL: one row a message with the next positions of the webhook
 * feed, in the batch's order. What is there already is left alone, so a batch may come again. Throws
 * `UnavailableError` for what is of the world and not of these messages.
 */
export async function projectWebhooks(
  app: Services,
  batch: readonly Entry<WebhookReceived>[],
): Promise<void> {
  for (const part of boundBytes(batch)) await projectPart(app, part);
}

/** The bus bounds the bytes of what it hands over, and knows nothing of bodies that are elsewhere. */
function boundBytes(batch: readonly Entry<WebhookReceived>[]): Entry<WebhookReceived>[][] {
  const parts: Entry<WebhookReceived>[][] = [];
  let last: Entry<WebhookReceived>[] | undefined;
  for (const entry of batch) {
    const isAlone = entry.payload.bodyIn === 'database';
    if (last === undefined || isAlone) parts.push([entry]);
    else last.push(entry);
    last = isAlone ? undefined : parts.at(-1);
  }
  return parts;
}

async function projectPart(app: Services, batch: readonly Entry<WebhookReceived>[]): Promise<void> {
  const found = await Promise.all(batch.map((entry) => prepare(app, entry)));
  const prepared = found.filter((one) => one !== null);
  const head = await transact(app, async (sql, announce) => {
    const stored = await store(sql, prepared, new URL(app.config.github.url).origin);
    await releaseClaimedBodies(sql, idsOfClaimed(batch));
    if (stored === null) return null;
    await announce(webhookStored, WEBHOOK_FEED_KEY, { position: stored.toString() });
    return stored;
  });
  if (head === null) return;
  app.webhookFeed.notice(WEBHOOK_FEED_KEY, head);
  const newest = Math.max(...prepared.map(({ received }) => Date.parse(received.receivedAt)));
  app.metrics.webhookProjectionLagSeconds.set(Math.max(0, (Date.now() - newest) / 1000));
}

function idsOfClaimed(batch: readonly Entry<WebhookReceived>[]): string[] {
  return batch.flatMap(({ payload }) => (payload.bodyIn === 'database' ? payload.messageId : []));
}

/** Null for a message whose body has been moved already: it is stored, by this node or another. */
async function prepare(app: Services, entry: Entry<WebhookReceived>): Promise<Prepared | null> {
  const received = entry.payload;
  let body: StoredBody;
  let raw: Uint8Array;
  if (received.bodyIn === 'database') {
    const claimed = await findClaimedBody(app.database, received.messageId);
    if (claimed === null) {
      if ((await findKnown(app.database, [received.messageId])).size > 0) return null;
      throw new Error('The body that this entry names is not there');
    }
    body = claimed;
    raw = await unpackBody(claimed);
  } else {
    raw = entry.attachment ?? new Uint8Array();
    body = await packBody(raw);
  }
  return { received, ...readEnvelope(app, received, raw), body, byteSize: raw.byteLength };
}

/** The feed's new head; null when every message of the batch was there already. */
async function store(
  sql: Sql,
  batch: readonly Prepared[],
  gitHubOrigin: string,
): Promise<bigint | null> {
  // The lock comes first: it orders projectors, so that what is there and what is next stay true.
  const [feed] = await sql.query<{ last_position: string }>(
    'SELECT last_position FROM feed WHERE name = $1 AND key = $2 FOR UPDATE',
    [WEBHOOK_FEED, WEBHOOK_FEED_KEY],
  );
  if (feed === undefined) throw new Error('The webhook feed has no row');
  const fresh = await withoutKnown(sql, batch);
  if (fresh.length === 0) return null;

  const sources = await existingSources(sql, fresh);
  const sightings = fresh.map((one) => sightingOf(one, sources, gitHubOrigin));
  const findRepository = await storeRepositories(
    sql,
    sightings.filter((sighting) => sighting !== null),
  );
  const first = BigInt(feed.last_position) + 1n;
  const places = fresh.map(({ received }, index) => {
    const sourceId = sources.has(received.sourceId ?? '') ? received.sourceId : null;
    const repository = findRepository(sightings[index] ?? null);
    // What nobody vouches for is in nobody's inbox.
    const isPullable = sourceId !== null && received.verification !== 'UNVERIFIED';
    return {
      sourceId,
      repositoryId: repository?.id ?? null,
      githubId: repository?.githubId ?? null,
      laneId: isPullable ? (repository?.id ?? sourceId) : null,
    };
  });
  const nextInLane = await takeLaneSequences(sql, places);
  const rows = fresh.map(({ received, fields, byteSize }, index) => {
    const { sourceId = null, repositoryId = null, laneId = null } = places[index] ?? {};
    return {
      id: received.messageId,
      position: String(first + BigInt(index)),
      source_id: sourceId,
      repository_id: repositoryId,
      lane_id: laneId,
      lane_sequence: laneId === null ? null : nextInLane(laneId).toString(),
      verification: received.verification,
      path: received.path,
      method: received.method,
      headers: received.headers,
      content_type: received.contentType,
      byte_size: byteSize,
      delivery_id: received.deliveryId,
      event_name: fields.eventName,
      action: fields.action,
      branch: fields.branch,
      sender: fields.sender,
      occurred_at: fields.occurredAt,
      verification_failure: received.verificationFailure ?? null,
      received_at: received.receivedAt,
    };
  });
  await sql.query(INSERT_MESSAGES, [JSON.stringify(rows, cleaned)], 'insert-webhook-messages');
  await sql.query(
    `INSERT INTO webhook_body (message_id, compressed, data, payload_keys)
     SELECT id, compressed, data, keys::bigint[]
     FROM unnest($1::uuid[], $2::boolean[], $3::bytea[], $4::text[])
       AS row (id, compressed, data, keys)`,
    [
      fresh.map(({ received }) => received.messageId),
      fresh.map(({ body }) => body.compressed),
      fresh.map(({ body }) => body.data),
      // Each as one text: a list of lists would have to be as wide everywhere.
      fresh.map(({ payloadKeys }) => `{${payloadKeys.join()}}`),
    ],
    'insert-webhook-bodies',
  );
  await fencePermissions(
    sql,
    fresh.flatMap(({ permissionEvents }) => permissionEvents),
  );
  const head = first + BigInt(fresh.length) - 1n;
  const bytes = fresh.reduce((sum, { byteSize }) => sum + byteSize, 0);
  await sql.query(
    `UPDATE feed SET last_position = $3, stored_bytes = stored_bytes + $4
     WHERE name = $1 AND key = $2`,
    [WEBHOOK_FEED, WEBHOOK_FEED_KEY, head.toString(), bytes],
  );
  return head;
}

/** Null where there is none, or nobody vouches for what it says. */
function sightingOf(
  { received, fields }: Prepared,
  sources: ReadonlySet<string>,
  gitHubOrigin: string,
): RepositorySighting | null {
  const { sourceId, provider, verification } = received;
  const { repository, occurredAt } = fields;
  if (repository === null || sourceId === null || !sources.has(sourceId)) return null;
  if (verification === 'UNVERIFIED') return null;
  const isGitHub = provider === 'GITHUB' && verification === 'VERIFIED';
  const isOnGitHub = isGitHub && repository.origin === gitHubOrigin;
  const receivedAt = new Date(received.receivedAt);
  return { sourceId, repository, isOnGitHub, occurredAt, receivedAt };
}

const INSERT_MESSAGES = `
  INSERT INTO webhook_message
    (id, position, source_id, repository_id, lane_id, lane_sequence, verification, path, method,
     headers, content_type, byte_size, delivery_id, event_name, action, branch, sender,
     occurred_at, verification_failure, received_at)
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS row
    (id uuid, position bigint, source_id uuid, repository_id uuid, lane_id uuid,
     lane_sequence bigint, verification verification_outcome, path text, method text, headers jsonb, content_type text,
     byte_size int, delivery_id text, event_name text, action text, branch text, sender text,
     occurred_at timestamptz, verification_failure text, received_at timestamptz)`;

async function withoutKnown(sql: Sql, batch: readonly Prepared[]): Promise<Prepared[]> {
  const byId = new Map(batch.map((prepared) => [prepared.received.messageId, prepared]));
  for (const id of await findKnown(sql, [...byId.keys()])) byId.delete(id);
  return [...byId.values()];
}

/** Which of these messages are stored, or were within the time for which redeliveries are known. */
async function findKnown(sql: Sql, ids: readonly string[]): Promise<Set<string>> {
  const known = await sql.query<{ id: string }>(
    `SELECT id FROM webhook_message WHERE id = ANY($1)
     UNION ALL SELECT id FROM webhook_pruned_message WHERE id = ANY($1)`,
    [ids],
    'find-known-webhooks',
  );
  return new Set(known.map(({ id }) => id));
}

/** A source may have been deleted since; its messages are kept without it. */
async function existingSources(sql: Sql, batch: readonly Prepared[]): Promise<Set<string>> {
  const ids = [...new Set(batch.flatMap(({ received }) => received.sourceId ?? []))];
  const rows = await sql.query<{ id: string }>(
    'SELECT id FROM webhook_source WHERE id = ANY($1) FOR KEY SHARE',
    [ids],
  );
  return new Set(rows.map(({ id }) => id));
}

/** What jsonb refuses in any text would keep the whole batch out. */
function cleaned(_key: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll('\u0000', '').toWellFormed() : value;
}
