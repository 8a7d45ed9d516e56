import fc from 'fast-check';
import Stripe from 'stripe';
import { expect, test } from 'vitest';
import {
  type GivenRequest,
  verificationInput,
} from '../../../../tests/support/verification-input.ts';
import { stripe } from './stripe.ts';

const NOW = new Date('2026-11-21T12:00:00Z');
const NOW_SECONDS = NOW.getTime() / 1_000;
const SECRET = 'whsec_test_secret';
const BODY = '{"id":"evt_1","object":"event","type":"invoice.paid","created":1795262400}';
const library = new Stripe('sk_test_1').webhooks;

function sign(change: { timestamp?: number; secret?: string; scheme?: string } = {}): string {
  const timestamp = change.timestamp ?? NOW_SECONDS;
  return library.generateTestHeaderString({
    timestamp,
    payload: BODY,
    secret: change.secret ?? SECRET,
    scheme: change.scheme ?? 'v1',
    signature: '',
    cryptoProvider: Stripe.createNodeCryptoProvider(),
  });
}

const verify = (header: string, change: Partial<GivenRequest> = {}) =>
  stripe.verify?.(
    verificationInput({
      headers: [['Stripe-Signature', header]],
      body: BODY,
      secrets: [SECRET],
      now: NOW,
      ...change,
    }),
  );

test("what Stripe's own library signs is taken", () => {
  expect(verify(sign())).toBeNull();
  // The vector of Stripe's documentation: the secret counts as it is written, prefix included.
  expect(verify(sign({ secret: 'test_secret' }))).toBe('SIGNATURE_MISMATCH');
});

test('any secret that counts is enough, and any v1 of several', () => {
  const other = sign({ secret: 'whsec_other' });
  expect(verify(other, { secrets: [SECRET, 'whsec_other'] })).toBeNull();
  expect(verify(`${other},${sign().replace(/^t=\d+,/, '')}`)).toBeNull();
  expect(verify(`${sign()},v2=new,v0=old,odd`)).toBeNull();
});

test('one changed byte of the body, another secret or a v0 is refused', () => {
  expect(verify(sign(), { body: BODY.replace('paid', 'void') })).toBe('SIGNATURE_MISMATCH');
  expect(verify(sign(), { secrets: ['whsec_other'] })).toBe('SIGNATURE_MISMATCH');
  expect(verify(sign(), { secrets: ['', 'whsec_other'] })).toBe('SIGNATURE_MISMATCH');
  expect(verify(sign({ scheme: 'v0' }))).toBe('SIGNATURE_MALFORMED');
});

test('a time out of tolerance is refused, and only when the signature is good', () => {
  for (const [age, verdict] of [
    [300, null],
    [301, 'TIMESTAMP_TOO_OLD'],
    [-300, null],
    [-301, 'TIMESTAMP_IN_FUTURE'],
  ] as const) {
    const header = sign({ timestamp: NOW_SECONDS - age });
    expect(verify(header)).toBe(verdict);
    expect(verify(header, { secrets: ['whsec_other'] })).toBe('SIGNATURE_MISMATCH');
  }
  expect(verify(sign({ timestamp: NOW_SECONDS - 301 }), { toleranceSeconds: 301 })).toBeNull();
});

test('a header that is missing, partial, doubled or spelled otherwise is refused by name', () => {
  const header = sign();
  expect(verify('', { headers: [] })).toBe('SIGNATURE_MISSING');
  expect(verify('', { headers: [['X-Stripe-Signature', header]] })).toBe('SIGNATURE_MISSING');
  const twice: GivenRequest['headers'] = [
    ['Stripe-Signature', header],
    ['stripe-signature', header],
  ];
  expect(verify('', { headers: twice })).toBe('SIGNATURE_MALFORMED');
  const [time = '', digest = ''] = header.split(',');
  for (const malformed of [
    '',
    time,
    digest,
    `${time},${time},${digest}`,
    `${time},${digest.slice(0, -1)}`,
    `${time},${digest}=x`,
    `${time},${digest.toUpperCase()}`,
    `${time}x,${digest}`,
    `${time.replace('t=', 't=0')},${digest}`,
    `${time.replace('t=', 't=+')},${digest}`,
    `${time};${digest}`,
    header.replace(',', ', '),
  ]) {
    expect(verify(malformed)).toBe('SIGNATURE_MALFORMED');
  }
});

test("for every header that Stripe may send, it agrees with Stripe's own library", () => {
  const secret = fc.constantFrom('whsec_a', 'whsec_b', 'whsec_c');
  const item = fc.oneof(
    fc.record({ scheme: fc.constantFrom('v1', 'v1', 'v0', 'v2'), secret }),
    fc.constantFrom('v1=00', 'odd', '', 'v0=', 'v0=1'),
  );
  let taken = 0;
  fc.assert(
    fc.property(
      secret,
      fc.array(item, { maxLength: 4 }),
      fc.integer({ min: -10, max: 310 }),
      fc.boolean(),
      (mine, items, age, isTampered) => {
        const timestamp = NOW_SECONDS - age;
        const signed = items.map((each) =>
          typeof each === 'string' ? each : sign({ timestamp, ...each }).split(',')[1],
        );
        const header = [`t=${timestamp}`, ...signed].join(',');
        const body = isTampered ? `${BODY} ` : BODY;
        const isTaken = isAccepted(() =>
          library.constructEvent(body, header, mine, 300, undefined, NOW.getTime()),
        );
        expect(verify(header, { body, secrets: [mine] }) === null).toBe(isTaken);
        taken += isTaken ? 1 : 0;
      },
    ),
    { numRuns: 500 },
  );
  expect(taken).toBeGreaterThan(20);
});

function isAccepted(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}

test('a retry is known by the id of the event, and the event tells its name and time', () => {
  const deliveryId = (payload: unknown) =>
    stripe.deliveryId({ headers: {}, settings: {}, payload: () => payload });
  const read = (payload: unknown) =>
    stripe.readFields({ header: () => null, payload, settings: {} });
  expect(deliveryId(JSON.parse(BODY))).toBe('evt_1');
  expect(deliveryId(undefined)).toBeNull();
  expect(deliveryId({ id: 5 })).toBeNull();
  expect(read(JSON.parse(BODY))).toMatchObject({
    eventName: 'invoice.paid',
    occurredAt: new Date('2026-11-21T12:00:00Z'),
  });
  expect(read({ created: '2026-11-21T08:00:00.000Z' }).occurredAt).toEqual(
    new Date('2026-11-21T08:00:00Z'),
  );
  for (const created of ['yesterday', '2026', -1, 1e300, Number.NaN, null, {}, []]) {
    expect(read({ created }).occurredAt).toBeNull();
  }
});

test('an API key in place of a signing secret is refused by name', () => {
  expect(stripe.findSecretFault?.(SECRET)).toBeNull();
  for (const secret of ['sk_test_1', 'whsec_', ` ${SECRET}`, `whsec_${'a'.repeat(1_019)}`]) {
    expect(stripe.findSecretFault?.(secret)).toContain('whsec_');
  }
});
