import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export type HmacAlgorithm = 'sha1' | 'sha256' | 'sha384' | 'sha512';
export type DigestEncoding = 'hex' | 'base64';

const DIGEST_BYTES: Readonly<Record<HmacAlgorithm, number>> = {
  sha1: 20,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

/** Whether a text is such a digest in the one spelling that an encoder gives it: lower case, padded. */
export function isDigest(
  text: string,
  algorithm: HmacAlgorithm,
  encoding: DigestEncoding,
): boolean {
  return isEncoded(text, encoding, DIGEST_BYTES[algorithm]);
}

/** Whether a text is exactly so many bytes, and spelled as an encoder would. */
export function isEncoded(text: string, encoding: DigestEncoding, byteLength: number): boolean {
  const bytes = Buffer.from(text, encoding);
  return bytes.byteLength === byteLength && bytes.toString(encoding) === text;
}

/**
 * Whether any of `digests` is the HMAC of `parts`, one after another, under any of `keys`. All pairs
 * are tried, so that the time taken tells neither which agreed nor how nearly. An empty key, with
 * which anybody could sign, agrees with nothing.
 */
export function agreesWithHmac(input: {
  readonly algorithm: HmacAlgorithm;
  readonly encoding: DigestEncoding;
  readonly keys: readonly (string | Uint8Array)[];
  readonly parts: readonly (string | Uint8Array)[];
  readonly digests: readonly string[];
}): boolean {
  let agrees = false;
  for (const key of input.keys) {
    const hmac = createHmac(input.algorithm, key);
    for (const part of input.parts) hmac.update(part);
    const expected = hmac.digest(input.encoding);
    for (const digest of input.digests) {
      agrees = (equalInConstantTime(digest, expected) && key.length > 0) || agrees;
    }
  }
  return agrees;
}

/** Compares secrets of any length without telling by the time taken how much of them agreed. */
export function equalInConstantTime(left: string, right: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(left), hash(right));
}
