import { isIPv4, isIPv6 } from 'node:net';

const GROUP_COUNT = 8;
const NETWORK_GROUPS = 4;
const MAPPED_PREFIX = '0:0:0:0:0:ffff';

/**
 * What a limit by address counts by: an IPv4 address is itself, also where it is mapped into IPv6;
 * an IPv6 address is its /64, since one machine has all of that to choose from. Whatever is no
 * address is `unknown`: all of those share one budget, so that nobody escapes a limit by it.
 */
export function networkOf(ipAddress: string): string {
  if (isIPv4(ipAddress)) return ipAddress;
  if (!isIPv6(ipAddress)) return 'unknown';
  const groups = groupsOf(ipAddress);
  const [high = '0', low = '0'] = groups.slice(-2);
  if (groups.slice(0, -2).join(':') === MAPPED_PREFIX) return dotted(high, low);
  return `${canonical(`${groups.slice(0, NETWORK_GROUPS).join(':')}::`)}/64`;
}

/** Eight groups in lower case without leading zeros, whatever way the address was written in. */
function groupsOf(ipAddress: string): string[] {
  const [address = ''] = ipAddress.split('%');
  const [head, tail] = canonical(address)
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''));
  const before = head ?? [];
  const after = tail ?? [];
  const zeros = Array.from({ length: GROUP_COUNT - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after];
}

/** A URL's host has one spelling an address. It knows no zone (`%eth0`). */
function canonical(ipv6Address: string): string {
  return new URL(`http://[${ipv6Address}]`).hostname.slice(1, -1);
}

function dotted(high: string, low: string): string {
  return [high, low]
    .map((group) => Number.parseInt(group, 16))
    .flatMap((value) => [value >> 8, value & 0xff])
    .join('.');
}
