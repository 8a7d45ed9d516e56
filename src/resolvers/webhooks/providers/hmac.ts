import { generateSecret } from './generate-secret.ts';
import { namedDeliveryId, namedEvent } from './named-headers.ts';
import { NO_FIELDS, type ProviderAdapter } from './provider.ts';
import { verifySignedBody } from './signed-body.ts';

/**
 * For senders that are in no list: the HMAC of the untouched body in a header. Without settings it is
 * `X-Signature` with SHA-256 in hex and nothing before it.
 */
export const hmac: ProviderAdapter = {
  mediaTypes: null,

  verify: (input) =>
    verifySignedBody(input, {
      header: input.settings.header ?? 'x-signature',
      algorithm: input.settings.algorithm ?? 'sha256',
      encoding: input.settings.encoding ?? 'hex',
      prefix: input.settings.prefix ?? '',
    }),

  // Headers are unsigned, so what they name is a hint; nothing is known of the body's shape.
  deliveryId: ({ headers, settings }) => namedDeliveryId(headers, settings),
  readFields: ({ header, settings }) => ({ ...NO_FIELDS, eventName: namedEvent(header, settings) }),
  generateSecret,
};
