import { randomBytes } from 'node:crypto';

/** A secret for providers that take any text: 256 bits in characters that survive every form and shell. */
export function generateSecret(): string {
  return randomBytes(32).toString('base64url');
}
