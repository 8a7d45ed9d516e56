import { createHash } from 'node:crypto';
import { parse, stringify } from 'node:querystring';
import { decodeUtf8, FORM_MEDIA_TYPE, mediaTypeOf } from '#lib/body-text.ts';
import { agreesWithHmac, equalInConstantTime, isDigest } from '#lib/hmac.ts';
import { deliveryIdIn } from './delivery-id.ts';
import { NO_FIELDS, type ProviderAdapter, type VerificationInput } from './provider.ts';
import { singleHeader } from './single-header.ts';

// Far beyond what Twilio sends. A form is taken apart before anything vouches for it.
const FORM_BYTES_MAX = 1_048_576;
// Twilio sends some dozens. Reading many takes time that grows with their square.
const FORM_FIELDS_MAX = 1_000;

/**
 * `X-Twilio-Signature`: base64 HMAC-SHA1 of the URL that Twilio called, followed by a form's names and
 * values in order. It signs no other body: JSON counts by its SHA-256, which Twilio puts into the URL.
 * It tells no time either, so a delivery that somebody saw can be played again.
 */
export const twilio: ProviderAdapter = {
  mediaTypes: [FORM_MEDIA_TYPE, 'application/json'],

  verify(input) {
    const { value, failure } = singleHeader(input.rawHeaders, 'x-twilio-signature');
    if (failure !== null) return failure;
    if (!isDigest(value, 'sha1', 'base64')) return 'SIGNATURE_MALFORMED';
    const url = calledUrl(input);
    const isForm = mediaTypeOf(input.headers['content-type']) === FORM_MEDIA_TYPE;
    const parameters = isForm ? signedParameters(input.body) : '';
    // The media type is unsigned: whoever's URL was signed with the hash of a body is held to it.
    const needsBody = !isForm || hashIn(url) !== null;
    if (parameters === null || (needsBody && !namesBody(url, input.body))) {
      return 'SIGNATURE_MISMATCH';
    }
    // All of them, so that the time taken does not tell which one agreed.
    const agreeing = spellingsOf(url).filter((spelling) =>
      agreesWithHmac({
        algorithm: 'sha1',
        encoding: 'base64',
        keys: input.secrets,
        parts: [spelling, parameters],
        digests: [value],
      }),
    );
    return agreeing.length > 0 ? null : 'SIGNATURE_MISMATCH';
  },

  // Unsigned, as all of Twilio's headers: good enough to know a retry by.
  deliveryId: ({ headers }) => deliveryIdIn(headers, 'i-twilio-idempotency-token'),
  readFields: () => NO_FIELDS,
  // It runs what it is answered: this does nothing.
  acknowledgement: { contentType: 'text/xml; charset=utf-8', body: '<Response/>' },
  generateSecret: null,
};

/** What was configured at Twilio, with the query that came: Twilio adds to it. */
function calledUrl({ url, settings }: VerificationInput): string {
  if (settings.publicUrl === undefined) return url;
  const [address = ''] = settings.publicUrl.split('#', 1);
  const start = url.indexOf('?');
  if (start < 0) return address;
  return `${address.split('?', 1)[0]}${url.slice(start)}`;
}

/** Names and values without anything between, by name; a name's equal values count once. */
function signedParameters(body: Uint8Array): string | null {
  const text = body.byteLength > FORM_BYTES_MAX ? null : decodeUtf8(body);
  if (text === null || text.split('&', FORM_FIELDS_MAX + 1).length > FORM_FIELDS_MAX) return null;
  const valuesByName = new Map<string, Set<string>>();
  for (const [name, value] of new URLSearchParams(text)) {
    const values = valuesByName.get(name) ?? new Set();
    valuesByName.set(name, values.add(value));
  }
  return [...valuesByName.keys()]
    .toSorted()
    .flatMap((name) => [...(valuesByName.get(name) ?? [])].toSorted().map((value) => name + value))
    .join('');
}

function namesBody(url: string, body: Uint8Array): boolean {
  const named = hashIn(url);
  if (named === null) return false;
  return equalInConstantTime(named, createHash('sha256').update(body).digest('hex'));
}

function hashIn(url: string): string | null {
  return URL.canParse(url) ? new URL(url).searchParams.get('bodySHA256') : null;
}

/**
 * The URL as Twilio may have signed it: with and without its port, as it came and as it is normalised,
 * the query once more as escaped by Node. The same that Twilio's own library tries.
 */
function spellingsOf(url: string): readonly string[] {
  const ports = (text: string) => [withPort(text, false), withPort(text, true)];
  const normalised = URL.canParse(url) ? ports(new URL(url).href) : [];
  return [...new Set([...ports(url), ...normalised, ...normalised.map(escapeQuery)])];
}

const AUTHORITY = /^(https?):\/\/((?:[^/?#]*@)?)(\[[^\]/?#]*\]|[^:/?#]*)((?::[^/?#]*)?)/i;

function withPort(url: string, isWanted: boolean): string {
  return url.replace(AUTHORITY, (_, scheme: string, user: string, host: string, port: string) => {
    const known = port || (scheme.toLowerCase() === 'https' ? ':443' : ':80');
    return `${scheme}://${user}${host}${isWanted ? known : ''}`;
  });
}

function escapeQuery(url: string): string {
  const start = url.indexOf('?') + 1;
  if (start === 0 || start === url.length) return url;
  return url.slice(0, start) + stringify(parse(url.slice(start)));
}
