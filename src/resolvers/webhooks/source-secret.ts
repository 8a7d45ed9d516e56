import { createHmac } from 'node:crypto';
import type { Config } from '#config.ts';
import { deriveKey } from '#lib/derive-key.ts';
import { seal, unseal } from '#lib/seal.ts';

export interface SecretVault {
  /** Bound to the row: what was sealed as one secret does not open as another. */
  seal(secret: string, rowId: string): Buffer<ArrayBuffer>;
  /** Null for what was sealed under another SECRET_KEY, or tampered with. */
  open(sealed: Uint8Array, rowId: string): string | null;
  /** Stands for a secret where the same one must be known again; says nothing of it without the key. */
  digest(secret: string): string;
}

/** Keeps the secrets of sources: PostgreSQL and its backups alone give none of them away. */
export function createSecretVault({ secretKey }: Pick<Config, 'secretKey'>): SecretVault {
  const key = deriveKey(secretKey, 'webhook-source');
  const digestKey = deriveKey(secretKey, 'webhook-source-digest');
  return {
    seal: (secret, rowId) => seal(key, secret, rowId),
    open: (sealed, rowId) => unseal(key, sealed, rowId),
    digest: (secret) => createHmac('sha256', digestKey).update(secret).digest('base64'),
  };
}
