import { createHash } from 'node:crypto';
import fc from 'fast-check';
import twilioLibrary from 'twilio';
import { getExpectedTwilioSignature } from 'twilio/lib/webhooks/webhooks.js';
import { expect, test } from 'vitest';
import {
  type GivenRequest,
  verificationInput,
} from '../../../../tests/support/verification-input.ts';
import { twilio } from './twilio.ts';

const FORM = ['Content-Type', 'application/x-www-form-urlencoded; charset=utf-8'] as const;
const JSON_TYPE = ['Content-Type', 'application/json'] as const;
const TOKEN = '12345';

type Parameters = Record<string, string | string[]>;

const verify = (signature: string, change: Partial<GivenRequest>) =>
  twilio.verify?.(
    verificationInput({
      headers: [['X-Twilio-Signature', signature], FORM],
      secrets: [TOKEN],
      ...change,
    }),
  );

// From Twilio's documentation.
const URL_SIGNED = 'https://mycompany.com/myapp.php?foo=1&bar=2';
const SIGNATURE = 'RSOYDt4T1cUTdK1PDd93/VVr8B8=';
const BODY = new URLSearchParams({
  To: '+18005551212',
  From: '+14158675309',
  CallSid: 'CA1234567890ABCDE',
  Caller: '+14158675309',
  Digits: '1234',
}).toString();
const given = { url: URL_SIGNED, body: BODY };

test("the request of Twilio's documentation is taken, and refused when changed", () => {
  expect(verify(SIGNATURE, given)).toBeNull();
  expect(verify(SIGNATURE, { ...given, secrets: ['other', TOKEN] })).toBeNull();
  expect(verify(SIGNATURE, { ...given, secrets: ['other'] })).toBe('SIGNATURE_MISMATCH');
  expect(verify(SIGNATURE, { ...given, body: `${BODY}&x=1` })).toBe('SIGNATURE_MISMATCH');
  expect(verify(SIGNATURE, { ...given, url: `${URL_SIGNED}3` })).toBe('SIGNATURE_MISMATCH');
  expect(verify(SIGNATURE, { ...given, body: Buffer.from([0xff]) })).toBe('SIGNATURE_MISMATCH');
});

test('a header that is missing, doubled or spelled otherwise is refused by name', () => {
  expect(verify('', { ...given, headers: [FORM] })).toBe('SIGNATURE_MISSING');
  const mark = ['X-Twilio-Signature', SIGNATURE] as const;
  expect(verify('', { ...given, headers: [FORM, mark, mark] })).toBe('SIGNATURE_MALFORMED');
  for (const malformed of ['', SIGNATURE.slice(0, -1), ` ${SIGNATURE}`, SIGNATURE.slice(4), 'é']) {
    expect(verify(malformed, given)).toBe('SIGNATURE_MALFORMED');
  }
});

test('behind a proxy the URL that is configured at Twilio counts, with the query that came', () => {
  const settings = { publicUrl: 'https://mycompany.com/myapp.php' };
  const url = 'http://10.0.0.7:3000/webhook/twilio?foo=1&bar=2';
  expect(verify(SIGNATURE, { ...given, url })).toBe('SIGNATURE_MISMATCH');
  expect(verify(SIGNATURE, { ...given, url, settings })).toBeNull();
  const configured = { publicUrl: `${URL_SIGNED}#rc=2` };
  expect(verify(SIGNATURE, { ...given, url, settings: configured })).toBeNull();
  const bare = 'http://10.0.0.7:3000/webhook/twilio';
  expect(verify(SIGNATURE, { ...given, url: bare, settings: configured })).toBeNull();
});

test('JSON counts only when the signed URL names its hash', () => {
  const body = '{"data":1}';
  const url = `https://example.com/twilio?bodySHA256=${createHash('sha256').update(body).digest('hex')}`;
  const headers = (signed: string): GivenRequest['headers'] => [
    ['X-Twilio-Signature', getExpectedTwilioSignature(TOKEN, signed, {})],
    JSON_TYPE,
  ];
  expect(verify('', { url, body, headers: headers(url) })).toBeNull();
  expect(verify('', { url, body: '{"data":2}', headers: headers(url) })).toBe('SIGNATURE_MISMATCH');
  // A URL whose signature somebody saw vouches for no body.
  const bare = 'https://example.com/twilio';
  expect(verify('', { url: bare, body, headers: headers(bare) })).toBe('SIGNATURE_MISMATCH');
  const none = [['X-Twilio-Signature', getExpectedTwilioSignature(TOKEN, bare, {})]] as const;
  expect(verify('', { url: bare, body, headers: none })).toBe('SIGNATURE_MISMATCH');
});

const parameters: fc.Arbitrary<(readonly [string, string])[]> = fc.array(
  fc.tuple(fc.constantFrom('a', 'B', 'b', 'é', '', '__proto__'), fc.string({ maxLength: 3 })),
  { maxLength: 5 },
);
const url = fc
  .tuple(
    fc.constantFrom('https', 'http', 'HTTPS'),
    fc.constantFrom('example.com', 'Example.com', '[::1]', '10.0.0.1'),
    fc.constantFrom('', ':443', ':80', ':8443'),
    fc.constantFrom('', '/', '/a b', "/it's", '/é/%2f', '/a//b'),
    fc.constantFrom('', '?', '?a=b', "?q='x'&q=1&r", '?é=%20+'),
  )
  .map(([scheme, host, port, path, query]) => `${scheme}://${host}${port}${path}${query}`);

/** As a web framework hands a form on to Twilio's library: values of one name in a list. */
function parametersOf(pairs: readonly (readonly [string, string])[]): Parameters {
  const read = Object.create(null) as Parameters;
  for (const [name, value] of pairs) {
    const before = read[name];
    if (before === undefined) read[name] = value;
    else read[name] = [...(Array.isArray(before) ? before : [before]), value];
  }
  return read;
}

test("for every form, it agrees with Twilio's own library", () => {
  let taken = 0;
  fc.assert(
    fc.property(url, url, parameters, parameters, fc.nat(3), (called, other, pairs, more, how) => {
      const normalised = new URL(called).href;
      const signedUrl =
        [called, normalised, called.replace(/:\d+(?=\/|\?|$)/, ''), other][how] ?? '';
      const signed = parametersOf(pairs);
      const sentPairs = how === 1 && more.length > 2 ? more : pairs;
      const signature = getExpectedTwilioSignature(TOKEN, signedUrl, signed);
      const body = new URLSearchParams(sentPairs.map(([...pair]) => pair)).toString();
      const isTaken = twilioLibrary.validateRequest(
        TOKEN,
        signature,
        called,
        parametersOf(sentPairs),
      );
      expect(verify(signature, { url: called, body }) === null).toBe(isTaken);
      taken += isTaken ? 1 : 0;
    }),
    { numRuns: 1_000 },
  );
  expect(taken).toBeGreaterThan(200);
});

test("for every JSON body, it agrees with Twilio's own library", () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 4 });
  let taken = 0;
  fc.assert(
    fc.property(url, text, text, fc.nat(4), (address, hashed, sent, how) => {
      const hash = createHash('sha256').update(hashed).digest('hex');
      const called = `${address}${address.includes('?') ? '&' : '?'}bodySHA256=${hash}`;
      const signedUrl = how === 0 ? address : called;
      const signature = getExpectedTwilioSignature(TOKEN, signedUrl, {});
      const body = how === 1 ? sent : hashed;
      const isTaken = twilioLibrary.validateRequestWithBody(TOKEN, signature, called, body);
      const headers = [['X-Twilio-Signature', signature], JSON_TYPE] as const;
      expect(verify('', { url: called, body, headers }) === null).toBe(isTaken);
      taken += isTaken ? 1 : 0;
    }),
    { numRuns: 500 },
  );
  expect(taken).toBeGreaterThan(100);
});

test('a URL that is none is no reason to fail', () => {
  for (const odd of ['', 'https://', 'https://[', '//x', 'https://a b/?bodySHA256=x']) {
    for (const type of [FORM, JSON_TYPE]) {
      const headers = [['X-Twilio-Signature', SIGNATURE], type] as const;
      expect(verify('', { url: odd, body: BODY, headers })).toBe('SIGNATURE_MISMATCH');
    }
  }
});

test('a form that is larger than Twilio sends is refused before it is taken apart', () => {
  const body = `a=${'b'.repeat(1_048_576)}`;
  const signature = getExpectedTwilioSignature(TOKEN, URL_SIGNED, { a: body.slice(2) });
  expect(verify(signature, { url: URL_SIGNED, body })).toBe('SIGNATURE_MISMATCH');
});

test('a retry is known by its idempotency token', () => {
  const headers = { 'i-twilio-idempotency-token': '0b8f7a52-94f5-4c4e-8a55-111111111111' };
  const payload = () => expect.unreachable();
  expect(twilio.deliveryId({ headers, settings: {}, payload })).toBe(
    '0b8f7a52-94f5-4c4e-8a55-111111111111',
  );
  expect(twilio.deliveryId({ headers: {}, settings: {}, payload })).toBeNull();
});

test('a URL that was signed with the hash of a body holds for that body only, whatever it is called', () => {
  const url = `${URL_SIGNED.split('?', 1)[0]}?bodySHA256=${'ab'.repeat(32)}`;
  const signature = getExpectedTwilioSignature(TOKEN, url, {});
  expect(verify(signature, { url, body: '&&&&' })).toBe('SIGNATURE_MISMATCH');
});
