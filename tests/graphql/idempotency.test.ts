// Mutations with an idempotency key, as a client that lost an answer uses them, and as an attacker might.
import { request } from 'node:http';
import { getNamedType, isInputObjectType, isUnionType } from 'graphql';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  IDEMPOTENCY_HOURS,
  IDEMPOTENCY_KEYS_MAX,
  pruneIdempotencyKeys,
} from '#resolvers/users/idempotency.ts';
import { createSchema } from '#schema/index.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { passTime, run } from '../support/accounts.ts';
import { openEventStream, openSocket, post, until } from '../support/graphql-client.ts';
import { addUser, createInboxClient, storeWebhooks } from '../support/inbox.ts';
import {
  connectTo,
  countWaiting,
  type GivenRequest,
  mutate,
  operationOf,
  outcomesOf,
  sendMutation,
} from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { tokensOf } from '../support/sessions.ts';
import { addSource } from '../support/webhooks.ts';

const FIELD = 'createPersonalAccessToken';
const CREATED = 'PersonalAccessTokenCreated';
const SELECTION = 'token personalAccessToken { id name revokedAt }';
const INPUT = { name: 'ci', scopes: ['webhooks:read'], expiresInDays: 30 };
const DAY_SECONDS = IDEMPOTENCY_HOURS * 3_600;

let naru: TestNaru;
let me: Awaited<ReturnType<typeof addUser>>;

beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
beforeEach(async () => {
  me = await addUser(naru);
});
afterEach(() => query('DELETE FROM clock_offset'));
afterAll(() => naru?.close());

const query = <Row extends object>(text: string, values: readonly unknown[] = []) =>
  naru.app.database.query<Row>(text, values);

const create = (idempotencyKey: string | null, input: object = {}, given: GivenRequest = {}) =>
  mutate(naru.url, FIELD, { ...INPUT, ...input, idempotencyKey }, { ...mine(), ...given });

const send = (input: object = {}, given: GivenRequest = {}) =>
  sendMutation(naru.url, FIELD, { ...INPUT, ...input }, { ...mine(), ...given });

const mine = (): GivenRequest => ({ token: me.token, selection: SELECTION });

/** Tokens that were made, beside the one that is in use. */
async function countMade({ userId } = me): Promise<number> {
  const rows = await query('SELECT 1 FROM personal_access_token WHERE user_id = $1', [userId]);
  return rows.length - 1;
}

async function keysOf({ userId } = me) {
  return query<{ field: string; reference: unknown }>(
    'SELECT field, reference FROM idempotency_key WHERE user_id = $1 ORDER BY field',
    [userId],
  );
}

async function addKeys(count: number, field = FIELD, { userId } = me): Promise<void> {
  await query(
    `INSERT INTO idempotency_key (hash, user_id, field, fingerprint, reference, expires_at)
     SELECT sha256(convert_to($1::text || $3 || n, 'UTF8')), $1::uuid, $3, '', '{}', naru_now() + interval '${IDEMPOTENCY_HOURS} hours'
     FROM generate_series(1, $2::int) n`,
    [userId, count, field],
  );
}

test('every mutation that takes a key answers with what can come of it', () => {
  const fields = Object.values(createSchema().getMutationType()?.getFields() ?? {});
  const keyed = fields.filter(({ args: [input] }) => {
    const type = input && getNamedType(input.type);
    return isInputObjectType(type) && 'idempotencyKey' in type.getFields();
  });
  expect(keyed.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      FIELD,
      'replayWebhookMessages',
      'retryWebhookDeadLetters',
      'startWebhookInbox',
      'createWebhookFilter',
    ]),
  );
  for (const { type } of keyed) {
    const result = getNamedType(type);
    const names = isUnionType(result) ? result.getTypes().map(({ name }) => name) : [];
    expect(names).toEqual(
      expect.arrayContaining([
        'InvalidInputError',
        'UnauthenticatedError',
        'RateLimitedError',
        'IdempotencyInProgressError',
        'IdempotencyMismatchError',
      ]),
    );
  }
});

describe('the same call again', () => {
  test('is answered and not done again, and says so', async () => {
    const first = await send({ idempotencyKey: 'a' });
    const again = await send({ idempotencyKey: 'a' });
    const [made, repeated] = [first, again].map(({ result }) => result.data[FIELD]);
    expect(made.token).toMatch(/^naru_pat_/);
    expect(repeated).toEqual({ ...made, token: null });
    expect(await countMade()).toBe(1);
    const audited = await query('SELECT 1 FROM audit_entry WHERE actor_id = $1', [me.userId]);
    expect(audited).toHaveLength(1);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(first.text).not.toContain('idempotency');
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.result).toMatchObject({ extensions: { idempotency: { replayed: [FIELD] } } });
  });

  test('a secret that is shown once is null, and stored nowhere', async () => {
    const { token } = await create('a');
    expect((await create('a')).token).toBeNull();
    const [row] = await query<{ text: string }>(
      'SELECT k::text AS text FROM idempotency_key k WHERE user_id = $1',
      [me.userId],
    );
    expect(row?.text).not.toContain(token);
    expect(await keysOf()).toEqual([
      { field: FIELD, reference: { id: expect.stringMatching(/^[0-9a-f-]{36}$/) } },
    ]);
  });

  test('may ask for something else, and is told how things stand now', async () => {
    const { personalAccessToken } = await create('a');
    await mutate(
      naru.url,
      'revokePersonalAccessToken',
      { id: personalAccessToken.id },
      { token: me.token },
    );
    const again = await create('a', {}, { selection: 'personalAccessToken { scopes revokedAt }' });
    expect(again.personalAccessToken).toEqual({
      scopes: INPUT.scopes,
      revokedAt: expect.any(String),
    });
  });

  test('with what means the same is the same', async () => {
    const defaulted = { expiresInDays: undefined };
    const first = await create('a', defaulted);
    expect(await create('a', { name: ' ci ', expiresInDays: 90 })).toEqual({
      ...first,
      token: null,
    });
    expect(await countMade()).toBe(1);
  });

  test('many at once are one execution; who comes too early is told to come again', async () => {
    const outcomes = await outcomesOf(Array.from({ length: 30 }, () => create('a')));
    expect(await countMade()).toBe(1);
    expect(outcomes).toContain(CREATED);
    expect(new Set([...outcomes, 'IdempotencyInProgressError'])).toEqual(
      new Set([CREATED, 'IdempotencyInProgressError']),
    );
    expect((await create('a')).__typename).toBe(CREATED);
  });

  test('many at once of what was done are replays, and none comes too early', async () => {
    await create('a');
    const answers = await Promise.all(Array.from({ length: 30 }, () => create('a')));
    expect(new Set(answers.map(({ __typename }) => __typename))).toEqual(new Set([CREATED]));
    const mismatches = Array.from({ length: 30 }, () => create('a', { name: 'other' }));
    expect(new Set(await outcomesOf(mismatches))).toEqual(new Set(['IdempotencyMismatchError']));
  });

  test('while the first is under way is in progress, and after it a replay', async () => {
    const blocker = await connectTo(naru.database);
    await blocker.query('BEGIN');
    await blocker.query('SELECT 1 FROM users WHERE id = $1 FOR UPDATE', [me.userId]);
    const first = create('a');
    await until(async () => (await countWaiting(blocker)) > 0);
    expect(await create('a')).toMatchObject({
      __typename: 'IdempotencyInProgressError',
      code: 'IDEMPOTENCY_IN_PROGRESS',
    });
    // Whatever it says: who may use the key is not known yet.
    expect(await create('a', { name: 'other' })).toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS' });
    await blocker.query('ROLLBACK');
    await blocker.end();
    expect((await first).token).toMatch(/^naru_pat_/);
    expect((await create('a')).token).toBeNull();
  });

  test('within one request is done once, and every replay of it is named', async () => {
    const field = (alias: string, key: string) =>
      `${alias}: ${FIELD}(input: { name: "x", scopes: ["webhooks:read"], idempotencyKey: "${key}" }) {
         ... on ${CREATED} { token } }`;
    const text = `mutation { ${['a', 'a', 'b', 'b'].map((key, at) => field(`f${at}`, key)).join(' ')} }`;
    const answer = await post(naru.url, { query: text }, me.token);
    const tokens = Object.values(answer.result.data).map(
      (made) => (made as { token: unknown }).token,
    );
    expect(tokens).toEqual([expect.any(String), null, expect.any(String), null]);
    expect(answer.result).toMatchObject({
      extensions: { idempotency: { replayed: [FIELD, FIELD] } },
    });
  });

  test('over graphql-ws and server-sent events is the same call', async () => {
    await create('a');
    const operation = operationOf(FIELD, { ...INPUT, idempotencyKey: 'a' }, SELECTION);
    const socket = await openSocket(naru.url, me.token);
    const stream = await openEventStream(naru.url, operation, me.token);
    for (const result of [await socket.run(operation), await stream.next()]) {
      expect(result?.data[FIELD]).toMatchObject({ __typename: CREATED, token: null });
      expect(result).toMatchObject({ extensions: { idempotency: { replayed: [FIELD] } } });
    }
    socket.ws.close();
    stream.leave();
    expect(await countMade()).toBe(1);
  });

  test('without a key is another call', async () => {
    expect((await create(null)).token).toMatch(/^naru_pat_/);
    expect((await create(null)).token).toMatch(/^naru_pat_/);
    expect(await keysOf()).toEqual([]);
  });
});

describe('a key stands for one account, one mutation and one input', () => {
  test.each([
    ['another name', { name: 'cd' }],
    ['another scope', { scopes: ['webhooks:pull'] }],
    ['one scope more', { scopes: ['webhooks:read', 'webhooks:pull'] }],
    ['another life', { expiresInDays: 31 }],
  ])('same key, other arguments: %s is a mismatch and is not done', async (_what, input) => {
    await create('a');
    expect(await create('a', input)).toMatchObject({
      __typename: 'IdempotencyMismatchError',
      code: 'IDEMPOTENCY_MISMATCH',
    });
    expect(await countMade()).toBe(1);
    // And what was stored stays.
    expect((await create('a')).token).toBeNull();
  });

  test('idempotency key of another user: theirs is theirs', async () => {
    const other = await addUser(naru);
    const made = await create('a');
    const theirs = await create('a', { name: 'other' }, { token: other.token });
    expect(theirs.token).toMatch(/^naru_pat_/);
    expect(theirs.personalAccessToken.id).not.toBe(made.personalAccessToken.id);
    expect([await countMade(), await countMade(other)]).toEqual([1, 1]);
  });

  test('same key other mutation: each has its own', async () => {
    const { inbox, ids } = await settledInbox();
    await create('a');
    expect(await inbox.replay({ messageIds: ids, idempotencyKey: 'a' })).toMatchObject({
      count: 2,
    });
    expect((await keysOf()).map(({ field }) => field)).toEqual([FIELD, 'replayWebhookMessages']);
  });
});

describe('a replay shows only what the viewer may see now', () => {
  test('the token in use lost the scope: nothing is shown', async () => {
    await create('a');
    await query(`UPDATE personal_access_token SET scopes = '{viewer:read}' WHERE user_id = $1`, [
      me.userId,
    ]);
    const answer = await send({ idempotencyKey: 'a' });
    expect(answer.result.data[FIELD]).toEqual({
      __typename: 'ForbiddenError',
      code: 'FORBIDDEN',
      message: expect.any(String),
    });
    expect(answer.headers.get('idempotency-replayed')).toBeNull();
  });

  test('the token in use may no longer give what the call asked for: the call is refused', async () => {
    await create('a');
    await query(
      `UPDATE personal_access_token SET scopes = '{tokens:write}' WHERE user_id = $1 AND name <> 'ci'`,
      [me.userId],
    );
    expect(await create('a')).toMatchObject({ code: 'FORBIDDEN' });
  });

  test('what was made is gone: it is not found', async () => {
    await create('a');
    await query(`DELETE FROM personal_access_token WHERE user_id = $1 AND name = 'ci'`, [
      me.userId,
    ]);
    const answer = await send({ idempotencyKey: 'a' });
    expect(answer.result.data[FIELD]).toMatchObject({
      __typename: 'NotFoundError',
      code: 'NOT_FOUND',
    });
    expect(answer.headers.get('idempotency-replayed')).toBeNull();
    expect(await countMade()).toBe(0);
  });

  test('the account was disabled: nobody is let in', async () => {
    await create('a');
    await query('UPDATE users SET disabled_at = naru_now() WHERE id = $1', [me.userId]);
    expect((await send({ idempotencyKey: 'a' })).status).toBe(401);
  });
});

describe('what was not done is not remembered', () => {
  test('a validation failure stores nothing, and the key may be tried again', async () => {
    for (const input of [{ expiresInDays: 0 }, { name: ' ' }, { scopes: [] }, { scopes: ['no'] }]) {
      expect(await create('a', input)).toMatchObject({ code: 'INVALID_INPUT' });
    }
    expect(await keysOf()).toEqual([]);
    expect((await create('a')).token).toMatch(/^naru_pat_/);
  });

  test('a conflict stores nothing', async () => {
    await query(
      `INSERT INTO personal_access_token (id, user_id, name, token_hash, scopes)
       SELECT gen_random_uuid(), $1::uuid, 'many', sha256(convert_to($1::text || n, 'UTF8')), '{}'
       FROM generate_series(1, 99) n`,
      [me.userId],
    );
    expect(await create('a')).toMatchObject({ code: 'CONFLICT' });
    expect(await keysOf()).toEqual([]);
    await query(`DELETE FROM personal_access_token WHERE user_id = $1 AND name = 'many'`, [
      me.userId,
    ]);
    expect((await create('a')).token).toMatch(/^naru_pat_/);
  });

  test('a connection to PostgreSQL that is lost before the commit takes key and effect along', async () => {
    const blocker = await connectTo(naru.database);
    await blocker.query('BEGIN');
    await blocker.query('SELECT 1 FROM users WHERE id = $1 FOR UPDATE', [me.userId]);
    const first = sendMutation(naru.url, FIELD, { ...INPUT, idempotencyKey: 'a' }, mine());
    await until(async () => (await countWaiting(blocker)) > 0);
    await blocker.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    expect((await first).result.errors?.[0]?.extensions.code).toBe('UNAVAILABLE');
    await blocker.query('ROLLBACK');
    await blocker.end();
    expect(await keysOf()).toEqual([]);
    expect((await create('a')).token).toMatch(/^naru_pat_/);
    expect(await countMade()).toBe(1);
  });
});

describe('the key', () => {
  test.each([
    ['empty', ''],
    ['of 256 characters', 'k'.repeat(256)],
    ['with a space', 'a b'],
    ['with a line break', 'a\nb'],
    ['with U+0000', 'a\u0000'],
    ['beyond ASCII', 'schlüssel'],
    ['half a surrogate pair', '\ud800'],
    ['of 100,000 characters', 'k'.repeat(100_000)],
  ])('%s is refused by name, and never reaches the database', async (_what, key) => {
    expect(await create(key)).toMatchObject({
      __typename: 'InvalidInputError',
      field: 'input.idempotencyKey',
    });
    expect(await countMade()).toBe(0);
  });

  test.each([
    ['one character', '!'],
    ['255 characters', '~'.repeat(255)],
    ['quotes and percent signs', `'";--%s\\`],
  ])('may be %s', async (_what, key) => {
    await create(key);
    expect((await create(key)).token).toBeNull();
  });

  test('a 10 MB key never reaches the database, neither in the body nor in the header', async () => {
    const key = 'k'.repeat(10 * 2 ** 20);
    expect((await send({ idempotencyKey: key })).status).toBe(413);
    expect(await statusOfHeader(key)).toBe(431);
    expect(await keysOf()).toEqual([]);
  });

  /** By hand: `fetch` gives up on a server that answers before all is sent. */
  function statusOfHeader(key: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'idempotency-key': key };
      const asked = request(`${naru.url}/graphql`, { method: 'POST', headers });
      let status: number | undefined;
      asked.on('response', (response) => {
        status = response.statusCode;
        response.resume();
        resolve(status);
      });
      asked.on('error', (error) => (status === undefined ? reject(error) : resolve(status)));
      asked.end('{}');
    });
  }
});

describe('the header', () => {
  const by = (headers: Record<string, string>, input = {}) => send(input, { headers });

  test.each([
    ['bare', { 'idempotency-key': 'a' }],
    ['quoted, as the draft standard writes it', { 'idempotency-key': '"a"' }],
    ['as X-Idempotency-Key', { 'x-idempotency-key': 'a' }],
    ['beside the same key in the input', { 'idempotency-key': 'a' }, { idempotencyKey: 'a' }],
  ])(
    'counts as the key: %s',
    async (_what, headers: Record<string, string>, input: object = {}) => {
      await create('a');
      const answer = await by(headers, input);
      expect(answer.result.data[FIELD]).toMatchObject({ __typename: CREATED, token: null });
      expect(answer.headers.get('idempotency-replayed')).toBe('true');
      expect(await countMade()).toBe(1);
    },
  );

  test('beside another key in the input is refused', async () => {
    const answer = await by({ 'idempotency-key': 'a' }, { idempotencyKey: 'b' });
    expect(answer.result.data[FIELD]).toMatchObject({
      code: 'INVALID_INPUT',
      field: 'input.idempotencyKey',
    });
    expect(await countMade()).toBe(0);
  });

  test('with two keys is no key', async () => {
    const answer = await by({ 'idempotency-key': 'a, b' });
    expect(answer.result.data[FIELD]).toMatchObject({ code: 'INVALID_INPUT' });
  });

  test('is refused by a mutation that has no keys, since it would run again, and says nothing to a query', async () => {
    const headers = { 'idempotency-key': 'a' };
    const before = await post(naru.url, { query: '{ viewer { displayName } }' }, me.token);
    const refused = await post(
      naru.url,
      operationOf('updateProfile', { displayName: 'One' }),
      me.token,
      headers,
    );
    expect(refused.result.errors?.[0]?.extensions).toMatchObject({
      code: 'INVALID_INPUT',
      field: 'Idempotency-Key',
    });
    const { result } = await post(
      naru.url,
      { query: '{ viewer { displayName } }' },
      me.token,
      headers,
    );
    expect(result.data).toEqual(before.result.data);
    expect(await keysOf()).toEqual([]);
  });

  test('a guest with a key is a guest', async () => {
    const headers = { 'idempotency-key': 'a' };
    expect(await run(naru.url, FIELD, INPUT, null, headers)).toBe('UnauthenticatedError');
  });
});

describe('time', () => {
  test(`a key counts for ${IDEMPOTENCY_HOURS} hours; after that the call is done anew`, async () => {
    await create('a');
    await passTime(query, DAY_SECONDS - 60);
    expect((await create('a')).token).toBeNull();
    await passTime(query, 61);
    expect((await create('a', { name: 'anew' })).token).toMatch(/^naru_pat_/);
    expect((await create('a', { name: 'anew' })).token).toBeNull();
    expect(await countMade()).toBe(2);
  });

  test('cleaning removes what has expired and nothing else', async () => {
    await query('DELETE FROM idempotency_key');
    await addKeys(6_000, 'elsewhere');
    await passTime(query, DAY_SECONDS);
    await create('late');
    await pruneIdempotencyKeys(naru.app);
    expect(await query('SELECT field FROM idempotency_key')).toEqual([{ field: FIELD }]);
    expect((await create('late')).token).toBeNull();
  });

  test('cleaning passes over a key that is just being used anew', async () => {
    await create('a');
    await passTime(query, DAY_SECONDS + 1);
    const blocker = await connectTo(naru.database);
    await blocker.query('BEGIN');
    await blocker.query('UPDATE idempotency_key SET expires_at = expires_at WHERE user_id = $1', [
      me.userId,
    ]);
    await pruneIdempotencyKeys(naru.app);
    await blocker.query('ROLLBACK');
    await blocker.end();
    expect(await keysOf()).toHaveLength(1);
  });
});

describe('key flood', () => {
  test(`an account uses ${IDEMPOTENCY_KEYS_MAX} keys for a mutation, is told when the oldest is free again, and then it is`, async () => {
    await addKeys(IDEMPOTENCY_KEYS_MAX - 1);
    expect((await create('last')).token).toMatch(/^naru_pat_/);
    const refused = await create('more', {}, { selection: '' });
    expect(refused).toMatchObject({ __typename: 'RateLimitedError', code: 'RATE_LIMITED' });
    const operation = operationOf(FIELD, { ...INPUT, idempotencyKey: 'more' });
    const { result } = await post(
      naru.url,
      {
        ...operation,
        query: operation.query.replace(
          '__typename',
          '... on RateLimitedError { retryAfterSeconds }',
        ),
      },
      me.token,
    );
    const { retryAfterSeconds } = result.data[FIELD];
    expect(retryAfterSeconds).toBeGreaterThan(DAY_SECONDS - 60);
    expect(retryAfterSeconds).toBeLessThanOrEqual(DAY_SECONDS);
    expect(await countMade()).toBe(1);
    // What is known already is answered, and other accounts and calls without a key go on.
    expect((await create('last')).token).toBeNull();
    expect((await create(null)).token).toMatch(/^naru_pat_/);
    const other = await addUser(naru);
    expect((await create('more', {}, { token: other.token })).token).toMatch(/^naru_pat_/);
    await passTime(query, retryAfterSeconds);
    expect((await create('more')).token).toMatch(/^naru_pat_/);
  });

  test('by a token that may call one mutation leaves the keys of the others', async () => {
    const { ids } = await settledInbox();
    const leaked = await naru.tokenFor(me.username, ['webhooks:read', 'webhooks:pull']);
    const thief = createInboxClient(naru.url, leaked);
    await addKeys(IDEMPOTENCY_KEYS_MAX - 1, 'replayWebhookMessages');
    await thief.replay({ messageIds: ids, idempotencyKey: 'last' });
    const more = { messageIds: ids, idempotencyKey: 'more' };
    await expect(thief.replay(more)).rejects.toThrow('RATE_LIMITED');
    expect((await create('more')).token).toMatch(/^naru_pat_/);
    expect((await create('more')).token).toBeNull();
  });

  test('at once does not pass the quota either', async () => {
    await addKeys(IDEMPOTENCY_KEYS_MAX - 5);
    const outcomes = await outcomesOf(Array.from({ length: 20 }, (_, at) => create(`k${at}`)));
    expect(outcomes.filter((outcome) => outcome === CREATED)).toHaveLength(5);
    expect(outcomes.filter((outcome) => outcome === 'RateLimitedError')).toHaveLength(15);
    expect(await countMade()).toBe(5);
    expect(await keysOf()).toHaveLength(IDEMPOTENCY_KEYS_MAX);
  });
});

describe('an account that is deleted', () => {
  test('takes its keys along', async () => {
    await query(
      `INSERT INTO password (user_id, hash) SELECT $1, p.hash FROM password p
       JOIN users u ON u.id = p.user_id WHERE u.username = 'alice'`,
      [me.userId],
    );
    const { accessToken } = await tokensOf(naru.url, { login: me.username });
    await create('a');
    const input = { password: SEED_PASSWORD };
    expect(await run(naru.url, 'deleteAccount', input, accessToken)).toBe('AccountDeleted');
    expect(await keysOf()).toEqual([]);
  });

  test('leaves none behind that was just being stored', async () => {
    const { inbox, ids } = await settledInbox();
    const blocker = await connectTo(naru.database);
    await blocker.query('BEGIN');
    // As the deletion does it, which comes before the key.
    await blocker.query('UPDATE users SET deleted_at = naru_now() WHERE id = $1', [me.userId]);
    const replayed = inbox.replay({ messageIds: ids, idempotencyKey: 'a' });
    const refused = expect(replayed).rejects.toThrow('UNAUTHENTICATED');
    await until(async () => (await countWaiting(blocker)) > 0);
    await blocker.query('COMMIT');
    await blocker.end();
    await refused;
    expect(await keysOf()).toEqual([]);
  });
});

describe('replayWebhookMessages', () => {
  test('with a key makes messages pending once, and answers with the counts of that time', async () => {
    const { inbox, ids } = await settledInbox();
    const input = { messageIds: ids, idempotencyKey: 'a' };
    expect(await inbox.replay(input)).toMatchObject({ count: 2, hasMore: false });
    await inbox.ack({ messageIds: ids });
    expect(await inbox.replay(input)).toMatchObject({ count: 2, hasMore: false });
    expect(await inbox.counts()).toMatchObject({ pending: 0, acknowledged: 2 });
    await expect(inbox.replay({ ...input, messageIds: ids.slice(1) })).rejects.toThrow(
      'IDEMPOTENCY_MISMATCH',
    );
    expect(await inbox.replay({ messageIds: ids })).toMatchObject({ count: 2 });
  });

  test('wants exactly one of filter and ids', async () => {
    const { inbox, ids } = await settledInbox();
    const both = { filter: {}, messageIds: ids };
    for (const input of [{}, both, { filter: null }, { idempotencyKey: 'a' }]) {
      await expect(inbox.replay(input)).rejects.toThrow('INVALID_INPUT');
    }
    expect(await keysOf()).toEqual([]);
    expect(await inbox.replay({ filter: {}, messageIds: null })).toMatchObject({ count: 2 });
  });
});

/** Two messages that I have acknowledged. */
async function settledInbox() {
  const sourceId = await addSource(naru.app, `s-${me.userId}`, { username: me.username });
  await storeWebhooks(naru, [{ sourceId }, { sourceId }]);
  const inbox = createInboxClient(naru.url, me.token);
  const { deliveries } = await inbox.pull();
  const ids = deliveries.map(({ message }) => message.id);
  await inbox.ack({ messageIds: ids });
  return { inbox, ids };
}
