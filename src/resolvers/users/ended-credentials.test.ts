import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Credential, cookieCredential } from '#auth/credential.ts';
import { createToken, hashToken } from '#auth/tokens.ts';
import { createDatabase, type Database } from '#database/client.ts';
import { UnavailableError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts';
import { createEndedFinder, type FindEnded } from './ended-credentials.ts';
import { type Authenticate, createAuthenticator } from './viewer.ts';

let place: TestDatabase;
let database: Database;
let authenticate: Authenticate;
let findEnded: FindEnded;

beforeAll(async () => {
  place = await createTestDatabase();
  database = createDatabase({ connectionString: place.url, poolMax: 5, onIdleError: () => {} });
  authenticate = createAuthenticator(database, { sessionIdleHours: 72 });
  findEnded = createEndedFinder(database, { sessionIdleHours: 72 });
});
afterAll(async () => {
  await database?.close();
  await place?.drop();
});
afterEach(() => database.query('TRUNCATE users, clock_offset CASCADE'));

type Change = Readonly<Record<string, string>>;

/** A row of which each given column is this expression. */
async function insert(table: string, columns: Change): Promise<void> {
  const names = Object.keys(columns);
  await database.query(
    `INSERT INTO ${table} (${names.join()}) VALUES (${Object.values(columns).join()})`,
  );
}

async function addUser(change: Change = {}): Promise<string> {
  const id = newId();
  await insert('users', {
    id: `'${id}'`,
    username: `'${id}'`,
    display_name: `'x'`,
    roles: `'{USER}'`,
    ...change,
  });
  return id;
}

const bytes = (hash: Buffer) => `'\\x${hash.toString('hex')}'`;
const soon = (minutes: number) => new Date(Date.now() + minutes * 60_000);

async function addToken(change: Change = {}, user: Change = {}): Promise<Credential> {
  const hash = hashToken(createToken('personalAccessToken'));
  const userId = `'${await addUser(user)}'`;
  await insert('personal_access_token', {
    id: `'${newId()}'`,
    user_id: userId,
    name: `'x'`,
    token_hash: bytes(hash),
    scopes: `'{}'`,
    ...change,
  });
  return { kind: 'token', hash: hash.toString('hex') };
}

async function addCookie(change: Change = {}, user: Change = {}): Promise<Credential> {
  const secret = createToken('sessionSecret');
  const userId = `'${await addUser(user)}'`;
  await insert('session', {
    id: `'${newId()}'`,
    user_id: userId,
    transport: `'COOKIE'`,
    secret_hash: bytes(hashToken(secret)),
    expires_at: `naru_now() + interval '7 days'`,
    ...change,
  });
  return cookieCredential(secret);
}

async function addAccess(
  change: Change = {},
  user: Change = {},
  minutes = 10,
): Promise<Credential> {
  const sessionId = newId();
  const userId = `'${await addUser(user)}'`;
  await insert('session', {
    id: `'${sessionId}'`,
    user_id: userId,
    transport: `'TOKENS'`,
    expires_at: `naru_now() + interval '7 days'`,
    ...change,
  });
  return { kind: 'access', sessionId, expiresAt: soon(minutes) };
}

const PAST = `naru_now() - interval '1 second'`;
const DISABLED = { disabled_at: PAST };
const DELETED = { deleted_at: PAST };
const ENDED = { ended_at: PAST, end_reason: `'REVOKED'` };
const IDLE = { last_seen_at: `naru_now() - interval '73 hours'` };

/** Whether it stands, and how it comes about. */
const CASES: readonly (readonly [string, boolean, () => Promise<Credential>])[] = [
  ['a token', true, () => addToken()],
  [
    'a token with time left',
    true,
    () => addToken({ expires_at: `naru_now() + interval '1 hour'` }),
  ],
  ['a token whose time is over', false, () => addToken({ expires_at: PAST })],
  ['a token that was revoked', false, () => addToken({ revoked_at: PAST })],
  ['a token of a disabled account', false, () => addToken({}, DISABLED)],
  ['a token of a deleted account', false, () => addToken({}, DELETED)],
  ['a token that nobody has', false, async () => ({ kind: 'token', hash: 'ab'.repeat(32) })],
  ['a cookie', true, () => addCookie()],
  ['a cookie whose session ended', false, () => addCookie(ENDED)],
  ['a cookie whose session is over', false, () => addCookie({ expires_at: PAST })],
  ['a cookie that nobody used', false, () => addCookie(IDLE)],
  ['a cookie of a disabled account', false, () => addCookie({}, DISABLED)],
  ['a cookie of a deleted account', false, () => addCookie({}, DELETED)],
  ['a cookie that nobody has', false, async () => cookieCredential('x')],
  ['an access token', true, () => addAccess()],
  ['an access token whose time is over', false, () => addAccess({}, {}, -1)],
  ['an access token whose session ended', false, () => addAccess(ENDED)],
  ['an access token whose session is over', false, () => addAccess({ expires_at: PAST })],
  ['an access token of a session that nobody used', false, () => addAccess(IDLE)],
  ['an access token of a disabled account', false, () => addAccess({}, DISABLED)],
  ['an access token of a deleted account', false, () => addAccess({}, DELETED)],
  [
    'an access token of no session',
    false,
    async () => ({ kind: 'access', sessionId: newId(), expiresAt: soon(10) }),
  ],
];

test.each(CASES)('%s: stands %s, for who asks and for what is open', async (_name, stands, add) => {
  const credential = await add();
  const isTaken = await authenticate(credential).then(
    () => true,
    () => false,
  );
  expect(isTaken).toBe(stands);
  expect(await findEnded([credential])).toEqual(stands ? [] : [credential]);
});

test('of many it finds exactly those that ended, whatever their order', async () => {
  const all = await Promise.all(
    Array.from({ length: 10 }, () => CASES)
      .flat()
      .map(async ([, stands, add]) => ({ stands, credential: await add() })),
  );
  const shuffled = all
    .map((one) => ({ one, by: Math.random() }))
    .sort((first, second) => first.by - second.by)
    .map(({ one }) => one);
  const ended = new Set(await findEnded(shuffled.map(({ credential }) => credential)));
  for (const { stands, credential } of all) expect(ended.has(credential)).toBe(!stands);
});

test('two access tokens of one session end each at its time', async () => {
  const old = await addAccess();
  if (old.kind !== 'access') throw new Error('It is an access token');
  const newer = { ...old, expiresAt: soon(14) };
  expect(await findEnded([old, newer])).toEqual([]);
  await database.query(`INSERT INTO clock_offset ("offset") VALUES (interval '11 minutes')`);
  expect(await findEnded([newer, old])).toEqual([old]);
});

test('asks for nothing where nothing is open', async () => {
  const away = createDatabase({
    connectionString: 'postgresql://127.0.0.1:1/away',
    poolMax: 1,
    onIdleError: () => {},
  });
  const find = createEndedFinder(away, { sessionIdleHours: 72 });
  expect(await find([])).toEqual([]);
  await expect(find([cookieCredential('x')])).rejects.toThrow(UnavailableError);
  await away.close();
});

test('what is open is used: noted once a minute, past rows that somebody holds', async () => {
  const credentials = [await addToken({ last_used_at: IDLE.last_seen_at }), await addCookie()];
  await database.query(`INSERT INTO clock_offset ("offset") VALUES (interval '2 minutes')`);
  const uses = () =>
    database.query<{ at: Date }>(
      `SELECT last_used_at AS at FROM personal_access_token UNION ALL SELECT last_seen_at FROM session`,
    );
  const before = await uses();
  await database.transaction(async (sql) => {
    await sql.query('SELECT id FROM session FOR UPDATE');
    await sql.query('SELECT id FROM personal_access_token FOR UPDATE');
    expect(await findEnded(credentials)).toEqual([]);
  });
  expect(await uses()).toEqual(before);
  expect(await findEnded(credentials)).toEqual([]);
  const after = await uses();
  for (const [index, { at }] of after.entries()) {
    expect(Number(at)).toBeGreaterThan(Number(before[index]?.at));
  }
  await findEnded(credentials);
  expect(await uses()).toEqual(after);
});
