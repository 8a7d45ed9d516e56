import { expect, test } from 'vitest';
import { parseReturnTo, withError } from './return-to.ts';

const ORIGINS = ['https://app.example.com', 'http://127.0.0.1:5173'];

test.each([
  '/',
  '/account',
  '/account?tab=github&q=a%20b',
  '/search?next=//evil.example&back=%5C',
  '/100%25',
  '/a%20b#part',
  'https://app.example.com/',
  'https://app.example.com/deep/page?x=1#y',
  'http://127.0.0.1:5173/',
])('%j is a place to return to', (text) => {
  expect(parseReturnTo(text, ORIGINS)).toBe(text);
});

test.each([
  ['https://app.example.com', 'https://app.example.com/'],
  ['/계정', '/%EA%B3%84%EC%A0%95'],
  ['/a/../b', '/b'],
])('%j is returned to as %j, which a header can say', (text, expected) => {
  expect(parseReturnTo(text, ORIGINS)).toBe(expected);
});

test.each([
  ['nothing', ''],
  ['a relative path', 'account'],
  ['another host by two slashes', '//evil.example'],
  ['three slashes', '///evil.example'],
  ['a backslash', '\\evil.example'],
  ['a slash and a backslash', '/\\evil.example'],
  ['two backslashes', '\\\\evil.example'],
  ['two slashes further on', '/..//evil.example'],
  ['an encoded second slash', '/%2fevil.example'],
  ['an encoded second slash in capitals', '/%2Fevil.example'],
  ['an encoded backslash', '/%5cevil.example'],
  ['a slash encoded twice', '/%252fevil.example'],
  ['a tab that browsers drop', '/\t/evil.example'],
  ['an encoded tab', '/%09/evil.example'],
  ['a line feed', '/\n/evil.example'],
  ['an encoded line break', '/account%0d%0aset-cookie:a=b'],
  ['a NUL', '/\u0000'],
  ['a leading space', ' /account'],
  ['half a surrogate pair', '/\ud800'],
  ['another origin', 'https://evil.example/'],
  ['an allowed origin as a name', 'https://app.example.com@evil.example/'],
  ['a name before an allowed host', 'https://somebody@app.example.com/'],
  ['an allowed origin as a prefix', 'https://app.example.com.evil.example/'],
  ['an allowed host on another port', 'https://app.example.com:8443/'],
  ['an allowed host without its encryption', 'http://app.example.com/'],
  ['capitals that a parser would forgive', 'HTTPS://app.example.com/'],
  ['a missing slash that a parser would forgive', 'https:/app.example.com/'],
  ['a script', 'javascript:alert(1)'],
  ['data', 'data:text/html,hello'],
  ['more than anybody needs', `/${'a'.repeat(2_048)}`],
])('%s is no place to return to', (_name, text) => {
  expect(parseReturnTo(text, ORIGINS)).toBeNull();
});

test.each([
  ['/', '/?error=access_denied'],
  ['/account?tab=1#part', '/account?tab=1&error=access_denied#part'],
  ['/account?error=old', '/account?error=access_denied'],
  ['https://app.example.com/a', 'https://app.example.com/a?error=access_denied'],
])('an error is told at %j beside what is there already', (returnTo, expected) => {
  expect(withError(returnTo, 'access_denied')).toBe(expected);
});
