import { FORM_MEDIA_TYPE } from '#lib/body-text.ts';
import { agreesWithHmac, isDigest } from '#lib/hmac.ts';
import { isTimestamp, judgeTimestamp } from './judge-timestamp.ts';
import { payloadAt, textAt } from './payload-at.ts';
import { NO_FIELDS, type ProviderAdapter } from './provider.ts';
import { timeOfSeconds } from './provider-time.ts';
import { singleHeader } from './single-header.ts';

const VERSION = 'v0';
const CHALLENGE = /^[\x21-\x7e]{1,500}$/;

/**
 * `X-Slack-Signature: v0=…`: hex HMAC-SHA256 of version, `X-Slack-Request-Timestamp` and untouched
 * body, with colons between. Events come as JSON, interactions as a form's `payload`, slash commands
 * as a form without one.
 */
export const slack: ProviderAdapter = {
  mediaTypes: ['application/json', FORM_MEDIA_TYPE],

  verify(input) {
    const signature = singleHeader(input.rawHeaders, 'x-slack-signature');
    if (signature.failure !== null) return signature.failure;
    const timestamp = singleHeader(input.rawHeaders, 'x-slack-request-timestamp');
    if (timestamp.failure !== null) return timestamp.failure;
    const digest = signature.value.slice(VERSION.length + 1);
    const isMalformed =
      !signature.value.startsWith(`${VERSION}=`) ||
      !isDigest(digest, 'sha256', 'hex') ||
      !isTimestamp(timestamp.value);
    if (isMalformed) return 'SIGNATURE_MALFORMED';
    const agrees = agreesWithHmac({
      algorithm: 'sha256',
      encoding: 'hex',
      keys: input.secrets,
      parts: [`${VERSION}:${timestamp.value}:`, input.body],
      digests: [digest],
    });
    return agrees ? judgeTimestamp(timestamp.value, input) : 'SIGNATURE_MISMATCH';
  },

  // Slack shows people what a command or an interaction is answered.
  acknowledgement: { contentType: 'text/plain; charset=utf-8', body: '' },

  // Retries are numbered in a header and repeat the event's id. Interactions and commands are never retried.
  deliveryId: ({ payload }) => textAt(payload(), 'event_id'),

  readFields({ payload }) {
    const isEvent = payloadAt(payload, 'type') === 'event_callback';
    return {
      ...NO_FIELDS,
      eventName: isEvent ? textAt(payload, 'event', 'type') : textAt(payload, 'type'),
      action: textAt(payload, 'event', 'subtype'),
      sender: textAt(payload, 'event', 'user') ?? textAt(payload, 'user', 'id'),
      occurredAt: timeOfSeconds(payloadAt(payload, 'event_time')),
    };
  },

  // Slack asks once, when the URL is entered, whether we are who holds the secret.
  answerChallenge(payload) {
    const body = payload();
    const challenge = payloadAt(body, 'challenge');
    const isAsked = payloadAt(body, 'type') === 'url_verification';
    if (!isAsked || typeof challenge !== 'string' || !CHALLENGE.test(challenge)) return null;
    return { contentType: 'text/plain; charset=utf-8', body: challenge };
  },

  generateSecret: null,
};
