import fc from 'fast-check';
import { expect, test } from 'vitest';
import { storableText } from './storable-text.ts';

test('what is kept has no U+0000, no half surrogate pair, and is neither empty nor long', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 1_100 }), (text) => {
      const kept = storableText(text);
      if (kept === null) return;
      expect(kept).not.toContain('\u0000');
      expect(kept.isWellFormed()).toBe(true);
      expect(kept.length).toBeGreaterThan(0);
      expect(kept.length).toBeLessThanOrEqual(1_024);
    }),
  );
});

test('text that PostgreSQL can hold is kept as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 }), (text) => {
      fc.pre(!text.includes('\u0000'));
      expect(storableText(text)).toBe(text);
    }),
  );
});

test('what is no text, says nothing or is too long is null', () => {
  for (const value of [undefined, null, 7, {}, ['a'], '', '\u0000', 'x'.repeat(1_025)]) {
    expect(storableText(value)).toBeNull();
  }
  expect(storableText('x'.repeat(1_024))).toHaveLength(1_024);
  expect(storableText('a\ud800b\u0000c')).toBe('a\ufffdbc');
});

test('what an index could not hold is null: 1,024 bytes are the most, whatever the characters', () => {
  expect(storableText('가'.repeat(341))).toHaveLength(341);
  expect(storableText('가'.repeat(342))).toBeNull();
});
