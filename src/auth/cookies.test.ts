import { describe, expect, test } from 'vitest';
import { readCookie, sessionCookieName, writeCookie } from './cookies.ts';

const NAME = '__Host-naru';
const SECRET = 'AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE';
const OTHER = 'x'.repeat(43);

describe('reading', () => {
  test.each([
    ['alone', `${NAME}=${SECRET}`],
    ['among others', `theme=dark; ${NAME}=${SECRET}; _ga=1`],
    ['without spaces between', `theme=dark;${NAME}=${SECRET};_ga=1`],
    ['beside broken ones', `;;=;nothing; ${NAME}=${SECRET}; =nameless`],
  ])('finds the value %s', (_name, header) => {
    expect(readCookie(header, NAME)).toBe(SECRET);
  });

  test.each([
    ['no header', undefined],
    ['an empty header', ''],
    ['another name', `naru=${SECRET}`],
    ['a longer name', `x${NAME}=${SECRET}`],
    ['the name in other letters', `__host-naru=${SECRET}`],
    ['the name in quotes', `"${NAME}"=${SECRET}`],
    ['a name with a space before its sign', `${NAME} =${SECRET}`],
    ['a value in quotes', `${NAME}="${SECRET}"`],
    ['an encoded value', `${NAME}=%41${SECRET.slice(1)}`],
    ['a value that is too short', `${NAME}=${SECRET.slice(1)}`],
    ['a value that is too long', `${NAME}=${SECRET}x`],
    ['eight kilobytes', `${NAME}=${'x'.repeat(8_192)}`],
    ['no value', `${NAME}=`],
    ['the value of another cookie', `a="; ${NAME}=${OTHER}"; b=1`],
    ['a list of the old kind', `$Version=1, ${NAME}=${SECRET}`],
  ])('%s is none', (_name, header) => {
    expect(readCookie(header, NAME)).toBeNull();
  });

  test.each([
    ['two values', `${NAME}=${SECRET}; ${NAME}=${OTHER}`],
    ['the same value twice', `${NAME}=${SECRET}; ${NAME}=${SECRET}`],
    ['one that is not shaped like ours', `${NAME}=${SECRET}; ${NAME}=x`],
    ['an empty one', `${NAME}=; ${NAME}=${SECRET}`],
  ])('with %s nobody can say which is meant', (_name, header) => {
    expect(readCookie(header, NAME)).toBeNull();
  });

  // Browsers guard the prefix of the name they see; a name that only looks different to them passes.
  test.each(['\u00a0', '\ufeff', '\u2000', '\u3000', '\v', '\f'])(
    'a name behind the space %j is another name',
    (space) => {
      expect(readCookie(`${space}${NAME}=${SECRET}`, NAME)).toBeNull();
      expect(readCookie(`${NAME}=${SECRET}; ${space}${NAME}=${OTHER}`, NAME)).toBe(SECRET);
    },
  );
});

describe('writing', () => {
  test('a secure cookie is for this host, for no script, and for no other site’s forms', () => {
    const line = writeCookie(sessionCookieName(true), { value: SECRET, maxAgeSeconds: 60 }, true);
    expect(line).toBe(`__Host-naru=${SECRET}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure`);
  });

  test('without Secure it has no prefix, which browsers would refuse', () => {
    const line = writeCookie(sessionCookieName(false), { value: SECRET, maxAgeSeconds: 60 }, false);
    expect(line).toBe(`naru=${SECRET}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax`);
  });

  test('null takes away what was set under the same name and path', () => {
    expect(writeCookie(NAME, null, true)).toBe(
      '__Host-naru=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure',
    );
  });
});
