import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressRange } from './address-range.ts';

// The first and the last address of each range, and their neighbours outside.
test.each([
  ['1.0.0.0', 'public'],
  ['9.255.255.255', 'public'],
  ['10.0.0.0', 'private'],
  ['10.255.255.255', 'private'],
  ['11.0.0.0', 'public'],
  ['100.63.255.255', 'public'],
  ['100.64.0.0', 'private'],
  ['100.100.100.199', 'private'],
  ['100.127.255.255', 'private'],
  ['100.128.0.0', 'public'],
  ['126.255.255.255', 'public'],
  ['127.0.0.0', 'private'],
  ['127.0.0.1', 'private'],
  ['127.255.255.255', 'private'],
  ['128.0.0.0', 'public'],
  ['168.63.129.15', 'public'],
  ['169.253.255.255', 'public'],
  ['169.255.0.0', 'public'],
  ['172.15.255.255', 'public'],
  ['172.16.0.0', 'private'],
  ['172.31.255.255', 'private'],
  ['172.32.0.0', 'public'],
  ['191.255.255.255', 'public'],
  ['192.0.1.0', 'public'],
  ['192.88.98.255', 'public'],
  ['192.167.255.255', 'public'],
  ['192.168.0.0', 'private'],
  ['192.168.255.255', 'private'],
  ['192.169.0.0', 'public'],
  ['198.17.255.255', 'public'],
  ['198.20.0.0', 'public'],
  ['203.0.112.255', 'public'],
  ['203.0.114.0', 'public'],
  ['223.255.255.255', 'public'],
  ['::1', 'private'],
  ['0:0:0:0:0:0:0:1', 'private'],
  ['fc00::', 'private'],
  ['fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'private'],
  ['2001:200::', 'public'],
  ['2606:4700::1111', 'public'],
  ['2003::', 'public'],
  ['3ffe:ffff::', 'public'],
  ['3fff:1000::', 'public'],
])('%s is %s', (address, range) => {
  expect(addressRange(address)).toBe(range);
});

test.each([
  ['this network', '0.0.0.0', '0.255.255.255'],
  ['metadata at Alibaba', '100.100.100.200'],
  ['the platform of Azure', '168.63.129.16'],
  ['link-local', '169.254.0.0', '169.254.169.254', '169.254.255.255'],
  ['protocol assignments', '192.0.0.0', '192.0.0.192', '192.0.0.255'],
  ['documentation', '192.0.2.0', '198.51.100.255', '203.0.113.0', '2001:db8::', '3fff::1'],
  ['6to4', '192.88.99.1', '2002::', '2002:7f00:1::', '2002:808:808::1'],
  ['benchmarks', '198.18.0.0', '198.19.255.255', '2001:2::1'],
  ['multicast', '224.0.0.0', '239.255.255.255', 'ff00::', 'ff02::1', 'ff0e::1'],
  ['reserved', '240.0.0.0', '255.255.255.254', '255.255.255.255'],
  ['unspecified', '::'],
  ['IPv4-compatible', '::2', '::7f00:1', '::127.0.0.1', '::8.8.8.8'],
  ['NAT64 of somebody’s own', '64:ff9b:1::', '64:ff9b:1::a00:1', '64:ff9b:0:1::808:808'],
  ['SIIT', '::ffff:0:127.0.0.1', '::ffff:0:8.8.8.8'],
  ['Teredo', '2001::', '2001:0:4136:e378:8000:63bf:3fff:fdd2'],
  ['ORCHID', '2001:20::1'],
  ['discard', '100::1'],
  ['link-local IPv6', 'fe80::', 'fe80::1', 'febf::1'],
  ['site-local', 'fec0::1', 'feff::1'],
  ['not given out', '1::', '4000::', '5f00::1', 'e000::1', 'fbff::1'],
  [
    'metadata',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd00:c1::a9fe:a9fe',
    'fd20:ce::254',
    'fd00:42::42',
  ],
  ['a zone', 'fe80::1%eth0', '::1%lo', '2606:4700::1111%1'],
  [
    'no address',
    '',
    'localhost',
    '127.1',
    '0x7f.0.0.1',
    '010.0.0.1',
    '8.8.8.8 ',
    '[::1]',
    '1::2::3',
  ],
])('%s is never called', (_name, ...addresses) => {
  expect(addresses.map((address) => [address, addressRange(address)])).toEqual(
    addresses.map((address) => [address, 'never']),
  );
});

test('an IPv4 address is judged alike in each of its IPv6 forms, however they are written', () => {
  const near = fc.constantFrom(0, 1, 10, 100, 127, 169, 172, 192, 198, 203, 224, 255);
  const byte = fc.oneof(near, fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.tuple(byte, byte, byte, byte), ([a, b, c, d]) => {
      const dotted = [a, b, c, d].join('.');
      const groups = [(a << 8) | b, (c << 8) | d].map((group) => group.toString(16));
      const padded = groups.map((group) => group.padStart(4, '0').toUpperCase()).join(':');
      const forms = [
        `::ffff:${dotted}`,
        `::ffff:${groups.join(':')}`,
        `0000:0000:0000:0000:0000:FFFF:${padded}`,
        `64:ff9b::${dotted}`,
        `64:ff9b::${groups.join(':')}`,
        `0064:FF9B:0:0:0:0:${padded}`,
      ];
      expect(forms.map(addressRange)).toEqual(forms.map(() => addressRange(dotted)));
    }),
    { numRuns: 2_000 },
  );
});
