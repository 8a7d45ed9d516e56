import type { Services } from '#context.ts';
import type { VerificationOutcome } from '#generated/prisma/enums.ts';
import { mediaTypeOf, parsePayload } from '#lib/body-text.ts';
import {
  InvalidInputError,
  NotFoundError,
  PayloadTooLargeError,
  RateLimitedError,
  UnsupportedMediaTypeError,
} from '#lib/errors.ts';
import { derivedId, newId } from '#lib/ids.ts';
import { networkOf } from '#lib/network.ts';
import { redactHeaders } from '#lib/redact-headers.ts';
import { webhookReceived } from '#pubsub/topics/webhooks.ts';
import { takeDailyBytes } from '#redis/byte-quota.ts';
import type { GivenUnits, Quota } from '#redis/quota.ts';
import { claimBody } from './claimed-body.ts';
import type { IncomingWebhook } from './incoming-webhook.ts';
import type { ProviderAnswer, VerificationFailure } from './providers/provider.ts';
import type { SourceSettings } from './providers/settings.ts';
import { PROVIDERS } from './providers/table.ts';
import { tokenHeader } from './providers/token.ts';
import type { Source } from './source.ts';
import { findFailure, requireRoom, settingsOf } from './source-verification.ts';

export interface AcceptedWebhook {
  readonly id: string;
  readonly source: string;
  readonly verification: VerificationOutcome;
  /** What its sender is to hear. */
  readonly acknowledgement?: ProviderAnswer;
}

/** What the sender asked for is answered, and there is nothing to store. */
export interface AnsweredChallenge {
  readonly challenge: ProviderAnswer;
}

export type ReceivedWebhook = AcceptedWebhook | AnsweredChallenge;

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
): Promise<ReceivedWebhook> {
  let source: Source | null = null;
  try {
    source = app.webhookSources.find(segmentsOf(webhook.path));
    const received =
      source === null
        ? await storeUnknown(app, webhook)
        : await storeKnown(app, source, webhook, onCounted);
    count(app, source, 'challenge' in received ? 'challenge' : outcomeOfAccepted(received, source));
    app.metrics.webhookBodyBytes.observe(webhook.body.byteLength);
    return received;
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
): Promise<ReceivedWebhook> {
  const adapter = PROVIDERS[source.provider];
  const mediaType = mediaTypeOf(webhook.headers['content-type']);
  if (adapter.mediaTypes !== null && !adapter.mediaTypes.includes(mediaType ?? '')) {
    throw new UnsupportedMediaTypeError(`Send ${adapter.mediaTypes.join(' or ')}`);
  }
  requireRoom(source, webhook);
  const settings = settingsOf(source);
  const failure = findFailure(source, settings, webhook);
  const payload = lazily(() => parsePayload(webhook.headers['content-type'] ?? null, webhook.body));
  if (failure !== null) return storeUnverified(app, source, settings, webhook, failure);
  // Not before: forged webhooks would use up what the honest sender has.
  const limit = source.messagesPerMinute ?? app.config.webhooksPerMinute.source;
  await takeOne(app, 'webhook-source', source.id, limit, onCounted);
  const challenge = adapter.answerChallenge?.(payload) ?? null;
  if (challenge !== null) return { challenge };
  const verification = adapter.verify === null ? 'UNSIGNED' : 'VERIFIED';
  const deliveryId = usable(adapter.deliveryId({ headers: webhook.headers, settings, payload }));
  const id = idOf(source, verification, deliveryId);
  await publish(app, webhook, { id, source, settings, verification, deliveryId });
  const { acknowledgement } = adapter;
  return { id, source: source.path, verification, ...(acknowledgement && { acknowledgement }) };
}

/**
 * What a source in MONITOR takes although it is not believed: for operators to see why, within a daily
 * budget of bytes, so that neither the store nor the honest sender's minute is a stranger's to fill.
 */
async function storeUnverified(
  app: Services,
  source: Source,
  settings: SourceSettings,
  webhook: IncomingWebhook,
  verificationFailure: VerificationFailure,
): Promise<AcceptedWebhook> {
  await takeBudget(app, `unverified-webhooks:${source.id}`, webhook);
  // Nothing of the body is parsed for it: whoever sent this may send anything.
  const { headers } = webhook;
  const given = PROVIDERS[source.provider].deliveryId({
    headers,
    settings,
    payload: () => undefined,
  });
  const deliveryId = usable(given);
  const id = idOf(source, 'UNVERIFIED', deliveryId);
  const verification = 'UNVERIFIED';
  await publish(app, webhook, {
    id,
    source,
    settings,
    verification,
    verificationFailure,
    deliveryId,
  });
  return { id, source: source.path, verification };
}

/** An odd id is none: a genuine webhook must not be refused for it, since many senders do not try again. */
function usable(deliveryId: string | null): string | null {
  return deliveryId !== null && DELIVERY_ID.test(deliveryId) ? deliveryId : null;
}

/** The outcome is a part of it: a forged delivery id must not stand in the way of the real one. */
function idOf(source: Source, outcome: VerificationOutcome, deliveryId: string | null): string {
  return deliveryId === null ? newId() : derivedId('webhook', source.id, outcome, deliveryId);
}

function lazily<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
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

/** Nobody vouches for these: kept for operators to look at, within a daily budget of bytes. */
async function storeUnknown(app: Services, webhook: IncomingWebhook): Promise<AcceptedWebhook> {
  if (!app.config.storeUnknownWebhooks) throw new NotFoundError('No webhook source has this path');
  await takeBudget(app, 'unknown-webhooks', webhook);
  const id = newId();
  const verification = 'UNVERIFIED';
  await publish(app, webhook, { id, source: null, settings: {}, verification, deliveryId: null });
  return { id, source: 'unknown', verification };
}

/** WEBHOOK_UNKNOWN_BYTES_PER_DAY of what nobody vouches for: for unknown paths, and for each source in MONITOR. */
async function takeBudget(app: Services, name: string, webhook: IncomingWebhook): Promise<void> {
  const quota = await takeDailyBytes(app.redis, {
    name,
    bytes: keptBytes(webhook),
    limitBytes: app.config.unknownWebhookBytesPerDay,
    now: webhook.receivedAt,
  });
  if (quota.isWithin) return;
  throw new RateLimitedError(
    'The daily budget for webhooks that nobody vouches for is used up',
    quota.secondsLeft,
  );
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
    readonly settings: SourceSettings;
    readonly verification: VerificationOutcome;
    readonly verificationFailure?: VerificationFailure;
    readonly deliveryId: string | null;
  },
): Promise<void> {
  const { id, source, settings, verification, verificationFailure, deliveryId } = found;
  const { header, deliveryIdHeader, eventNameHeader } = settings;
  const proof = source?.provider === 'TOKEN' ? [tokenHeader(settings)] : [];
  const isSentPlain = source?.provider === 'TOKEN' || source?.provider === 'GITLAB';
  const sentPlain = isSentPlain ? source.secrets() : [];
  const payload = {
    messageId: id,
    sourceId: source?.id ?? null,
    provider: source?.provider ?? ('NONE' as const),
    settings: { header, deliveryIdHeader, eventNameHeader },
    verification,
    verificationFailure,
    path: webhook.path,
    method: webhook.method,
    headers: redactHeaders(webhook.rawHeaders, proof, sentPlain),
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

function outcomeOfAccepted({ verification }: AcceptedWebhook, source: Source | null): string {
  return source !== null && verification === 'UNVERIFIED' ? 'unverified' : 'accepted';
}

function outcomeOf(error: unknown, source: Source | null): string {
  if (error instanceof RateLimitedError) return source === null ? 'quota_refused' : 'rate_limited';
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  return OUTCOMES[String(code)] ?? 'failed';
}

function count(app: Services, source: Source | null, outcome: string): void {
  app.metrics.webhookRequests.inc({ provider: source?.provider ?? 'UNKNOWN', outcome });
}
