import { sign, verify } from '@octokit/webhooks-methods';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { equalInConstantTime, verifyHexHmac } from './hmac.ts';

const check = (secret: string, body: Uint8Array, signature: string) =>
  verifyHexHmac({ algorithm: 'sha256', secret, body, prefix: 'sha256=', signature });

test("GitHub's documented vector holds", () => {
  const body = new TextEncoder().encode('Hello, World!');
  const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
  expect(check("It's a Secret to Everybody", body, signature)).toBe(true);
});

test("it agrees with GitHub's own library", async () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1 });
  await fc.assert(
    fc.asyncProperty(text, text, text, async (secret, body, other) => {
      const bytes = new TextEncoder().encode(body);
      const signature = await sign(secret, body);
      expect(check(secret, bytes, signature)).toBe(true);
      expect(check(other, bytes, signature)).toBe(await verify(other, body, signature));
    }),
    { numRuns: 50 },
  );
});

test('one changed, added or removed character of a signature refuses it', () => {
  const body = new TextEncoder().encode('body');
  const right = 'sha256=dc46983557fea127b43af721467eb9b3fde2338fe3e14f51952aa8478c13d355';
  expect(check('secret', body, right)).toBe(true);
  fc.assert(
    fc.property(fc.nat(right.length), fc.nat(1), fc.string({ maxLength: 2 }), (at, cut, put) => {
      const changed = right.slice(0, at) + put + right.slice(at + cut);
      expect(check('secret', body, changed)).toBe(changed === right);
    }),
  );
  expect(check('secret', body, right.toUpperCase())).toBe(false);
});

test('only equal texts are equal, of whatever lengths', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (left, right) => {
      expect(equalInConstantTime(left, right)).toBe(left === right);
      expect(equalInConstantTime(left, left)).toBe(true);
    }),
  );
});
