// One idempotency key over two API processes, either of which may die at any moment.
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { ALL_SCOPES } from '#auth/scopes.ts';
import { createToken, hashToken } from '#auth/tokens.ts';
import { newId } from '#lib/ids.ts';
import { addAccount } from '../support/accounts.ts';
import { until } from '../support/graphql-client.ts';
import { countWaiting, mutate } from '../support/mutations.ts';
import { type NodesWorld, startNodes } from './world.ts';

const FIELD = 'createPersonalAccessToken';
const CREATED = 'PersonalAccessTokenCreated';
const IN_PROGRESS = 'IdempotencyInProgressError';
const INPUT = { name: 'ci', scopes: ['webhooks:read'], expiresInDays: 30 };
const HOLD = 4_711;

let world: NodesWorld;
/** A connection of the test's own, which holds what a node shall wait for. */
let holder: pg.Client;
let me: { readonly userId: string; readonly token: string };

beforeAll(async () => {
  world = await startNodes('postgres', { LOG_LEVEL: 'warn' });
}, 120_000);
beforeEach(async () => {
  holder = new pg.Client({ connectionString: world.postgres.url });
  await holder.connect();
  me = await addScript();
});
afterEach(() => holder.end());
afterAll(() => world?.close());

/** A new account and a token of it that may do everything. */
async function addScript() {
  const { userId } = await addAccount(world.query);
  const token = createToken('personalAccessToken');
  await world.query(
    `INSERT INTO personal_access_token (id, user_id, name, token_hash, scopes, expires_at)
     VALUES ($1, $2, 'script', $3, $4, now() + interval '1 day')`,
    [newId(), userId, hashToken(token), ALL_SCOPES],
  );
  return { userId, token };
}

const create = (at: number, input: object = {}, { token } = me) =>
  mutate(
    world.nodes[at % 2]?.url ?? '',
    FIELD,
    { ...INPUT, idempotencyKey: 'a', ...input },
    { token, selection: 'token personalAccessToken { id }' },
  );

/** Ids of what was made, and how often that was audited. */
async function made({ userId } = me) {
  const rows = await world.query<{ id: string }>(
    `SELECT id FROM personal_access_token WHERE user_id = $1 AND name = 'ci'`,
    [userId],
  );
  const entries = await world.query('SELECT 1 FROM audit_entry WHERE actor_id = $1', [userId]);
  expect(entries).toHaveLength(rows.length);
  return rows.length;
}

async function untilWaiting(): Promise<void> {
  await until(async () => (await countWaiting(holder)) > 0);
}

/** The first answer that is not that the call is under way still. */
async function createOnceDone(at: number) {
  let answer = await create(at);
  await until(async () => {
    if (answer.__typename === IN_PROGRESS) answer = await create(at);
    return answer.__typename !== IN_PROGRESS;
  });
  return answer;
}

test('the same key 100 times in parallel over two processes is one execution; the others replay or come too early', async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, (_, at) => create(at)));
  expect(await made()).toBe(1);
  const done = answers.filter(({ __typename }) => __typename === CREATED);
  const early = answers.filter(({ __typename }) => __typename === IN_PROGRESS);
  expect(done.length + early.length).toBe(100);
  expect(done.filter(({ token }) => token !== null)).toHaveLength(1);
  expect(new Set(done.map(({ personalAccessToken }) => personalAccessToken.id)).size).toBe(1);
  for (const at of [0, 1]) expect(await create(at)).toMatchObject({ token: null });
  for (const at of [0, 1]) {
    expect((await create(at, { name: 'other' })).code).toBe('IDEMPOTENCY_MISMATCH');
  }
  const other = await addScript();
  expect((await create(1, {}, other)).token).toMatch(/^naru_pat_/);
  expect([await made(), await made(other)]).toEqual([1, 1]);
});

test('what runs on one process is in progress on the other', async () => {
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM users WHERE id = $1 FOR UPDATE', [me.userId]);
  const first = create(0);
  await untilWaiting();
  expect((await create(1)).code).toBe('IDEMPOTENCY_IN_PROGRESS');
  await holder.query('COMMIT');
  expect((await first).token).toMatch(/^naru_pat_/);
  expect((await create(1)).token).toBeNull();
  expect(await made()).toBe(1);
});

test('a process killed before the commit has done nothing: the retry on the other does it once', async () => {
  const [first] = world.nodes;
  await holder.query('BEGIN');
  await holder.query('SELECT 1 FROM users WHERE id = $1 FOR UPDATE', [me.userId]);
  const lost = create(0).catch(() => 'lost');
  await untilWaiting();
  await first.kill();
  expect(await lost).toBe('lost');
  await holder.query('COMMIT');
  // PostgreSQL notices that nobody is there any more, and only then is the key free.
  expect((await createOnceDone(1)).token).toMatch(/^naru_pat_/);
  expect(await made()).toBe(1);
  await first.start();
  expect((await create(0)).token).toBeNull();
});

test('a process killed between the commit and the answer has done it: the retry on the other is a replay', async () => {
  const [first] = world.nodes;
  // The commit itself waits, where nothing that the process does can keep it from happening any more.
  await world.query(
    `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${HOLD}); RETURN NULL; END $$`,
  );
  await world.query(
    `CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON idempotency_key DEFERRABLE INITIALLY DEFERRED
     FOR EACH ROW EXECUTE FUNCTION hold()`,
  );
  await holder.query('SELECT pg_advisory_lock($1)', [HOLD]);
  const lost = create(0).catch(() => 'lost');
  await untilWaiting();
  expect((await create(1)).code).toBe('IDEMPOTENCY_IN_PROGRESS');
  await first.kill();
  expect(await lost).toBe('lost');
  expect(await made()).toBe(0);
  await holder.query('SELECT pg_advisory_unlock($1)', [HOLD]);
  const answer = await createOnceDone(1);
  expect(answer).toMatchObject({ __typename: CREATED, token: null });
  expect(answer.personalAccessToken.id).toBeTruthy();
  expect(await made()).toBe(1);
  await world.query('DROP TRIGGER hold ON idempotency_key');
  await first.start();
  expect(await create(0)).toEqual(answer);
});
