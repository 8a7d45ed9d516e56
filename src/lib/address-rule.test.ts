import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allowsAddress } from './address-rule.ts';

const allows = (allow: string, ipAddress: string) =>
  allowsAddress({ allow: allow.split(','), deny: [] }, ipAddress);

describe('an allowed network', () => {
  test.each([
    ['10.0.0.0/8', '10.255.255.255'],
    ['10.1.2.3/8', '10.0.0.0'],
    ['10.0.0.1', '10.0.0.1'],
    ['0.0.0.0/0', '203.0.113.7'],
    ['2001:db8::/32', '2001:DB8:ffff::1'],
    ['2001:db8::1', '2001:0db8:0:0:0:0:0:0001'],
    ['::/0', '2001:db8::1'],
    ['fe80::/10', 'fe80::1%eth0'],
    ['fe80::1%eth0', 'fe80::1'],
    ['127.0.0.1,::1', '::1'],
  ])('%s has %s', (network, address) => {
    expect(allows(network, address)).toBe(true);
  });

  test.each([
    ['10.0.0.0/8', '11.0.0.0'],
    ['10.0.0.1', '10.0.0.2'],
    ['0.0.0.0/0', '2001:db8::1'],
    ['0.0.0.0/0', '::1'],
    ['2001:db8::/32', '2001:db9::1'],
    ['::/0', '203.0.113.7'],
    ['::/0', '::ffff:203.0.113.7'],
    ['::ffff:10.0.0.1/64', '10.0.0.1'],
    ['::a00:1', '10.0.0.1'],
    ['10.0.0.0/8', '64:ff9b::a00:1'],
    ['10.0.0.0/8', '::10.0.0.1'],
  ])('%s has not %s', (network, address) => {
    expect(allows(network, address)).toBe(false);
  });

  test.each([
    '10.0.0.1',
    '::ffff:10.0.0.1',
    '::FFFF:10.0.0.1',
    '::ffff:a00:1',
    '0:0:0:0:0:ffff:0A00:0001',
    '0000:0000:0000:0000:0000:ffff:10.0.0.1',
    '::ffff:10.0.0.1%eth0',
    '::ffff:a00:1%25',
  ])('of IPv4 is the same whichever way it is mapped, and so is the address %s', (address) => {
    for (const network of ['10.0.0.0/8', '::ffff:10.0.0.0/104', '::ffff:a00:0/104', '10.0.0.1']) {
      expect([network, allows(network, address)]).toEqual([network, true]);
      expect(allowsAddress({ allow: [], deny: [network] }, address)).toBe(false);
    }
    expect(allows('11.0.0.0/8', address)).toBe(false);
  });
});

test('the denied are kept out even where they are allowed', () => {
  const rule = { allow: ['10.0.0.0/8', '10.0.0.7'], deny: ['10.0.0.0/24'] };
  expect(allowsAddress(rule, '10.0.0.7')).toBe(false);
  expect(allowsAddress(rule, '10.0.1.7')).toBe(true);
});

test('where some are denied and none allowed, all others are let in', () => {
  const rule = { allow: [], deny: ['10.0.0.0/24', '2001:db8::/32'] };
  expect(['10.0.0.7', '2001:db8::1'].map((one) => allowsAddress(rule, one))).toEqual([
    false,
    false,
  ]);
  expect(['10.0.1.7', '2001:db9::1'].map((one) => allowsAddress(rule, one))).toEqual([true, true]);
});

test.each([
  '',
  'unknown',
  'localhost',
  '10.0.0.1:80',
  ' 10.0.0.1',
  '10.0.0.01',
  '0xa.0.0.1',
  '167772161',
  '10.1',
  '10.0.0.1%eth0',
  '[::ffff:10.0.0.1]',
  '10.0.0.1\n',
  '10.0.0.0/8',
])('%j is no address: only a rule that says nothing lets it in', (text) => {
  expect(allows('0.0.0.0/0,::/0', text)).toBe(false);
  expect(allowsAddress({ allow: [], deny: ['192.0.2.1'] }, text)).toBe(false);
  expect(allowsAddress({ allow: [], deny: [] }, text)).toBe(true);
});

test('a connection that is gone has no address', () => {
  expect(allowsAddress({ allow: ['0.0.0.0/0'], deny: [] }, undefined)).toBe(false);
});

test('a rule that cannot be read keeps nobody in the belief that it holds', () => {
  expect(() => allows('ten', '10.0.0.1')).toThrow(TypeError);
  expect(() => allows('10.0.0.0/33', '10.0.0.1')).toThrow();
});

test('every address is in the networks that its first bits say, and in no other', () => {
  const numberOf = (address: string) =>
    address.split('.').reduce((number, part) => number * 256 + Number(part), 0);
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), (one, other, bits) => {
      const size = 2 ** (32 - bits);
      const isWithin = Math.floor(numberOf(one) / size) === Math.floor(numberOf(other) / size);
      expect(allows(`${other}/${bits}`, one)).toBe(isWithin);
      expect(allows(`${other}/${bits}`, `::ffff:${one}`)).toBe(isWithin);
      expect(allows(`::ffff:${other}/${bits + 96}`, one)).toBe(isWithin);
      expect(allows(`${one}/${bits}`, one)).toBe(true);
    }),
  );
});
