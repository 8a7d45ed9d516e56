import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** Addresses and networks, e.g. `10.0.0.0/8` or `2001:db8::/32`. */
export interface AddressRule {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

// Two lists, since `::/0` is all of IPv6 and nothing of IPv4, although each IPv4 address has a form within it.
interface Networks {
  readonly four: BlockList;
  readonly six: BlockList;
}

interface CompiledRule {
  readonly allow: Networks;
  readonly deny: Networks;
}

const MAPPED_BITS = 96;
const MAPPED = new BlockList();
MAPPED.addSubnet('::ffff:0:0', MAPPED_BITS, 'ipv6');

// A rule is a setting and stays what it is while the process lives.
const compiledRules = new WeakMap<AddressRule, CompiledRule>();

/** Whether the rule says anything at all. */
export function hasAddresses({ allow, deny }: AddressRule): boolean {
  return allow.length > 0 || deny.length > 0;
}

/**
 * The denied are never let in, and where some are allowed only those are. An IPv4 address is itself also
 * where it is mapped into IPv6, however that is written, and a zone (`%eth0`) says nothing. What is no
 * address is let in only by a rule that says nothing.
 */
export function allowsAddress(rule: AddressRule, ipAddress: string | undefined): boolean {
  if (!hasAddresses(rule)) return true;
  const address = inSixForm(ipAddress ?? '');
  if (address === null) return false;
  const { allow, deny } = compiledRules.get(rule) ?? compile(rule);
  if (includes(deny, address)) return false;
  return rule.allow.length === 0 || includes(allow, address);
}

function compile(rule: AddressRule): CompiledRule {
  const compiled = { allow: networksOf(rule.allow), deny: networksOf(rule.deny) };
  compiledRules.set(rule, compiled);
  return compiled;
}

function networksOf(texts: readonly string[]): Networks {
  const networks: Networks = { four: new BlockList(), six: new BlockList() };
  for (const text of texts) {
    const [given = '', width] = text.split('/');
    const address = inSixForm(given);
    // A list that says less than it was meant to would let in whom it was to keep out.
    if (address === null) throw new TypeError(`No address or network: ${text}`);
    const bits = Number(width ?? 128) + (isIPv4(given) && width !== undefined ? MAPPED_BITS : 0);
    const isFour = bits >= MAPPED_BITS && MAPPED.check(address, 'ipv6');
    networks[isFour ? 'four' : 'six'].addSubnet(address, bits, 'ipv6');
  }
  return networks;
}

function includes({ four, six }: Networks, address: string): boolean {
  return (MAPPED.check(address, 'ipv6') ? four : six).check(address, 'ipv6');
}

/** Every address in the one form in which they are compared; null for what is none. */
function inSixForm(ipAddress: string): string | null {
  if (isIPv4(ipAddress)) return `::ffff:${ipAddress}`;
  return isIPv6(ipAddress) ? ipAddress.replace(/%.*$/, '') : null;
}
