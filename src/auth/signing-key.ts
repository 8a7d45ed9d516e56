import { createPrivateKey } from 'node:crypto';
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from 'jose';

/** The only algorithm: named by us and never by what a token says of itself. */
export const ALGORITHM = 'EdDSA';

export interface SigningKey {
  /** RFC 7638 thumbprint: the `kid`. */
  readonly id: string;
  readonly publicJwk: JWK;
  readonly publicKey: CryptoKey;
  readonly privateKey: CryptoKey;
}

/** A new Ed25519 key pair, as a private JWK. */
export async function createPrivateJwk(): Promise<JWK> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { crv: 'Ed25519', extractable: true });
  return exportJWK(privateKey);
}

/** Throws where it is no Ed25519 private key. */
export async function readSigningKey(privateJwk: JWK): Promise<SigningKey> {
  const { kty, crv, x } = privateJwk;
  if (kty !== 'OKP' || crv !== 'Ed25519' || x === undefined || privateJwk.d === undefined) {
    throw new TypeError('A signing key is an Ed25519 private key');
  }
  const id = await calculateJwkThumbprint({ kty, crv, x });
  const publicJwk = { kty, crv, x, kid: id, alg: ALGORITHM, use: 'sig' };
  return {
    id,
    publicJwk,
    publicKey: (await importJWK(publicJwk, ALGORITHM)) as CryptoKey,
    privateKey: (await importJWK(privateJwk, ALGORITHM)) as CryptoKey,
  };
}

/** Of PKCS #8 in base64, as `openssl genpkey -algorithm ed25519 -outform der | base64 -w0` prints it. */
export function readPkcs8(base64: string): JWK {
  const key = createPrivateKey({
    key: Buffer.from(base64, 'base64'),
    format: 'der',
    type: 'pkcs8',
  });
  return key.export({ format: 'jwk' }) as JWK;
}
