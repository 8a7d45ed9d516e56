import { createHmac } from 'node:crypto';
import { sign, verify } from '@octokit/webhooks-methods';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { agreesWithHmac, equalInConstantTime, isDigest, isEncoded } from './hmac.ts';

const ALGORITHMS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
const ENCODINGS = ['hex', 'base64'] as const;
const algorithm = fc.constantFrom(...ALGORITHMS);
const encoding = fc.constantFrom(...ENCODINGS);
const text = fc.string({ unit: 'grapheme', minLength: 1 });

const check = (key: string, body: Uint8Array, digest: string) =>
  agreesWithHmac({
    algorithm: 'sha256',
    encoding: 'hex',
    keys: [key],
    parts: [body],
    digests: [digest],
  });

test("GitHub's documented vector holds", () => {
  const body = new TextEncoder().encode('Hello, World!');
  const digest = '757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
  expect(check("It's a Secret to Everybody", body, digest)).toBe(true);
});

test("it agrees with GitHub's own library", async () => {
  await fc.assert(
    fc.asyncProperty(text, text, text, async (secret, body, other) => {
      const bytes = new TextEncoder().encode(body);
      const signature = await sign(secret, body);
      const digest = signature.replace('sha256=', '');
      expect(check(secret, bytes, digest)).toBe(true);
      expect(check(other, bytes, digest)).toBe(await verify(other, body, signature));
    }),
    { numRuns: 50 },
  );
});

test('one changed, added or removed character of a digest refuses it', () => {
  const body = new TextEncoder().encode('body');
  const right = 'dc46983557fea127b43af721467eb9b3fde2338fe3e14f51952aa8478c13d355';
  expect(check('secret', body, right)).toBe(true);
  fc.assert(
    fc.property(fc.nat(right.length), fc.nat(1), fc.string({ maxLength: 2 }), (at, cut, put) => {
      const changed = right.slice(0, at) + put + right.slice(at + cut);
      expect(check('secret', body, changed)).toBe(changed === right);
    }),
  );
  expect(check('secret', body, right.toUpperCase())).toBe(false);
});

test('any one key and any one digest are enough, and parts count as if they were one', () => {
  const list = fc.array(text, { maxLength: 3 });
  fc.assert(
    fc.property(algorithm, encoding, list, list, list, (hash, writing, keys, parts, signers) => {
      const digests = signers.map((key) =>
        createHmac(hash, key).update(parts.join('')).digest(writing),
      );
      const agrees = agreesWithHmac({ algorithm: hash, encoding: writing, keys, parts, digests });
      expect(agrees).toBe(keys.some((key) => signers.includes(key)));
    }),
    { numRuns: 300 },
  );
});

test('nobody can sign with an empty key', () => {
  for (const key of ['', Buffer.alloc(0)]) {
    const digests = [createHmac('sha256', key).update('body').digest('hex')];
    const given = { algorithm: 'sha256', encoding: 'hex', parts: ['body'], digests } as const;
    expect(agreesWithHmac({ ...given, keys: [key] })).toBe(false);
  }
});

test('a digest has the length of its algorithm and one spelling', () => {
  for (const hash of ALGORITHMS) {
    for (const writing of ENCODINGS) {
      const digest = createHmac(hash, 'key').update('body').digest(writing);
      expect(isDigest(digest, hash, writing)).toBe(true);
      const others = ALGORITHMS.filter((name) => name !== hash);
      expect(others.some((name) => isDigest(digest, name, writing))).toBe(false);
      for (const spelling of ['', ` ${digest}`, `${digest}=`, `${digest}\n`, digest.slice(2)]) {
        expect(isDigest(spelling, hash, writing)).toBe(false);
      }
    }
  }
  expect(isEncoded('AA==', 'base64', 1)).toBe(true);
  for (const spelling of ['AA', 'AA=', 'AB==', 'AA==x', '_w==']) {
    expect(isEncoded(spelling, 'base64', 1)).toBe(false);
  }
  expect(isEncoded('0A', 'hex', 1)).toBe(false);
});

test('only equal texts are equal, of whatever lengths', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (left, right) => {
      expect(equalInConstantTime(left, right)).toBe(left === right);
      expect(equalInConstantTime(left, left)).toBe(true);
    }),
  );
});
