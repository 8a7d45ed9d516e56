import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createAccessTokens } from '#auth/access-tokens.ts';
import { createDatabase, type Database } from '#database/client.ts';
import { UnauthenticatedError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts';
import { loadSigningKeys, rotateSigningKey } from './signing-key.ts';

const CONFIG: { secretKey: string; accessTokenKey: string | null } = {
  secretKey: 'a secret key of 32 characters or more',
  accessTokenKey: null,
};
const NOW = new Date();

let place: TestDatabase;
/** Two nodes: each with connections of its own. */
let first: Database;
let second: Database;

beforeAll(async () => {
  place = await createTestDatabase();
  const open = () =>
    createDatabase({ connectionString: place.url, poolMax: 10, onIdleError: () => {} });
  [first, second] = [open(), open()];
});
afterAll(async () => {
  await Promise.all([first?.close(), second?.close()]);
  await place?.drop();
});
beforeEach(() => first.query('TRUNCATE signing_key, clock_offset'));

const idsOf = async (database: Database, config = CONFIG) =>
  (await loadSigningKeys(database, config)).map(({ id }) => id);

async function passMinutes(minutes: number): Promise<void> {
  await first.query(
    `INSERT INTO clock_offset ("offset") VALUES (make_interval(mins => $1))
     ON CONFLICT (singleton) DO UPDATE SET "offset" = clock_offset."offset" + excluded."offset"`,
    [minutes],
  );
}

function openNode(database: Database, config: typeof CONFIG = CONFIG) {
  return createAccessTokens({
    issuer: 'https://naru.test',
    loadKeys: () => loadSigningKeys(database, config),
  });
}
const CLAIMS = { userId: newId(), sessionId: newId(), now: NOW };

test('many nodes that start at once make one key', async () => {
  const nodes = [first, second, first, second, first, second, first, second];
  const ids = await Promise.all(nodes.map((database) => idsOf(database)));
  expect(new Set(ids.flat()).size).toBe(1);
  expect(await first.query('SELECT id FROM signing_key')).toHaveLength(1);
});

test('the private half is nowhere in the table', async () => {
  const [key] = await loadSigningKeys(first, CONFIG);
  const [row] = await first.query<{ public_jwk: object; private_sealed: Buffer }>(
    'SELECT public_jwk, private_sealed FROM signing_key',
  );
  expect(row?.public_jwk).toEqual(key?.publicJwk);
  expect(row?.private_sealed.includes('"d"')).toBe(false);
});

test('after a rotation the new key signs, and the one before verifies for an hour', async () => {
  const [old = ''] = await idsOf(first);
  const fresh = await rotateSigningKey(first, CONFIG);
  expect(fresh).not.toBe(old);
  expect(await idsOf(second)).toEqual([fresh, old]);
  await passMinutes(59);
  expect(await idsOf(second)).toEqual([fresh, old]);
  await passMinutes(2);
  expect(await idsOf(second)).toEqual([fresh]);
});

test('two rotations at once leave one key that signs, the same on every node', async () => {
  const [old] = await idsOf(first);
  const made = await Promise.all([
    rotateSigningKey(first, CONFIG),
    rotateSigningKey(second, CONFIG),
  ]);
  const ids = await idsOf(first);
  expect(ids).toHaveLength(3);
  expect(made).toContain(ids[0]);
  expect(ids).toContain(old);
  expect(await idsOf(second)).toEqual(ids);
  expect(await first.query('SELECT id FROM signing_key WHERE replaced_at IS NULL')).toHaveLength(1);
});

test('keys whose hour is over are gone with the next rotation', async () => {
  const [old] = await idsOf(first);
  await rotateSigningKey(first, CONFIG);
  await passMinutes(61);
  await rotateSigningKey(first, CONFIG);
  const rows = await first.query<{ id: string }>('SELECT id FROM signing_key');
  expect(rows.map(({ id }) => id)).not.toContain(old);
});

test('a node that heard of no rotation takes the tokens of the one that made it, and the other way', async () => {
  const [one, other] = [await openNode(first), await openNode(second)];
  await rotateSigningKey(first, CONFIG);
  await one.reload();
  const [{ token: ofNew }, { token: ofOld }] = [await one.sign(CLAIMS), await other.sign(CLAIMS)];
  await one.verify(ofOld);
  // The keys are read at most once a second.
  const deadline = performance.now() + 5_000;
  for (;;) {
    const taken = await other.verify(ofNew).then(
      () => true,
      () => false,
    );
    if (taken) break;
    if (performance.now() > deadline) throw new Error('The new key was never found');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(other.keySet()).toEqual(one.keySet());
  expect(one.keySet().keys).toHaveLength(2);
});

test('with another SECRET_KEY there is a new key, what the old one signed is refused, and the old node goes on', async () => {
  const old = await openNode(first);
  const { token } = await old.sign(CLAIMS);
  const changed = { ...CONFIG, secretKey: 'quite another secret key of 32 characters' };
  const fresh = await openNode(second, changed);
  await expect(fresh.verify(token)).rejects.toThrow(UnauthenticatedError);
  await fresh.verify((await fresh.sign(CLAIMS)).token);
  await old.reload();
  await old.verify((await old.sign(CLAIMS)).token);
  // Back to the first: its key is still there.
  expect((await openNode(second)).keySet()).toEqual(old.keySet());
});

test('ACCESS_TOKEN_KEY is the only key, and nothing is stored', async () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const accessTokenKey = privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
  const config = { ...CONFIG, accessTokenKey };
  const [mine, again] = [await idsOf(first, config), await idsOf(second, config)];
  expect(mine).toHaveLength(1);
  expect(again).toEqual(mine);
  expect(await first.query('SELECT id FROM signing_key')).toEqual([]);
  const node = await openNode(first, config);
  const made = await openNode(second);
  await expect(node.verify((await made.sign(CLAIMS)).token)).rejects.toThrow(UnauthenticatedError);
  await node.verify((await node.sign(CLAIMS)).token);
});

test.each([
  ['no key at all', 'bm90IGEga2V5'],
  ['a key of another kind', pkcs8Of('ec')],
  ['a key for encryption', pkcs8Of('x25519')],
])('%s as ACCESS_TOKEN_KEY stops the start', async (_name, accessTokenKey) => {
  await expect(loadSigningKeys(first, { ...CONFIG, accessTokenKey })).rejects.toThrow();
});

function pkcs8Of(kind: 'ec' | 'x25519'): string {
  const { privateKey } =
    kind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('x25519');
  return privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64');
}
