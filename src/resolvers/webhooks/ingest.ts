import type { IncomingHttpHeaders } from 'node:http';
import type { Services } from '#context.ts';
import type { VerificationOutcome } from '#generated/prisma/enums.ts';
import { mediaTypeOf } from '#lib/body-text.ts';
import {
  InvalidInputError,
  NotFoundError,
  PayloadTooLargeError,
  RateLimitedError,
  UnauthenticatedError,
  UnavailableError,
  UnsupportedMediaTypeError,
} from '#lib/errors.ts';
import { derivedId, newId } from '#lib/ids.ts';
import { networkOf } from '#lib/network.ts';
import { redactHeaders } from '#lib/redact-headers.ts';
import { webhookReceived } from '#pubsub/topics/webhooks.ts';
import { takeDailyBytes } from '#redis/byte-quota.ts';
import type { GivenUnits, Quota } from '#redis/quota.ts';
import { claimBody } from './claimed-body.ts';
import { PROVIDERS } from './providers/table.ts';
import type { Source } from './source.ts';

export interface IncomingWebhook {
  readonly method: string;
  /** As it came, with percent-encoding and without the query, which may carry secrets. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Uint8Array;
  readonly receivedAt: Date;
}

export interface AcceptedWebhook {
  readonly id: string;
  readonly source: string;
}

/** Hears how each limit stands that a webhook was counted against, whatever becomes of it then. */
export type OnCounted = (name: string, quota: Quota, given: GivenUnits) => void;

const PATH_LENGTH_MAX = 1_024;
// What a message costs beside its bytes: rows, indexes, the entry on the bus. Without it a flood of
// empty bodies would cost nothing.
const MESSAGE_OVERHEAD_BYTES = 1_024;
const LIMIT_WINDOW_SECONDS = 60;
const DELIVERY_ID = /^[\x21-\x7e]{1,200}$/;

/**
 * Counts a webhook against the limit of the network that it comes from, before anything of it is
 * looked at. Throws `RateLimitedError`.
 */
export async function admitWebhook(
  app: Services,
  ipAddress: string,
  onCounted: OnCounted,
): Promise<void> {
  const { network } = app.config.webhooksPerMinute;
  try {
    await takeOne(app, 'webhook-network', networkOf(ipAddress), network, onCounted);
  } catch (error) {
    count(app, null, 'rate_limited');
    throw error;
  }
}

/**
 * Takes a webhook in: resolves only when the bus holds it, so that a 2xx is never for what could be
 * lost. The same delivery again answers with the same id and is stored once.
 */
export async function receiveWebhook(
  app: Services,
  webhook: IncomingWebhook,
  onCounted: OnCounted,
): Promise<AcceptedWebhook> {
  let source: Source | null = null;
  try {
    source = app.webhookSources.find(segmentsOf(webhook.path));
    const accepted =
      source === null
        ? await storeUnknown(app, webhook)
        : await storeKnown(app, source, webhook, onCounted);
    count(app, source, 'accepted');
    app.metrics.webhookBodyBytes.observe(webhook.body.byteLength);
    return accepted;
  } catch (error) {
    count(app, source, outcomeOf(error, source));
    throw error;
  }
}

async function storeKnown(
  app: Services,
  source: Source,
  webhook: IncomingWebhook,
  onCounted: OnCounted,
): Promise<AcceptedWebhook> {
  const adapter = PROVIDERS[source.provider];
  const mediaType = mediaTypeOf(webhook.headers['content-type']);
  if (adapter.mediaTypes !== null && !adapter.mediaTypes.includes(mediaType ?? '')) {
    throw new UnsupportedMediaTypeError(`Send ${adapter.mediaTypes.join(' or ')}`);
  }
  const verification = verify(source, webhook);
  // Not before: forged webhooks would use up what the honest sender has.
  await takeOne(app, 'webhook-source', source.id, app.config.webhooksPerMinute.source, onCounted);
  const deliveryId = deliveryIdOf(adapter.deliveryIdHeader, webhook.headers);
  const id =
    deliveryId === null ? newId() : derivedId('webhook', source.id, verification, deliveryId);
  await publish(app, webhook, { id, source, verification, deliveryId });
  return { id, source: source.path };
}

async function takeOne(
  app: Services,
  name: string,
  key: string,
  limit: number,
  onCounted: OnCounted,
): Promise<void> {
  if (limit === 0) return;
  const quota = { limit, windowSeconds: LIMIT_WINDOW_SECONDS };
  const [given] = await app.quotas.take([{ name, key, quota, units: 1, isDivisible: false }]);
  if (given === undefined) return;
  onCounted(name, quota, given);
  if (given.given > 0) return;
  app.metrics.rateLimited.inc({ limit: name });
  const seconds = given.retryAfterSeconds;
  throw new RateLimitedError(`Too many webhooks: try again in ${seconds} s`, seconds);
}

function verify(source: Source, { headers, body }: IncomingWebhook): VerificationOutcome {
  const adapter = PROVIDERS[source.provider];
  if (adapter.verify === null) return 'UNSIGNED';
  if (source.secret === null)
    throw new UnavailableError('This source has no secret to verify with');
  if (adapter.verify({ headers, body, secret: source.secret })) return 'VERIFIED';
  throw new UnauthenticatedError('The signature is missing or does not match the body');
}

function deliveryIdOf(name: string | null, headers: IncomingHttpHeaders): string | null {
  const value = name === null ? undefined : headers[name];
  if (value === undefined) return null;
  if (typeof value === 'string' && DELIVERY_ID.test(value)) return value;
  throw new InvalidInputError('A delivery id is 1 to 200 visible ASCII characters', name);
}

/** Nobody vouches for these: kept for operators to look at, within a daily budget of bytes. */
async function storeUnknown(app: Services, webhook: IncomingWebhook): Promise<AcceptedWebhook> {
  if (!app.config.storeUnknownWebhooks) throw new NotFoundError('No webhook source has this path');
  const quota = await takeDailyBytes(app.redis, {
    name: 'unknown-webhooks',
    bytes: keptBytes(webhook),
    limitBytes: app.config.unknownWebhookBytesPerDay,
    now: webhook.receivedAt,
  });
  if (!quota.isWithin) {
    throw new RateLimitedError(
      'The daily budget for unknown webhooks is used up',
      quota.secondsLeft,
    );
  }
  const id = newId();
  await publish(app, webhook, { id, source: null, verification: 'UNVERIFIED', deliveryId: null });
  return { id, source: 'unknown' };
}

function keptBytes({ path, rawHeaders, body }: IncomingWebhook): number {
  const headerCharacters = rawHeaders.reduce((sum, text) => sum + text.length, 0);
  return MESSAGE_OVERHEAD_BYTES + path.length + headerCharacters + body.byteLength;
}

async function publish(
  app: Services,
  webhook: IncomingWebhook,
  found: {
    readonly id: string;
    readonly source: Source | null;
    readonly verification: VerificationOutcome;
    readonly deliveryId: string | null;
  },
): Promise<void> {
  const { id, source, verification, deliveryId } = found;
  const payload = {
    messageId: id,
    sourceId: source?.id ?? null,
    provider: source?.provider ?? ('NONE' as const),
    verification,
    path: webhook.path,
    method: webhook.method,
    headers: redactHeaders(webhook.rawHeaders),
    contentType: webhook.headers['content-type'] ?? null,
    deliveryId,
    receivedAt: webhook.receivedAt.toISOString(),
  };
  const key = source?.path ?? '';
  try {
    await app.bus.publish(webhookReceived, key, payload, { id, attachment: webhook.body });
  } catch (error) {
    if (!(error instanceof PayloadTooLargeError)) throw error;
    // Within what ingress takes and above what the bus takes: the entry only says where the body is.
    await claimBody(app, id, webhook.body);
    await app.bus.publish(webhookReceived, key, { ...payload, bodyIn: 'database' }, { id });
  }
}

function segmentsOf(path: string): string[] {
  if (path.length > PATH_LENGTH_MAX) {
    throw new InvalidInputError(`A path has at most ${PATH_LENGTH_MAX} characters`, 'path');
  }
  try {
    const [, ...segments] = path.split('/').filter(Boolean).map(decodeURIComponent);
    return segments;
  } catch (cause) {
    throw new InvalidInputError('The path is not percent-encoded UTF-8', 'path', { cause });
  }
}

const OUTCOMES: Readonly<Record<string, string>> = {
  INVALID_INPUT: 'malformed',
  UNAUTHENTICATED: 'signature_refused',
  NOT_FOUND: 'unknown_path',
  PAYLOAD_TOO_LARGE: 'too_large',
  UNSUPPORTED_MEDIA_TYPE: 'media_type_refused',
};

function outcomeOf(error: unknown, source: Source | null): string {
  if (error instanceof RateLimitedError) return source === null ? 'quota_refused' : 'rate_limited';
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  return OUTCOMES[String(code)] ?? 'failed';
}

function count(app: Services, source: Source | null, outcome: string): void {
  app.metrics.webhookRequests.inc({ provider: source?.provider ?? 'UNKNOWN', outcome });
}
