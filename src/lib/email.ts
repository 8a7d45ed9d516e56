import { domainToASCII } from 'node:url';

const LENGTH_MAX = 254;
const LOCAL_LENGTH_MAX = 64;
// Twice what any address can grow from: anything longer is not even normalised.
const INPUT_LENGTH_MAX = 2 * LENGTH_MAX;

const ATOM = "[a-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LOCAL = new RegExp(`^${ATOM}(\\.${ATOM})*$`);
// What `domainToASCII` would decode, cut off or take for a number is refused before it gets there.
const GIVEN_DOMAIN = /^[\p{L}\p{M}\p{N}.\u3002-]+$/u;
const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
const DOMAIN = new RegExp(`^(${LABEL}\\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$`);

/**
 * The one form in which an e-mail address is stored and compared, at most 254 ASCII characters; null
 * for what is none. Letter case and Unicode's look-alikes of ASCII (full width, ligatures) make no
 * second account, and an international domain is written in ASCII. Everything else keeps apart: a
 * suffix (`ann+shop@…`) is another address, since only its own mail server knows better. Left out:
 * quoted local parts, local parts beyond ASCII (few servers take them), and domains of one label.
 */
export function parseEmail(text: string): string | null {
  if (text.length > INPUT_LENGTH_MAX) return null;
  const [local = '', given = '', ...rest] = text.trim().normalize('NFKC').toLowerCase().split('@');
  if (rest.length > 0 || local.length > LOCAL_LENGTH_MAX || !LOCAL.test(local)) return null;
  if (!GIVEN_DOMAIN.test(given)) return null;
  const domain = domainToASCII(given);
  const address = `${local}@${domain}`;
  return DOMAIN.test(domain) && address.length <= LENGTH_MAX ? address : null;
}
