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
  /** Hex is taken in upper case as well. */
  readonly isAnyCase?: boolean;
}

/** Judges the commonest kind of signature: a header with the HMAC of the untouched body and nothing else. */
export function verifySignedBody(
  { rawHeaders, body, secrets }: Pick<VerificationInput, 'rawHeaders' | 'body' | 'secrets'>,
  { header, algorithm, encoding, prefix, isAnyCase = false }: BodySignature,
): VerificationFailure | null {
  const { value, failure } = singleHeader(rawHeaders, header);
  if (failure !== null) return failure;
  const written = value.slice(prefix.length);
  const digest = isAnyCase && encoding === 'hex' ? written.toLowerCase() : written;
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
