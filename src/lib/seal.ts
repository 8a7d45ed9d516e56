import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto';

const KEY_ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * AES-256-GCM: key id, nonce, tag, then the text. `about` is bound to it and not stored: what was
 * sealed about one row does not open as another's.
 */
export function seal(key: Buffer, text: string, about: string): Buffer<ArrayBuffer> {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(about));
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([keyId(key), nonce, cipher.getAuthTag(), body]);
}

/** Null for what another key sealed, what was sealed about something else, and what was tampered with. */
export function unseal(key: Buffer, sealed: Uint8Array, about: string): string | null {
  const bytes = Buffer.from(sealed);
  const isOurs = bytes.subarray(0, KEY_ID_BYTES).equals(keyId(key));
  if (!isOurs || bytes.length < KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES) return null;
  const [nonce, tag, body] = split(bytes.subarray(KEY_ID_BYTES), NONCE_BYTES, TAG_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce);
  decipher.setAAD(Buffer.from(about));
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}

/** Says which key sealed something, without saying anything of the key. */
function keyId(key: Buffer): Buffer {
  return hash('sha256', key, 'buffer').subarray(0, KEY_ID_BYTES);
}

function split(bytes: Buffer, first: number, second: number): [Buffer, Buffer, Buffer] {
  return [
    bytes.subarray(0, first),
    bytes.subarray(first, first + second),
    bytes.subarray(first + second),
  ];
}
