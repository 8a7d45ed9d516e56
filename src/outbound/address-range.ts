import { BlockList, isIPv4, isIPv6 } from 'node:net';

/**
 * `private`: somebody's own network, this machine included; for whoever has business there. `never`: has
 * no server that we may call, or has one that tells secrets to whatever machine asks from nearby.
 */
export type AddressRange = 'public' | 'private' | 'never';

// What IANA's registries of special-purpose addresses do not call globally reachable, and the metadata
// services of the big clouds that are none of these or that would count as private.
const NEVER = blockListOf([
  '0.0.0.0/8', // this network: connecting to it reaches this machine
  '100.100.100.200/32', // metadata, Alibaba
  '168.63.129.16/32', // the platform's own service, Azure: a public address
  '169.254.0.0/16', // link-local, metadata
  '192.0.0.0/24', // protocol assignments; metadata, Oracle
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // 6to4 relays
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
  '2001::/23', // protocol assignments: Teredo, which hides an IPv4 address, benchmarks, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, which hides an IPv4 address
  '3fff::/20', // documentation
  'fd00:ec2::/32', // metadata, AWS
  'fd00:c1::a9fe:a9fe/128', // metadata, Oracle
  'fd00:42::42/128', // metadata, Scaleway
  'fd20:ce::254/128', // metadata, Google
]);
const PRIVATE = blockListOf([
  '10.0.0.0/8',
  '100.64.0.0/10', // shared by the customers of one provider
  '127.0.0.0/8', // loopback
  '172.16.0.0/12',
  '192.168.0.0/16',
  '::1/128', // loopback
  'fc00::/7', // unique local
]);

// All that IPv6 has given out so far, and the two ways of writing an IPv4 address that lead to it: mapped,
// and through NAT64, which is how networks without IPv4 see the rest of the world.
const REACHABLE_6 = blockListOf(['2000::/3', '::ffff:0:0/96', '64:ff9b::/96']);

/** Of an address as a resolver answers it or a URL names it, without brackets. What is none is `never`. */
export function addressRange(address: string): AddressRange {
  const isSix = isIPv6(address);
  // A zone (`%eth0`) belongs to link-local addresses only.
  if ((!isSix && !isIPv4(address)) || address.includes('%')) return 'never';
  const family = isSix ? 'ipv6' : 'ipv4';
  if (NEVER.check(address, family)) return 'never';
  if (PRIVATE.check(address, family)) return 'private';
  return isSix && !REACHABLE_6.check(address, family) ? 'never' : 'public';
}

/** An IPv4 network is listed in both its IPv6 forms as well, so that it is judged alike in all of them. */
function blockListOf(networks: readonly string[]): BlockList {
  const blockList = new BlockList();
  for (const network of networks) {
    const [address = '', width = ''] = network.split('/');
    const bits = Number(width);
    if (isIPv6(address)) {
      blockList.addSubnet(address, bits, 'ipv6');
      continue;
    }
    blockList.addSubnet(address, bits, 'ipv4');
    blockList.addSubnet(`::ffff:${address}`, 96 + bits, 'ipv6');
    blockList.addSubnet(`64:ff9b::${address}`, 96 + bits, 'ipv6');
  }
  return blockList;
}
