import { hkdfSync } from 'node:crypto';

/** An independent 256-bit key for one purpose, so that a cursor's key can never forge a receipt. */
export function deriveKey(secretKey: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secretKey, 'naru', purpose, 32));
}
