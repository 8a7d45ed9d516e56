import { equalInConstantTime } from '#lib/hmac.ts';
import { generateSecret } from './generate-secret.ts';
import { namedDeliveryId, namedEvent } from './named-headers.ts';
import { NO_FIELDS, type ProviderAdapter } from './provider.ts';
import type { SourceSettings } from './settings.ts';
import { singleHeader } from './single-header.ts';

/**
 * For senders that sign nothing and send the secret itself along: in `X-Webhook-Token` without
 * settings. In `Authorization` it may stand after `Bearer`. It vouches for the sender, not the body.
 */
export const token: ProviderAdapter = {
  mediaTypes: null,

  verify({ rawHeaders, secrets, settings }) {
    const name = tokenHeader(settings);
    const { value, failure } = singleHeader(rawHeaders, name);
    if (failure !== null) return failure;
    const given = name === 'authorization' ? value.replace(/^Bearer +/i, '') : value;
    // Every secret is tried, so that the time taken does not tell which one agreed.
    const agreed = secrets.filter((secret) => {
      const isWhole = equalInConstantTime(value, secret);
      return equalInConstantTime(given, secret) || isWhole;
    });
    return agreed.some((secret) => secret !== '') ? null : 'SIGNATURE_MISMATCH';
  },

  // These are kept in clear, which the token never is.
  deliveryId: ({ headers, settings }) =>
    settings.deliveryIdHeader === tokenHeader(settings) ? null : namedDeliveryId(headers, settings),
  readFields: ({ header, settings }) => ({
    ...NO_FIELDS,
    eventName:
      settings.eventNameHeader === tokenHeader(settings) ? null : namedEvent(header, settings),
  }),

  generateSecret,
  findSecretFault: (secret) =>
    /^[\x21-\x7e]([\x20-\x7e]{0,1022}[\x21-\x7e])?$/.test(secret)
      ? null
      : 'A token that travels in a header is 1 to 1,024 visible ASCII characters',
};

/** In lower case. Ingress keeps its value out of what is stored. */
export function tokenHeader(settings: SourceSettings): string {
  return settings.header ?? 'x-webhook-token';
}
