import { agreesWithHmac, type DigestEncoding, type HmacAlgorithm, isDigest } from '#lib/hmac.ts';
import type { VerificationFailure, VerificationInput } from './provider.ts';
import { singleHeader } from './single-header.ts';

export interface BodySignature {
  /** In lower case. */
  readonly header: string;
  readonly algorithm: HmacAlgorithm;
  readonly encoding: DigestEncoding;
  /** What stands before the digest, e.g. `sha256=`. */
  readonly prefix: string;
}

/** Judges the commonest kind of signature: a header with the HMAC of the untouched body and nothing else. */
export function verifySignedBody(
  { rawHeaders, body, secrets }: Pick<VerificationInput, 'rawHeaders' | 'body' | 'secrets'>,
  { header, algorithm, encoding, prefix }: BodySignature,
): VerificationFailure | null {
  const { value, failure } = singleHeader(rawHeaders, header);
  if (failure !== null) return failure;
  const digest = value.slice(prefix.length);
  if (!value.startsWith(prefix) || !isDigest(digest, algorithm, encoding)) {
    return 'SIGNATURE_MALFORMED';
  }
  const agrees = agreesWithHmac({
    algorithm,
    encoding,
    keys: secrets,
    parts: [body],
    digests: [digest],
  });
  return agrees ? null : 'SIGNATURE_MISMATCH';
}
