import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  type GivenRequest,
  verificationInput,
} from '../../../../tests/support/verification-input.ts';
import { hmac } from './hmac.ts';

const ALGORITHMS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
const ENCODINGS = ['hex', 'base64'] as const;
const BODY = '{"a":1}';

const verify = (
  header: string,
  value: string,
  settings: GivenRequest['settings'] = {},
  secrets: readonly string[] = ['secret'],
) =>
  hmac.verify?.(verificationInput({ headers: [[header, value]], body: BODY, secrets, settings }));

test('every algorithm, encoding, prefix and header that can be set is taken, and only that', () => {
  for (const algorithm of ALGORITHMS) {
    for (const encoding of ENCODINGS) {
      for (const prefix of ['', `${algorithm}=`]) {
        const settings = { header: 'x-acme-mark', algorithm, encoding, prefix };
        const value = prefix + createHmac(algorithm, 'secret').update(BODY).digest(encoding);
        expect(verify('X-Acme-Mark', value, settings)).toBeNull();
        expect(verify('X-Acme-Mark', value, settings, ['other', 'secret'])).toBeNull();
        expect(verify('X-Acme-Mark', value, settings, ['other'])).toBe('SIGNATURE_MISMATCH');
        expect(verify('X-Signature', value, settings)).toBe('SIGNATURE_MISSING');
        for (const other of ALGORITHMS.filter((name) => name !== algorithm)) {
          const changed = { ...settings, algorithm: other };
          expect(verify('X-Acme-Mark', value, changed)).toBe('SIGNATURE_MALFORMED');
        }
      }
    }
  }
});

test('without settings it is hex SHA-256 in X-Signature', () => {
  const value = createHmac('sha256', 'secret').update(BODY).digest('hex');
  expect(verify('X-Signature', value)).toBeNull();
  expect(verify('X-Signature', `sha256=${value}`)).toBe('SIGNATURE_MALFORMED');
  expect(verify('X-Signature', value, {}, [''])).toBe('SIGNATURE_MISMATCH');
});

test('the headers that name the delivery and the event are those that are set', () => {
  const settings = { deliveryIdHeader: 'x-id', eventNameHeader: 'x-event' };
  const payload = () => expect.unreachable();
  const headers = { 'x-id': 'one', 'x-event': 'made' };
  expect(hmac.deliveryId({ headers, settings, payload })).toBe('one');
  expect(hmac.deliveryId({ headers, settings: {}, payload })).toBeNull();
  for (const name of ['__proto__', 'constructor', 'x-other']) {
    const odd = { deliveryIdHeader: name, eventNameHeader: name };
    expect(hmac.deliveryId({ headers, settings: odd, payload })).toBeNull();
  }
  const credential = { authorization: 'Bearer secret' };
  const unsafe = { deliveryIdHeader: 'authorization' };
  expect(hmac.deliveryId({ headers: credential, settings: unsafe, payload })).toBeNull();
  const header = (name: string) => (name === 'x-event' ? 'made' : null);
  expect(hmac.readFields({ header, payload: {}, settings }).eventName).toBe('made');
  expect(hmac.readFields({ header, payload: {}, settings: {} }).eventName).toBeNull();
});
