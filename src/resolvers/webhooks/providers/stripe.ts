import { agreesWithHmac, isDigest } from '#lib/hmac.ts';
import { isTimestamp, judgeTimestamp } from './judge-timestamp.ts';
import { payloadAt, textAt } from './payload-at.ts';
import { NO_FIELDS, type ProviderAdapter } from './provider.ts';
import { timeOfIso, timeOfSeconds } from './provider-time.ts';
import { singleHeader } from './single-header.ts';

/**
 * `Stripe-Signature: t=…,v1=…[,v1=…]`: hex HMAC-SHA256 of the time, a dot and the untouched body, once
 * for each secret that counts at Stripe. The secret is the text that Stripe shows, `whsec_` included.
 */
export const stripe: ProviderAdapter = {
  mediaTypes: ['application/json'],

  verify(input) {
    const { value, failure } = singleHeader(input.rawHeaders, 'stripe-signature');
    if (failure !== null) return failure;
    const items = value.split(',');
    const [timestamp, ...otherTimestamps] = valuesOf(items, 't=');
    // v0 is Stripe's own, for its test mode, and unknown schemes are for versions to come.
    const digests = valuesOf(items, 'v1=').filter((text) => isDigest(text, 'sha256', 'hex'));
    const isMalformed =
      timestamp === undefined ||
      otherTimestamps.length > 0 ||
      !isTimestamp(timestamp) ||
      digests.length === 0;
    if (isMalformed) return 'SIGNATURE_MALFORMED';
    const agrees = agreesWithHmac({
      algorithm: 'sha256',
      encoding: 'hex',
      keys: input.secrets,
      parts: [timestamp, '.', input.body],
      digests,
    });
    return agrees ? judgeTimestamp(timestamp, input) : 'SIGNATURE_MISMATCH';
  },

  // A retry is signed afresh and has no header of its own: the event's id is all that it repeats.
  deliveryId: ({ payload }) => textAt(payload(), 'id'),

  readFields({ payload }) {
    const created = payloadAt(payload, 'created');
    return {
      ...NO_FIELDS,
      eventName: textAt(payload, 'type'),
      // Events of Stripe's API v2 tell it in ISO 8601.
      occurredAt: timeOfSeconds(created) ?? timeOfIso(created),
    };
  },

  generateSecret: null,
  findSecretFault: (secret) =>
    /^whsec_[\x21-\x7e]{1,1018}$/.test(secret)
      ? null
      : "Take the endpoint's signing secret from Stripe: it begins with whsec_",
};

function valuesOf(items: readonly string[], name: string): string[] {
  return items.filter((item) => item.startsWith(name)).map((item) => item.slice(name.length));
}
