import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidInputError } from '#lib/errors.ts';
import { decodeKey, encodeKey, KEY_BYTES_MAX, subjectKeyToken, topicSubject } from './key.ts';

const key = fc
  .string({ unit: 'binary', maxLength: 600 })
  .filter((text) => text.isWellFormed() && Buffer.byteLength(text) <= KEY_BYTES_MAX);

describe('a key', () => {
  test('comes back as it was, so that no two keys share a subject', () => {
    fc.assert(
      fc.property(key, (text) => {
        const subject = topicSubject('naru', 'rooms.message', encodeKey(text));
        expect(decodeKey(subjectKeyToken(subject))).toBe(text);
      }),
    );
  });

  test('becomes one token that means nothing special to NATS or PostgreSQL', () => {
    fc.assert(
      fc.property(key, (text) => {
        expect(encodeKey(text)).toMatch(/^(~|[A-Za-z0-9_%-]+)$/);
      }),
    );
    for (const special of ['', '.', '*', '>', '~', 'a b', 'a\r\nb', '$JS', '\u0000', '%', '%2E']) {
      expect(decodeKey(encodeKey(special))).toBe(special);
    }
  });

  test('differs from one that differs by case only', () => {
    expect(encodeKey('Room')).not.toBe(encodeKey('room'));
  });

  test('is refused above 512 bytes, and with half a surrogate pair', () => {
    expect(() => encodeKey('한'.repeat(171))).toThrow(InvalidInputError);
    expect(() => encodeKey('\ud83c')).toThrow(InvalidInputError);
  });
});
