import { describe, expect, test } from 'vitest';
import { createWordCheck } from './word-check.ts';

function found(words: readonly string[], body: string): boolean {
  const check = createWordCheck(words);
  const message = { id: 'm', roomId: 'r', authorId: null, body, revision: 0 };
  return check?.(message) != null;
}

describe('a word is found', () => {
  test.each([
    ['spam', 'SpAm'],
    ['spam', 'no ｓｐａｍ here'],
    ['spam', 'sp\u200Bam'],
    ['spam', '(spam)'],
    ['spam', 'spam은 싫어'],
    ['spam', '이건spam'],
    ['바보', '이런 바보야'],
    ['바보', '왕바보같이'],
    ['buy now', 'Buy\n  now!'],
    ['18', '18세'],
    ['Ärger', 'a\u0308rger'],
    ['c++', 'in C++ und mehr'],
    ['дурак', 'Дурак!'],
    ['ass', 'class, ass'],
  ])('%s in %s', (word, body) => {
    expect(found([word], body)).toBe(true);
  });
});

describe('a word is not found', () => {
  test.each([
    ['ass', 'class'],
    ['ass', 'assume'],
    ['18', '2018'],
    ['дурак', 'дураки'],
    ['바보', '바 보'],
    ['a.c', 'abc'],
  ])('%s in %s', (word, body) => {
    expect(found([word], body)).toBe(false);
  });
});

test('without words there is no check', () => {
  expect(createWordCheck([])).toBeNull();
  expect(createWordCheck(['\u200B', ' '])).toBeNull();
});

test('the finding names the word as it was set', () => {
  const check = createWordCheck(['other', 'SPAM']);
  const message = { id: 'm', roomId: 'r', authorId: null, body: 'spam', revision: 0 };
  expect(check?.(message)).toEqual({ reason: 'BLOCKED_WORD', note: 'Blocked word: SPAM' });
});

test('a thousand words in the longest message are a matter of milliseconds', () => {
  const words = Array.from({ length: 1_000 }, (_, index) => `a${index}b`);
  const began = performance.now();
  expect(found(words, 'a1'.repeat(4_000))).toBe(false);
  expect(performance.now() - began).toBeLessThan(500);
});
