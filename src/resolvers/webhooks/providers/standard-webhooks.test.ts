import { generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  type GivenRequest,
  verificationInput,
} from '../../../../tests/support/verification-input.ts';
import { standardWebhooks } from './standard-webhooks.ts';

const NOW = new Date('2026-11-21T12:00:00Z');
const NOW_SECONDS = NOW.getTime() / 1_000;
const SECRET = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
const OTHER = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const ID = 'msg_27UH4WbU6Z5A5EzD8u03UvzRbpk';
const BODY = '{"type":"contact.created","timestamp":"2026-11-21T11:59:59.344522Z","data":{}}';

// The library knows no clock but the machine's.
beforeEach(() => {
  vi.useFakeTimers({ now: NOW, toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Change extends Partial<GivenRequest> {
  readonly id?: string;
  readonly timestamp?: number | string;
  readonly signature?: string;
  readonly family?: string;
}

const sign = (secret = SECRET, id = ID, at = NOW, body = BODY) =>
  new Webhook(secret).sign(id, at, body);

function verify(change: Change = {}) {
  const family = change.family ?? 'Webhook';
  return standardWebhooks.verify?.(
    verificationInput({
      headers: [
        [`${family}-Id`, change.id ?? ID],
        [`${family}-Timestamp`, String(change.timestamp ?? NOW_SECONDS)],
        [`${family}-Signature`, change.signature ?? sign()],
      ],
      body: BODY,
      secrets: [SECRET],
      now: NOW,
      ...change,
    }),
  );
}

test("the vector of the specification's libraries is taken, and refused when changed", () => {
  const vector: Change = {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestamp: 1614265330,
    signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    body: '{"test": 2432232314}',
    now: new Date(1614265330_000),
  };
  expect(verify(vector)).toBeNull();
  expect(verify({ ...vector, secrets: ['MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'] })).toBeNull();
  expect(verify({ ...vector, secrets: [SECRET, OTHER] })).toBeNull();
  expect(verify({ ...vector, secrets: [SECRET] })).toBe('SIGNATURE_MISMATCH');
  expect(verify({ ...vector, body: '{"test": 2432232315}' })).toBe('SIGNATURE_MISMATCH');
  expect(verify({ ...vector, id: 'msg_other' })).toBe('SIGNATURE_MISMATCH');
  expect(verify({ ...vector, timestamp: 1614265331 })).toBe('SIGNATURE_MISMATCH');
});

test('one good signature of several is enough, and unknown versions are passed over', () => {
  const bad = sign(OTHER);
  expect(verify({ signature: `${bad} v2,new v1a,odd ${sign()}` })).toBeNull();
  expect(verify({ signature: `${sign()} ${bad}` })).toBeNull();
  expect(verify({ signature: bad })).toBe('SIGNATURE_MISMATCH');
  expect(verify({ signature: sign().replace('v1', 'v2') })).toBe('SIGNATURE_MALFORMED');
});

test('a time out of tolerance is refused, and only when the signature is good', () => {
  for (const [age, verdict] of [
    [300, null],
    [301, 'TIMESTAMP_TOO_OLD'],
    [-300, null],
    [-301, 'TIMESTAMP_IN_FUTURE'],
  ] as const) {
    const timestamp = NOW_SECONDS - age;
    const signature = sign(SECRET, ID, new Date(timestamp * 1_000));
    expect(verify({ timestamp, signature })).toBe(verdict);
    expect(verify({ timestamp, signature, secrets: [OTHER] })).toBe('SIGNATURE_MISMATCH');
  }
});

test('headers that are missing, partial, doubled or spelled otherwise are refused by name', () => {
  const all: GivenRequest['headers'] = [
    ['webhook-id', ID],
    ['webhook-timestamp', String(NOW_SECONDS)],
    ['webhook-signature', sign()],
  ];
  expect(verify({ headers: all })).toBeNull();
  for (const left of all) {
    expect(verify({ headers: all.filter((each) => each !== left) })).toBe('SIGNATURE_MISSING');
    expect(verify({ headers: [...all, left] })).toBe('SIGNATURE_MALFORMED');
    expect(verify({ headers: all.map((each) => (each === left ? [each[0], ''] : each)) })).toBe(
      'SIGNATURE_MALFORMED',
    );
  }
  for (const signature of [
    'v1,',
    sign().replace('v1,', ''),
    `${sign()},x`,
    sign().slice(0, -1),
    sign().replace('v1,', 'v1='),
  ]) {
    expect(verify({ signature })).toBe('SIGNATURE_MALFORMED');
  }
  for (const timestamp of [`0${NOW_SECONDS}`, `${NOW_SECONDS}.0`, '-1', '1e9', 'x']) {
    expect(verify({ timestamp })).toBe('SIGNATURE_MALFORMED');
  }
});

test('an id with a dot, which would let the signed text be cut elsewhere, is refused', () => {
  const body = `${NOW_SECONDS}.{}`;
  const signature = sign(SECRET, 'msg_1', new Date(0), body);
  const elsewhere = { id: 'msg_1.0', timestamp: NOW_SECONDS, body: '{}', signature };
  expect(verify(elsewhere)).toBe('SIGNATURE_MALFORMED');
});

test("Svix's names of the headers count too, but no mixture of both", () => {
  expect(verify({ family: 'Svix' })).toBeNull();
  const headers: GivenRequest['headers'] = [
    ['svix-id', ID],
    ['svix-timestamp', String(NOW_SECONDS)],
    ['webhook-signature', sign()],
  ];
  expect(verify({ headers })).toBe('SIGNATURE_MISSING');
  const deliveryId = (given: Record<string, string>) =>
    standardWebhooks.deliveryId({
      headers: given,
      settings: {},
      payload: () => expect.unreachable(),
    });
  expect(deliveryId({ 'webhook-id': 'a', 'webhook-signature': 'x', 'svix-id': 'b' })).toBe('a');
  expect(deliveryId({ 'svix-id': 'b', 'svix-signature': 'x' })).toBe('b');
  // What was verified is what is kept: the id beside the signature that counted.
  const both = { 'svix-id': 'b', 'svix-signature': 'x', 'webhook-signature': 'y' };
  expect(deliveryId(both)).toBeNull();
});

test("for every request of its form, it agrees with the specification's own library", () => {
  let taken = 0;
  const secret = fc.constantFrom(SECRET, OTHER, OTHER.slice(6), 'YQ==');
  const text = fc.string({ unit: 'grapheme', maxLength: 6 });
  const items = fc.array(fc.oneof(secret, fc.constantFrom('v2,x', 'v1,', 'v1', '')), {
    maxLength: 3,
  });
  fc.assert(
    fc.property(
      secret,
      items,
      text,
      text,
      fc.integer({ min: -310, max: 310 }),
      (mine, signers, signed, sent, age) => {
        const timestamp = NOW_SECONDS - age;
        const body = age % 3 === 0 ? sent : signed;
        const signature = signers
          .map((each) =>
            /^v|^$/.test(each) ? each : sign(each, ID, new Date(timestamp * 1_000), signed),
          )
          .join(' ');
        let isTaken = true;
        try {
          const headers = {
            'webhook-id': ID,
            'webhook-timestamp': String(timestamp),
            'webhook-signature': signature,
          };
          new Webhook(mine).verify(body, headers, { jsonParse: false });
        } catch {
          isTaken = false;
        }
        expect(verify({ secrets: [mine], timestamp, signature, body }) === null).toBe(isTaken);
        taken += isTaken ? 1 : 0;
      },
    ),
    { numRuns: 500 },
  );
  expect(taken).toBeGreaterThan(50);
});

function newPair(): { readonly privateKey: KeyObject; readonly secret: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  return { privateKey, secret: `whpk_${Buffer.from(x, 'base64url').toString('base64')}` };
}

function sign25519(privateKey: KeyObject, body = BODY): string {
  const content = Buffer.from(`${ID}.${NOW_SECONDS}.${body}`);
  return `v1a,${signBytes(null, content, privateKey).toString('base64')}`;
}

test('a public key verifies v1a, beside secrets and other keys', () => {
  const pair = newPair();
  const other = newPair();
  const signature = sign25519(pair.privateKey);
  const secrets = [pair.secret];
  expect(verify({ signature, secrets })).toBeNull();
  expect(verify({ signature: `v1a,AAAA ${sign(OTHER)} ${signature}`, secrets })).toBeNull();
  expect(verify({ signature, secrets: [SECRET, other.secret, pair.secret] })).toBeNull();
  expect(verify({ signature: sign(), secrets: [pair.secret, SECRET] })).toBeNull();
  for (const refused of [
    { signature, secrets: [other.secret] },
    { signature, secrets: [SECRET] },
    { signature, secrets, body: `${BODY} ` },
    { signature, secrets, id: 'msg_other' },
    { signature, secrets, timestamp: NOW_SECONDS + 1 },
    { signature: signature.replace('v1a', 'v1'), secrets },
    { signature: sign25519(other.privateKey), secrets },
    // The key is public: it must never serve as a shared secret.
    { signature: sign(pair.secret.slice(5)), secrets },
  ]) {
    expect(verify(refused)).toMatch(/^SIGNATURE_(MISMATCH|MALFORMED)$/);
  }
});

test('so many v1a signatures that verifying them would take long are refused unread', () => {
  const pair = newPair();
  const good = sign25519(pair.privateKey);
  const bad = sign25519(newPair().privateKey);
  const verdict = (count: number) =>
    verify({ signature: [...Array(count).fill(bad), good].join(' '), secrets: [pair.secret] });
  expect(verdict(4)).toBeNull();
  expect(verdict(5)).toBe('SIGNATURE_MALFORMED');
});

test('a v1a signature that another implementation made is taken', () => {
  // Made by Python's cryptography with the last key pair of RFC 8032, 7.1.
  const secret = 'whpk_J4EX/BRMcjQPZ9DyMW6Dhs7/vyskKMnFH+98WX8dQm4=';
  const signature =
    'v1a,w+2lxyj1PsgvE3CFjnqag4WmDjZkmtFxwhlbqZfGKkSZeMhBkbPPfqa9chWfUmX9ANM3bMB4gW9arF0HEqy3CA==';
  expect(verify({ signature, secrets: [secret] })).toBeNull();
  expect(verify({ signature, secrets: [secret], id: 'msg_other' })).toBe('SIGNATURE_MISMATCH');
});

test('a malformed secret is refused by name when it is brought, and verifies nothing', () => {
  const fault = (secret: string) => standardWebhooks.findSecretFault?.(secret);
  const made = standardWebhooks.generateSecret?.() ?? '';
  expect(made).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  for (const good of [SECRET, SECRET.slice(6), newPair().secret, made]) {
    expect(fault(good)).toBeNull();
  }
  for (const bad of [
    '',
    'whsec_',
    'whsec_not base64',
    'whsec_YQ',
    'whpk_YQ==',
    `whsec_${'YWFh'.repeat(300)}`,
    `v1,${SECRET}`,
  ]) {
    expect(fault(bad)).toContain('base64');
    expect(verify({ secrets: [bad] })).toBe('SIGNATURE_MISMATCH');
  }
  expect(fault(`whsk_${'YWFh'.repeat(16)}`)).toContain('private key');
});

test('the body tells the event and its time', () => {
  const read = (payload: unknown) =>
    standardWebhooks.readFields({ header: () => null, payload, settings: {} });
  expect(read(JSON.parse(BODY))).toMatchObject({
    eventName: 'contact.created',
    occurredAt: new Date('2026-11-21T11:59:59.344Z'),
  });
  expect(read(['x'])).toMatchObject({ eventName: null, occurredAt: null });
  for (const timestamp of ['2026-11-21', '2026-11-21T11:59:59', 'x'.repeat(99), 5, null]) {
    expect(read({ timestamp }).occurredAt).toBeNull();
  }
});
