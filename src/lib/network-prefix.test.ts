import fc from 'fast-check';
import { expect, test } from 'vitest';
import { networkPrefixOf } from './network-prefix.ts';

test.each([
  ['203.0.113.7', '203.0.113.0/24'],
  ['::ffff:203.0.113.7', '203.0.113.0/24'],
  ['::ffff:cb00:7107', '203.0.113.0/24'],
  ['10.0.0.0', '10.0.0.0/24'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1::/48'],
  ['2001:db8:1:2::', '2001:db8:1::/48'],
  ['2001:db8::1', '2001:db8::/48'],
  ['2001:db8:0:7::1', '2001:db8::/48'],
  ['2001::1', '2001::/48'],
  ['fe80::1%eth0', 'fe80::/48'],
  ['0:0:0:7::1', '::/48'],
  ['0:0:7:7::1', '0:0:7::/48'],
  ['::1', '::/48'],
  ['203.0.113.7:80', 'unknown'],
  ['', 'unknown'],
  [undefined, 'unknown'],
])('of %s the log keeps %s', (address, prefix) => {
  expect(networkPrefixOf(address)).toBe(prefix);
});

test('all addresses of a network have the same, and the last part of none is told', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV6(), (four, six) => {
      expect(networkPrefixOf(four)).toBe(`${four.replace(/\d+$/, '')}0/24`);
      const prefix = networkPrefixOf(six);
      if (prefix.endsWith('::/48')) expect(networkPrefixOf(prefix.replace('/48', ''))).toBe(prefix);
      else expect(prefix).toMatch(/\.0\/24$/);
    }),
  );
});
