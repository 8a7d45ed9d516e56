import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { deriveKey } from './derive-key.ts';
import { seal, unseal } from './seal.ts';

const KEY = randomBytes(32);

test.each(['', 'a', '비밀 🔑', 'x'.repeat(100_000)])(
  'what was sealed opens with its key and about the same thing (%#)',
  (text) => {
    expect(unseal(KEY, seal(KEY, text, 'row 1'), 'row 1')).toBe(text);
  },
);

test('the same text is sealed differently each time, and cannot be read', () => {
  const first = seal(KEY, 'a secret text', 'row 1');
  expect(first.equals(seal(KEY, 'a secret text', 'row 1'))).toBe(false);
  expect(first.includes('secret')).toBe(false);
});

test('another key, or another purpose of the same SECRET_KEY, opens nothing', () => {
  const sealed = seal(deriveKey('one', 'a'), 'text', 'row 1');
  for (const key of [deriveKey('two', 'a'), deriveKey('one', 'b'), randomBytes(32)]) {
    expect(unseal(key, sealed, 'row 1')).toBeNull();
  }
});

test('what was sealed about one row does not open as another row’s', () => {
  const sealed = seal(KEY, 'text', 'row 1');
  for (const about of ['row 2', '', 'row 1 ', 'ROW 1']) {
    expect(unseal(KEY, sealed, about)).toBeNull();
  }
});

test('one changed bit anywhere, a byte less or a byte more, opens nothing', () => {
  const sealed = seal(KEY, 'text', 'row 1');
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(unseal(KEY, changed, 'row 1')).toBeNull();
  }
  for (let length = 0; length < sealed.length; length += 1) {
    expect(unseal(KEY, sealed.subarray(0, length), 'row 1')).toBeNull();
  }
  expect(unseal(KEY, Buffer.concat([sealed, Buffer.of(0)]), 'row 1')).toBeNull();
});
