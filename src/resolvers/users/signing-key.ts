import { createPrivateJwk, readPkcs8, readSigningKey, type SigningKey } from '#auth/signing-key.ts';
import type { Config } from '#config.ts';
import type { Database, Sql } from '#database/client.ts';
import { deriveKey } from '#lib/derive-key.ts';
import { ConflictError } from '#lib/errors.ts';
import { seal, unseal } from '#lib/seal.ts';
import { recordAudit, SYSTEM_ACTOR } from './audit.ts';

/** Longer than any access token lives, so that none is refused for a key that was replaced. */
const REPLACED_FOR = "interval '1 hour'";

type KeyConfig = Pick<Config, 'secretKey' | 'accessTokenKey'>;

/**
 * The keys that verify access tokens, the one that signs first. The first node to ask makes the first
 * one; two at once make one.
 */
export async function loadSigningKeys(
  database: Database,
  config: KeyConfig,
): Promise<readonly SigningKey[]> {
  if (config.accessTokenKey !== null)
    return [await readSigningKey(readPkcs8(config.accessTokenKey))];
  const known = await readKeys(database, config);
  if (known.length > 0) return known;
  await database.transaction(async (sql) => {
    await lockKeys(sql);
    if ((await readKeys(sql, config)).length === 0) await addKey(sql, config);
  });
  return readKeys(database, config);
}

/**
 * From now on a new key signs; the ones before verify for another hour. Returns its id. Throws
 * `ConflictError` where the key was given as ACCESS_TOKEN_KEY, and for a SECRET_KEY that the nodes do
 * not have: they could not read the new key, and would lose the old one.
 */
export async function rotateSigningKey(database: Database, config: KeyConfig): Promise<string> {
  if (config.accessTokenKey !== null) {
    throw new ConflictError('ACCESS_TOKEN_KEY is set: replace it there, on every node');
  }
  return database.transaction(async (sql) => {
    await lockKeys(sql);
    const [stored] = await sql.query('SELECT id FROM signing_key LIMIT 1');
    if (stored !== undefined && (await readKeys(sql, config)).length === 0) {
      throw new ConflictError('The keys there were sealed under another SECRET_KEY: use that one');
    }
    await sql.query(`DELETE FROM signing_key WHERE replaced_at < naru_now() - ${REPLACED_FOR}`);
    await sql.query('UPDATE signing_key SET replaced_at = naru_now() WHERE replaced_at IS NULL');
    const keyId = await addKey(sql, config);
    await recordAudit(sql, SYSTEM_ACTOR, {
      action: 'SIGNING_KEY_ROTATED',
      subject: { type: 'SigningKey', id: null },
      details: { keyId },
    });
    return keyId;
  });
}

function lockKeys(sql: Sql): Promise<unknown> {
  return sql.query(`SELECT pg_advisory_xact_lock(hashtextextended('naru signing keys', 0))`);
}

async function addKey(sql: Sql, { secretKey }: KeyConfig): Promise<string> {
  const privateJwk = await createPrivateJwk();
  const { id, publicJwk } = await readSigningKey(privateJwk);
  const sealed = seal(sealingKey(secretKey), JSON.stringify(privateJwk), id);
  await sql.query('INSERT INTO signing_key (id, public_jwk, private_sealed) VALUES ($1, $2, $3)', [
    id,
    JSON.stringify(publicJwk),
    sealed,
  ]);
  return id;
}

/** What another SECRET_KEY sealed does not count, so that a changed one starts with a new key. */
async function readKeys(sql: Sql, { secretKey }: KeyConfig): Promise<SigningKey[]> {
  const rows = await sql.query<{ id: string; private_sealed: Buffer }>(
    `SELECT id, private_sealed FROM signing_key
     WHERE replaced_at IS NULL OR replaced_at > naru_now() - ${REPLACED_FOR}
     ORDER BY replaced_at DESC NULLS FIRST, created_at DESC`,
  );
  const keys = rows.map(({ id, private_sealed }) =>
    unseal(sealingKey(secretKey), private_sealed, id),
  );
  return Promise.all(
    keys.filter((key) => key !== null).map((key) => readSigningKey(JSON.parse(key))),
  );
}

function sealingKey(secretKey: string): Buffer {
  return deriveKey(secretKey, 'signing-key');
}
