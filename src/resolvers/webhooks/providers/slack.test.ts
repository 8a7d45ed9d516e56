import { createHmac } from 'node:crypto';
import { verifySlackRequest } from '@slack/bolt';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type GivenRequest,
  verificationInput,
} from '../../../../tests/support/verification-input.ts';
import { slack } from './slack.ts';

const NOW = new Date('2026-11-21T12:00:00Z');
const NOW_SECONDS = NOW.getTime() / 1_000;
const SECRET = '8f742231b10e8888abcd99yyyzzz85a5';

function sign(body: string, timestamp: number | string, secret = SECRET): string {
  return `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`;
}

function verify(
  body: string,
  change: { signature?: string; timestamp?: number | string } & Partial<GivenRequest> = {},
) {
  const timestamp = change.timestamp ?? NOW_SECONDS;
  return slack.verify?.(
    verificationInput({
      headers: [
        ['X-Slack-Request-Timestamp', String(timestamp)],
        ['X-Slack-Signature', change.signature ?? sign(body, timestamp)],
      ],
      body,
      secrets: [SECRET],
      now: NOW,
      ...change,
    }),
  );
}

test("the slash command of Slack's documentation is taken, and refused when changed", () => {
  const body =
    'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
  const request = {
    timestamp: 1531420618,
    signature: 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    now: new Date(1531420618_000),
  };
  expect(verify(body, request)).toBeNull();
  expect(verify(`${body}&text=x`, request)).toBe('SIGNATURE_MISMATCH');
  expect(verify(body, { ...request, secrets: ['other'] })).toBe('SIGNATURE_MISMATCH');
  expect(verify(body, { ...request, secrets: ['other', SECRET] })).toBeNull();
  expect(verify(body, { ...request, now: NOW })).toBe('TIMESTAMP_TOO_OLD');
  expect(verify(body, { ...request, now: new Date(1531420317_000) })).toBe('TIMESTAMP_IN_FUTURE');
});

test('headers that are missing, partial, doubled or spelled otherwise are refused by name', () => {
  const signature = sign('{}', NOW_SECONDS);
  const time = ['X-Slack-Request-Timestamp', String(NOW_SECONDS)] as const;
  const mark = ['X-Slack-Signature', signature] as const;
  expect(verify('{}')).toBeNull();
  for (const headers of [[], [time], [mark]]) {
    expect(verify('{}', { headers })).toBe('SIGNATURE_MISSING');
  }
  for (const headers of [
    [time, mark, mark],
    [time, time, mark],
  ]) {
    expect(verify('{}', { headers })).toBe('SIGNATURE_MALFORMED');
  }
  for (const malformed of [
    '',
    signature.slice(3),
    signature.replace('v0', 'v1'),
    signature.slice(0, -1),
    signature.toUpperCase(),
    `${signature}=x`,
  ]) {
    expect(verify('{}', { signature: malformed })).toBe('SIGNATURE_MALFORMED');
  }
  for (const timestamp of [`0${NOW_SECONDS}`, `+${NOW_SECONDS}`, `${NOW_SECONDS}.0`, 'NaN', '']) {
    expect(verify('{}', { timestamp })).toBe('SIGNATURE_MALFORMED');
  }
});

test("for every request that Slack may send, it agrees with Slack's own library", () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 8 });
  const secret = fc.constantFrom('a', 'b', 'c');
  let taken = 0;
  fc.assert(
    fc.property(
      text,
      text,
      secret,
      secret,
      fc.integer({ min: -10, max: 310 }),
      (signed, sent, signer, mine, age) => {
        const timestamp = NOW_SECONDS - age;
        const body = age % 2 === 0 ? signed : sent;
        const signature = sign(signed, timestamp, signer);
        let isTaken = true;
        try {
          verifySlackRequest({
            signingSecret: mine,
            body,
            headers: { 'x-slack-signature': signature, 'x-slack-request-timestamp': timestamp },
            nowMilliseconds: NOW.getTime(),
          });
        } catch {
          isTaken = false;
        }
        const verdict = verify(body, { timestamp, signature, secrets: [mine] });
        expect(verdict === null).toBe(isTaken);
        taken += isTaken ? 1 : 0;
      },
    ),
    { numRuns: 500 },
  );
  expect(taken).toBeGreaterThan(50);
});

test('a challenge is answered with its own text, and nothing else is one', () => {
  const answer = (payload: unknown) => slack.answerChallenge?.(() => payload);
  expect(answer({ type: 'url_verification', challenge: '3eZbrw1aBm2r' })).toEqual({
    contentType: 'text/plain; charset=utf-8',
    body: '3eZbrw1aBm2r',
  });
  for (const payload of [
    undefined,
    null,
    'url_verification',
    { type: 'event_callback', challenge: 'x' },
    { type: 'url_verification' },
    { type: 'url_verification', challenge: '' },
    { type: 'url_verification', challenge: 5 },
    { type: 'url_verification', challenge: 'a'.repeat(501) },
    { type: 'url_verification', challenge: '<script>\n' },
    [{ type: 'url_verification', challenge: 'x' }],
    Object.create({ type: 'url_verification', challenge: 'x' }),
  ]) {
    expect(answer(payload)).toBeNull();
  }
});

test('a retry is known by the id of the event, and the event tells name, sender and time', () => {
  const event = {
    type: 'event_callback',
    event_id: 'Ev0PV52K25',
    event_time: 1795262400,
    event: { type: 'message', subtype: 'message_changed', user: 'U2CERLKJA' },
  };
  const deliveryId = (payload: unknown) =>
    slack.deliveryId({ headers: {}, settings: {}, payload: () => payload });
  const read = (payload: unknown) =>
    slack.readFields({ header: () => null, payload, settings: {} });
  expect(deliveryId(event)).toBe('Ev0PV52K25');
  expect(deliveryId(undefined)).toBeNull();
  expect(read(event)).toEqual({
    eventName: 'message',
    action: 'message_changed',
    branch: null,
    sender: 'U2CERLKJA',
    repository: null,
    occurredAt: new Date('2026-11-21T12:00:00Z'),
  });
  expect(read({ type: 'block_actions', user: { id: 'U1' } })).toMatchObject({
    eventName: 'block_actions',
    sender: 'U1',
    occurredAt: null,
  });
  expect(read(undefined)).toMatchObject({ eventName: null, sender: null });
});
