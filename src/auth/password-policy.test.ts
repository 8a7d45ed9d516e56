import { expect, test } from 'vitest';
import { findPasswordFault, normalizePassword } from './password-policy.ts';

const CONTEXT = [
  'Alice.Smith',
  'Alice.Smith@Mail.Example.com',
  '앨리스 스미스',
  'Smithereensville',
];

test.each([
  ['a phrase', 'correct horse battery staple'],
  ['ten random characters', 'kq7Zp2mWxL'],
  ['Korean', '안녕하세요 반갑습니다'],
  ['ten characters outside the first plane', '🦊🐢🌵🎻🧭🪁🧶🪴🫖🧊'],
  ['256 characters', `${'kq7Zp2mWxLtyB3h9'.repeat(15)}a1B2c3D4e5F6g7H8`],
  ['a common word beside enough else', 'monkey83920174'],
  ['a name beside enough else', 'alice-likes-tea'],
  ['three letters of a name', 'ali kq7Zp2mW'],
])('%s may become a password', (_name, password) => {
  expect(findPasswordFault(password, CONTEXT)).toBeNull();
});

test.each([
  ['nothing', ''],
  ['nine characters', 'kq7Zp2mWx'],
  ['nine characters of two code units', '🦊🐢🌵🎻🧭🪁🧶🪴🫖'],
  ['nine characters that were eighteen code points', `${'e\u0301o\u0308'.repeat(4)}e\u0301`],
])('%s is too short', (_name, password) => {
  expect(findPasswordFault(password, CONTEXT)).toBe(
    'The password must have at least 10 characters',
  );
});

test.each([
  ['257 characters', `${'kq7Zp2mWxLtyB3h9'.repeat(16)}a`],
  ['257 characters that NFKC makes of fewer', `${'\uFDFA'.repeat(14)}kq7Zp`],
  ['a megabyte', 'x'.repeat(2 ** 20)],
  ['a megabyte that NFKC would make eighteen of', '\uFDFA'.repeat(2 ** 20)],
])('%s are too long', (_name, password) => {
  expect(findPasswordFault(password, CONTEXT)).toBe(
    'The password must have at most 256 characters',
  );
});

test.each([
  ['half a character', 'kq7Zp2mWxL\uD83E'],
  ['U+0000', 'kq7Zp2mWxL\u0000'],
])('%s is not text', (_name, password) => {
  expect(findPasswordFault(password, CONTEXT)).toBe(
    'The password has characters that are not text',
  );
});

test.each([
  'password123',
  'qwertyuiop',
  '1q2w3e4r5t',
  'QwertyUiop',
  'Password2024!',
  'p@ssw0rd!!!',
  '...Pa$$word...',
  'dr4g0n12!!',
  'b4sk3tb4ll',
  'ｐａｓｓｗｏｒｄ１２３',
  'dragon12345678',
  'passwordpassword',
  'hellohello',
  'x7x7x7x7x7x7',
  'aaaaaaaaaaab',
  'abcdefghij',
  '0123456789',
  '          ',
])('%j is guessed first', (password) => {
  expect(findPasswordFault(password, [])).toBe(
    'The password is one of those that are guessed first',
  );
});

test.each([
  ['the username', 'alice.smith'],
  ['the username in other letters', 'Alice.SMITH'],
  ['the username and a year', 'alice.smith2026'],
  ['a part of the username', 'zzalice7!k'],
  ['parts without the sign between', 'alicesmith7k'],
  ['the e-mail address', 'alice.smith@mail.example.com'],
  ['the e-mail’s domain', 'example.com!7'],
  ['the name of the domain', '7kexample!q'],
  ['the display name', '앨리스 스미스 7kq'],
  ['the longest of the names', 'smithereensville7'],
  ['the display name, decomposed', '앨리스 스미스 7kq'.normalize('NFD')],
  ['the name of this server', 'NaruNaruNaru7k'],
  ['a name and a common password', 'alice.smith-qwertyuiop'],
])('%s with little else is known to others', (_name, password) => {
  expect(findPasswordFault(password, CONTEXT)).toBe(
    'The password is little more than a name or an address that others know',
  );
});

test('what is normalised is equal however it was typed', () => {
  expect(normalizePassword('\u212B')).toBe('\u00C5');
  expect(normalizePassword('A\u030A')).toBe('\u00C5');
  expect(normalizePassword('ﬁｓｈ')).toBe('fish');
});
