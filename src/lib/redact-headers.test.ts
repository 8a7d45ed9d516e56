import fc from 'fast-check';
import { expect, test } from 'vitest';
import { redactHeaders } from './redact-headers.ts';

const SECRETS = [
  'authorization',
  'cookie',
  'proxy-authorization',
  'set-cookie',
  'x-access-token',
  'x-api-key',
  'x-auth-token',
  'x-gitlab-token',
  'x-goog-channel-token',
  'x-secret',
  'x-telegram-bot-api-secret-token',
  'x-webhook-token',
];

/** What one sender proves itself with. */
const OWN = 'x-acme-proof';

const name = fc.oneof(
  fc.constantFrom(...SECRETS, OWN, 'x-hub-signature-256', 'user-agent', 'x-github-event'),
  fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,20}$/),
);
// However the sender writes it: header names know no case.
const spelled = fc
  .tuple(name, fc.infiniteStream(fc.boolean()))
  .map(([text, upper]) =>
    Array.from(text, (c) => (upper.next().value ? c.toUpperCase() : c)).join(''),
  );

test('every header stays in its place with its name, and no credential with its value', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(spelled, fc.string())), (headers) => {
      const kept = redactHeaders(headers.flat(), [OWN]);
      expect(kept.map((header) => header.name)).toEqual(headers.map(([n]) => n.toLowerCase()));
      for (const [index, [given, value]] of headers.entries()) {
        const expected = [...SECRETS, OWN].includes(given.toLowerCase()) ? '[REDACTED]' : value;
        expect(kept[index]?.value).toBe(expected);
      }
    }),
  );
});
