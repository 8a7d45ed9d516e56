import { expect, test } from 'vitest';
import {
  type GivenRequest,
  verificationInput,
} from '../../../../tests/support/verification-input.ts';
import { none } from './none.ts';
import { token } from './token.ts';

const verify = (headers: GivenRequest['headers'], change: Partial<GivenRequest> = {}) =>
  token.verify?.(verificationInput({ headers, secrets: ['t0ken'], ...change }));

test('whoever sends a token that counts is taken, and nobody else', () => {
  expect(verify([['X-Webhook-Token', 't0ken']])).toBeNull();
  expect(verify([['X-Webhook-Token', 't0ken']], { secrets: ['other', 't0ken'] })).toBeNull();
  for (const wrong of ['t0ke', 't0kenn', 'T0KEN', ' t0ken', 'Bearer t0ken']) {
    expect(verify([['X-Webhook-Token', wrong]])).toBe('SIGNATURE_MISMATCH');
  }
  expect(verify([])).toBe('SIGNATURE_MISSING');
  expect(verify([['X-Webhook-Token', '']])).toBe('SIGNATURE_MALFORMED');
  expect(verify([['X-Webhook-Token', '']], { secrets: [''] })).toBe('SIGNATURE_MALFORMED');
  const twice: GivenRequest['headers'] = [
    ['X-Webhook-Token', 't0ken'],
    ['X-Webhook-Token', 't0ken'],
  ];
  expect(verify(twice)).toBe('SIGNATURE_MALFORMED');
});

test('another header can be set, and in Authorization the token may stand after Bearer', () => {
  const custom = { settings: { header: 'x-acme-token' } };
  expect(verify([['X-Acme-Token', 't0ken']], custom)).toBeNull();
  expect(verify([['X-Webhook-Token', 't0ken']], custom)).toBe('SIGNATURE_MISSING');
  const settings = { header: 'authorization' };
  for (const value of ['Bearer t0ken', 'bearer t0ken', 't0ken']) {
    expect(verify([['Authorization', value]], { settings })).toBeNull();
  }
  for (const value of ['Basic t0ken', 'Bearer', 'Bearer Bearer t0ken']) {
    expect(verify([['Authorization', value]], { settings })).toBe('SIGNATURE_MISMATCH');
  }
  const basic = { settings, secrets: ['Basic dXNlcjpwYXNz'] };
  expect(verify([['Authorization', 'Basic dXNlcjpwYXNz']], basic)).toBeNull();
});

test('the token is never what is kept in clear', () => {
  const settings = {
    header: 'x-acme-token',
    deliveryIdHeader: 'x-acme-token',
    eventNameHeader: 'x-acme-token',
  };
  const headers = { 'x-acme-token': 't0ken', 'x-id': 'one' };
  const payload = () => expect.unreachable();
  const header = () => 't0ken';
  expect(token.deliveryId({ headers, settings, payload })).toBeNull();
  expect(token.readFields({ header, payload: {}, settings }).eventName).toBeNull();
  const named = { ...settings, deliveryIdHeader: 'x-id' };
  expect(token.deliveryId({ headers, settings: named, payload })).toBe('one');
});

test('a token that no header can carry is refused by name', () => {
  expect(token.findSecretFault?.('t0ken with spaces')).toBeNull();
  expect(token.findSecretFault?.(token.generateSecret?.() ?? '')).toBeNull();
  for (const secret of ['', ' t0ken', 't0ken ', 'tö', 'a\nb', 'a'.repeat(1_025)]) {
    expect(token.findSecretFault?.(secret)).toContain('visible ASCII');
  }
});

test('a source without signatures believes nothing but what its settings name', () => {
  const payload = { type: 'made', repository: { id: 1, full_name: 'a/b' } };
  const header = (name: string) => (name === 'x-event' ? 'made' : null);
  expect(none.verify).toBeNull();
  expect(none.readFields({ header, payload, settings: {} })).toMatchObject({
    eventName: null,
    repository: null,
  });
  const settings = { deliveryIdHeader: 'x-id', eventNameHeader: 'x-event' };
  expect(none.readFields({ header, payload, settings })).toMatchObject({
    eventName: 'made',
    repository: null,
  });
  expect(none.deliveryId({ headers: { 'x-id': 'one' }, settings, payload: () => null })).toBe(
    'one',
  );
});
