import { networkOf } from './network.ts';

const PREFIX_GROUPS = 3;

/**
 * What a log may keep of a client's address: the provider's part, an IPv4 /24 or an IPv6 /48, which many
 * people share. `unknown` for what is no address.
 */
export function networkPrefixOf(ipAddress: string | undefined): string {
  const network = networkOf(ipAddress ?? '');
  if (!network.includes(':')) return network.replace(/\.\d+$/, '.0/24');
  // A /64 ends in `::` and has no other: its four zero groups are the longest run.
  const groups = network.replace(/::.*$/, '').split(':').slice(0, PREFIX_GROUPS);
  return `${groups.join(':').replace(/(^|:)0(:0)*$/, '')}::/48`;
}
