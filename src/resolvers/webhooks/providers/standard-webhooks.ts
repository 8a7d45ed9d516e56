import { createPublicKey, type KeyObject, randomBytes, verify } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { agreesWithHmac, isDigest, isEncoded } from '#lib/hmac.ts';
import { deliveryIdIn } from './delivery-id.ts';
import { isTimestamp, judgeTimestamp } from './judge-timestamp.ts';
import { payloadAt, textAt } from './payload-at.ts';
import {
  NO_FIELDS,
  type ProviderAdapter,
  type VerificationFailure,
  type VerificationInput,
} from './provider.ts';
import { timeOfIso } from './provider-time.ts';
import { singleHeader } from './single-header.ts';

const SECRET_PREFIX = 'whsec_';
const PUBLIC_KEY_PREFIX = 'whpk_';
const PRIVATE_KEY_PREFIX = 'whsk_';
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
// Each of these goes over the whole body, for each key: nobody sends more while keys change.
const ED25519_MAX = 5;

/**
 * standardwebhooks.com: `webhook-id`, `webhook-timestamp` and, with spaces between, one or more
 * signatures of both and the untouched body: `v1,` HMAC-SHA256 or `v1a,` Ed25519. One good one is
 * enough; unknown versions are for times to come. Svix, where it comes from, says `svix-` for `webhook-`.
 */
export const standardWebhooks: ProviderAdapter = {
  mediaTypes: null,

  verify: verifyStandardWebhook,

  deliveryId: ({ headers }) => deliveryIdIn(headers, `${familyOf(headers)}-id`),

  readFields: ({ payload }) => ({
    ...NO_FIELDS,
    eventName: textAt(payload, 'type'),
    occurredAt: timeOfIso(payloadAt(payload, 'timestamp')),
  }),

  generateSecret: () => SECRET_PREFIX + randomBytes(32).toString('base64'),

  findSecretFault(secret) {
    if (secret.startsWith(PRIVATE_KEY_PREFIX)) {
      return "whsk_ is the sender's private key: give its public one, whpk_, and change the pair";
    }
    if (secret.length <= 1_024 && (keyOf(secret) ?? publicKeyOf(secret)) !== null) return null;
    return 'Give base64, with or without whsec_ before it, or whpk_ and the base64 of an Ed25519 public key';
  },
};

/** For senders, too, that sign so and are otherwise their own, such as GitLab. */
export function verifyStandardWebhook(input: VerificationInput): VerificationFailure | null {
  const family = familyOf(input.headers);
  const id = singleHeader(input.rawHeaders, `${family}-id`);
  if (id.failure !== null) return id.failure;
  const timestamp = singleHeader(input.rawHeaders, `${family}-timestamp`);
  if (timestamp.failure !== null) return timestamp.failure;
  const signatures = singleHeader(input.rawHeaders, `${family}-signature`);
  if (signatures.failure !== null) return signatures.failure;

  const given = signatures.value.split(' ');
  const digests = valuesOf(given, 'v1,').filter((text) => isDigest(text, 'sha256', 'base64'));
  const ed25519 = valuesOf(given, 'v1a,').filter((text) =>
    isEncoded(text, 'base64', SIGNATURE_BYTES),
  );
  // With a dot in the id, what was signed could be cut into id, time and body at another place.
  const isMalformed =
    id.value.includes('.') ||
    !isTimestamp(timestamp.value) ||
    digests.length + ed25519.length === 0 ||
    ed25519.length > ED25519_MAX;
  if (isMalformed) return 'SIGNATURE_MALFORMED';

  const parts = [`${id.value}.${timestamp.value}.`, input.body];
  const keys = input.secrets.map(keyOf).filter((key) => key !== null);
  const agrees = agreesWithHmac({
    algorithm: 'sha256',
    encoding: 'base64',
    keys,
    parts,
    digests,
  });
  const isSigned = agrees || agreesWithEd25519(input.secrets, parts, ed25519);
  return isSigned ? judgeTimestamp(timestamp.value, input) : 'SIGNATURE_MISMATCH';
}

/** All three headers are taken from one family, so that the id that is kept is the one that was signed. */
function familyOf(headers: IncomingHttpHeaders): string {
  const isSvix =
    headers['webhook-signature'] === undefined && headers['svix-signature'] !== undefined;
  return isSvix ? 'svix' : 'webhook';
}

function valuesOf(items: readonly string[], version: string): string[] {
  return items.filter((item) => item.startsWith(version)).map((item) => item.slice(version.length));
}

/** The bytes of a shared secret; null for any other text. */
function keyOf(secret: string): Buffer | null {
  const text = secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : secret;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length > 0 && bytes.toString('base64') === text ? bytes : null;
}

function publicKeyOf(secret: string): KeyObject | null {
  const text = secret.slice(PUBLIC_KEY_PREFIX.length);
  const isKey = secret.startsWith(PUBLIC_KEY_PREFIX) && isEncoded(text, 'base64', PUBLIC_KEY_BYTES);
  if (!isKey) return null;
  const x = Buffer.from(text, 'base64').toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}

function agreesWithEd25519(
  secrets: readonly string[],
  parts: readonly (string | Uint8Array)[],
  signatures: readonly string[],
): boolean {
  const keys = secrets.map(publicKeyOf).filter((key) => key !== null);
  if (keys.length === 0 || signatures.length === 0) return false;
  // One more copy of the body, and only for a sender with such a key.
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return keys.some((key) =>
    signatures.some((text) => verify(null, content, key, Buffer.from(text, 'base64'))),
  );
}
