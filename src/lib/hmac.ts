import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Whether `signature` is `prefix` followed by the hex HMAC of `body`. Any other length, alphabet or
 * prefix is simply false. The comparison takes the same time wherever the first difference is.
 */
export function verifyHexHmac(input: {
  readonly algorithm: 'sha256' | 'sha1';
  readonly secret: string;
  readonly body: Uint8Array;
  readonly prefix: string;
  readonly signature: string;
}): boolean {
  const digest = createHmac(input.algorithm, input.secret).update(input.body).digest('hex');
  return equalInConstantTime(input.signature, input.prefix + digest);
}

/** Compares secrets of any length without telling by the time taken how much of them agreed. */
export function equalInConstantTime(left: string, right: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(left), hash(right));
}
