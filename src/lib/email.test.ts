import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseEmail } from './email.ts';

test.each([
  ['ann@example.com', 'ann@example.com'],
  ['  Ann@Example.COM\n', 'ann@example.com'],
  ['ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ', 'ann@example.com'],
  ['\u212Aim@example.com', 'kim@example.com'],
  ['ﬁona@example.com', 'fiona@example.com'],
  ['ann@exa\u00ADmple.com', null],
  ['ann@예시。한국', 'ann@xn--vv4b11d.xn--3e0b707e'],
  ['ann@BÜCHER.example', 'ann@xn--bcher-kva.example'],
  ['ann@bu\u0308cher.example', 'ann@xn--bcher-kva.example'],
  ["o'hara.x_y-z@mail.sub.example.museum", "o'hara.x_y-z@mail.sub.example.museum"],
])('%j is the account %j', (given, expected) => {
  expect(parseEmail(given)).toBe(expected);
});

test('a suffix after a plus is another address', () => {
  expect(parseEmail('ann+shop@example.com')).toBe('ann+shop@example.com');
});

test.each([
  '',
  'ann',
  '@example.com',
  'ann@',
  'ann@localhost',
  'ann@127.0.0.1',
  'ann@0x7f.1',
  'ann@[127.0.0.1]',
  'ann@example.com.',
  'ann@example..com',
  'ann@-example.com',
  'ann@example-.com',
  'ann@exam%70le.com',
  'ann@example.com:25',
  'ann@example.com/x',
  'ann@exam ple.com',
  'ann@ex_ample.com',
  'ann@xn--',
  '.ann@example.com',
  'ann.@example.com',
  'a..nn@example.com',
  'a nn@example.com',
  '"ann"@example.com',
  'änn@example.com',
  '\u0430nn@example.com', // the Cyrillic letter
  'ann@bob@example.com',
  'ann＠bob@example.com',
  'ann@example.com,bob@example.com',
  'Ann <ann@example.com>',
  'ann@example.com\r\nBcc: bob@example.com',
  'ann\r\n@example.com',
  'ann@example.com\u0000',
  'an\u0000n@example.com',
  'ann@example.com\u2028bcc',
  'ann\u202E@example.com',
  `${'a'.repeat(65)}@example.com`,
  `ann@${'a'.repeat(64)}.com`,
  `${'a'.repeat(64)}@${`${'b'.repeat(60)}.`.repeat(4)}com`,
])('%j is no address', (text) => {
  expect(parseEmail(text)).toBeNull();
});

test('an address has at most 254 characters', () => {
  const longest = `${'a'.repeat(64)}@${'b'.repeat(62)}.${'c'.repeat(62)}.${'d'.repeat(59)}.com`;
  expect(longest).toHaveLength(254);
  expect(parseEmail(longest)).toBe(longest);
  expect(parseEmail(longest.replace('.com', 'd.com'))).toBeNull();
});

test('a megabyte is refused without being read', () => {
  expect(parseEmail(`${'ﷺ'.repeat(1_000_000)}@example.com`)).toBeNull();
});

test('whatever is given, the address is plain ASCII on one line, and its own form', () => {
  const part = fc.string({ unit: 'binary', maxLength: 20 });
  const likely = fc.tuple(part, part).map(([local, domain]) => `${local}a@b${domain}.com`);
  fc.assert(
    fc.property(fc.oneof(part, likely, fc.emailAddress()), (text) => {
      const address = parseEmail(text);
      if (address === null) return;
      expect(address).toMatch(/^[!-?A-~]+@[a-z0-9.-]+$/);
      expect(address).toBe(address.toLowerCase());
      expect(parseEmail(address)).toBe(address);
      expect(parseEmail(` ${address.toUpperCase()}`)).toBe(address);
    }),
    { numRuns: 1_000 },
  );
});
