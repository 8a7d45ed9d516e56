import { describe, expect, test } from 'vitest';
import {
  isFromForeignPage,
  isFromTrustedPage,
  isTrustedOrigin,
  mayUseCookie,
} from './page-rules.ts';

const PRODUCTION = {
  publicUrl: 'https://naru.example.com',
  allowedOrigins: ['https://app.example.org', 'http://127.0.0.1:5173'],
  mode: 'production',
} as const;
const DEVELOPMENT = {
  ...PRODUCTION,
  publicUrl: 'http://127.0.0.1:4000',
  mode: 'development',
} as const;
const HOST = 'naru.example.com';

describe('an origin', () => {
  test.each(['https://naru.example.com', 'https://app.example.org', 'http://127.0.0.1:5173'])(
    '%s is trusted',
    (origin) => {
      expect(isTrustedOrigin(PRODUCTION, origin, HOST)).toBe(true);
    },
  );

  test.each([
    'null',
    '',
    '*',
    'https://evil.com',
    'http://naru.example.com',
    'https://naru.example.com:443',
    'https://naru.example.com:8443',
    'https://naru.example.com/',
    'https://naru.example.com.evil.com',
    'https://evil.com#https://naru.example.com',
    'https://naru.example.com@evil.com',
    'https://evilnaru.example.com',
    'https://sub.naru.example.com',
    'https://example.com',
    'https://NARU.example.com',
    ' https://naru.example.com',
    'https://naru.example.com, https://evil.com',
    'https://app.example.org.evil.com',
    'https://app-example.org',
    'http://127.0.0.1:4000',
    'http://localhost:5173',
  ])('%j is foreign in production', (origin) => {
    expect(isTrustedOrigin(PRODUCTION, origin, HOST)).toBe(false);
  });

  test.each([
    ['http://127.0.0.1:4711', '127.0.0.1:4711'],
    ['http://localhost:4711', 'localhost:4711'],
    ['http://[::1]:4711', '[::1]:4711'],
    ['http://localhost', 'localhost'],
  ])('%s is trusted in development where it is what was asked', (origin, host) => {
    expect(isTrustedOrigin(DEVELOPMENT, origin, host)).toBe(true);
    expect(isTrustedOrigin(PRODUCTION, origin, host)).toBe(false);
  });

  test.each([
    ['http://127.0.0.1:4711', '127.0.0.1:4712'],
    ['http://localhost:4711', '127.0.0.1:4711'],
    ['https://localhost:4711', 'localhost:4711'],
    ['http://127.0.0.1:4000.evil.com', '127.0.0.1:4000.evil.com'],
    // A name that leads to this machine for as long as the attack lasts.
    ['http://rebound.evil.com:4711', 'rebound.evil.com:4711'],
    ['http://127.0.0.1.evil.com', '127.0.0.1.evil.com'],
    ['http://127.0.0.1:4711', undefined],
    ['null', 'null'],
  ])('%s is foreign in development where %s was asked', (origin, host) => {
    expect(isTrustedOrigin(DEVELOPMENT, origin, host)).toBe(false);
  });
});

describe('a cookie', () => {
  const csrf = { 'x-naru-csrf': '1', host: HOST };

  test.each([
    ['our own page', { 'sec-fetch-site': 'same-origin' }],
    ['our own page, by its origin', { origin: 'https://naru.example.com' }],
    ['an allowed page', { origin: 'https://app.example.org', 'sec-fetch-site': 'cross-site' }],
  ])('counts from %s, with the header', (_name, headers) => {
    expect(mayUseCookie(PRODUCTION, { ...csrf, ...headers })).toBe(true);
    expect(mayUseCookie(PRODUCTION, headers)).toBe(false);
  });

  test.each([
    ['nobody who says where from', {}],
    ['an address bar', { 'sec-fetch-site': 'none' }],
    ['another port or subdomain', { 'sec-fetch-site': 'same-site' }],
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a foreign origin', { origin: 'https://evil.com' }],
    ['a page without an origin', { origin: 'null' }],
  ])('does not count from %s', (_name, headers) => {
    expect(mayUseCookie(PRODUCTION, { ...csrf, ...headers })).toBe(false);
    expect(isFromTrustedPage(PRODUCTION, headers)).toBe(false);
  });

  test('only who names an origin is a foreign page', () => {
    expect(isFromForeignPage(PRODUCTION, {})).toBe(false);
    expect(isFromForeignPage(PRODUCTION, { origin: 'https://app.example.org' })).toBe(false);
    expect(isFromForeignPage(PRODUCTION, { origin: 'https://evil.com' })).toBe(true);
    expect(isFromForeignPage(PRODUCTION, { origin: 'null' })).toBe(true);
  });
});
