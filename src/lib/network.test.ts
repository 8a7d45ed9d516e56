import fc from 'fast-check';
import { expect, test } from 'vitest';
import { networkOf } from './network.ts';

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::FFFF:203.0.113.7', '203.0.113.7'],
  ['::ffff:cb00:7107', '203.0.113.7'],
  ['0:0:0:0:0:ffff:cb00:7107', '203.0.113.7'],
  ['::ffff:203.0.113.7%eth0', '203.0.113.7'],
  ['::ffff:0:0', '0.0.0.0'],
  ['::ffff:255.255.255.255', '255.255.255.255'],
])('%s is the IPv4 address %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test.each([
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002:0003:0004:0005:0006', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:3:4:192.0.2.1', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8::/64'],
  ['2001:db8:0:0:ffff:ffff:ffff:ffff', '2001:db8::/64'],
  ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
  ['fe80::1%eth0', 'fe80::/64'],
  ['fe80::1%25', 'fe80::/64'],
  ['::1', '::/64'],
  ['::', '::/64'],
  ['0:0:0:7::1', '0:0:0:7::/64'],
  ['1::', '1::/64'],
  ['::ffff:0:203.0.113.7', '::/64'],
  ['::1:ffff:203.0.113.7', '::/64'],
])('%s is in the network %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});

test('every address of a /64 is one network, and the next /64 is another', () => {
  const hosts = Array.from({ length: 1_000 }, (_, host) => `2001:db8:0:a::${host.toString(16)}`);
  expect(new Set(hosts.map(networkOf))).toEqual(new Set(['2001:db8:0:a::/64']));
  expect(networkOf('2001:db8:0:b::1')).toBe('2001:db8:0:b::/64');
});

test.each([
  '',
  ' ',
  'unknown',
  'localhost',
  '203.0.113.7:80',
  ' 203.0.113.7',
  '203.0.113',
  '203.0.113.007',
  '0x7f.1',
  '3405803783',
  '[2001:db8::1]',
  '2001:db8::1/64',
  '2001:db8::1%',
  '2001:db8::1::2',
  '1:2:3:4:5:6:7:8:9',
  '::ffff:203.0.113.256',
  '2001:db8::1]@evil',
  '2001:db8::1\n',
  '2001:db8::1\u0000',
])('%j is no address and shares one budget with all that are none', (text) => {
  expect(networkOf(text)).toBe('unknown');
});

test('every address has a network that is its own network, however it is written', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const network = networkOf(address);
      expect(network).not.toBe('unknown');
      expect(networkOf(network.replace('/64', ''))).toBe(network);
      expect(networkOf(address.toUpperCase())).toBe(network);
    }),
  );
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      expect(networkOf(address)).toBe(address);
      expect(networkOf(`::ffff:${address}`)).toBe(address);
    }),
  );
});

test('no text makes it fail', () => {
  fc.assert(fc.property(fc.string(), (text) => networkOf(text) !== ''));
});
