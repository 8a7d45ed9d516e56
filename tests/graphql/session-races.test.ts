// What happens when a session is used and ended at the same moment, in either order. The order is forced:
// the test holds a row that both want, lets them queue up in turn, and lets go.
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createOneTimeToken } from '#resolvers/users/one-time-token.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { addAccount, passTime, run, type TestAccount, viewerOf } from '../support/accounts.ts';
import { post, until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { refresh, signIn, type Tokens, tokensOf } from '../support/sessions.ts';

const NEW_PASSWORD = 'another landing by the sea';

let naru: TestNaru;
let other: TestNaru;
let admin: string;

beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
  other = await startNaru({ runsJobs: false, database: naru.database });
  admin = await naru.tokenFor('admin');
});
afterAll(async () => {
  await other?.close();
  await naru?.close();
});
afterEach(() => naru.app.database.query('DELETE FROM clock_offset'));

const query = <Row extends object>(text: string, values: readonly unknown[] = []) =>
  naru.app.database.query<Row>(text, values);

/** Holds what the statement locks, on a connection of its own, until it is let go. */
async function hold(statement: string, values: readonly unknown[] = [], database = naru.database) {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query('BEGIN');
  await client.query(statement, [...values]);
  return {
    /** Resolves once so many wait for a lock. */
    untilWaiting: (count: number) =>
      until(async () => {
        const { rows } = await client.query<{ count: number }>(
          `SELECT count(*)::int AS count FROM pg_stat_activity
           WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return rows[0]?.count === count;
      }),
    client,
    async letGo() {
      await client.query('COMMIT');
      await client.end();
    },
  };
}

/** Both want what is held; the first to ask gets it first. */
async function inOrder<First, Second>(
  held: Awaited<ReturnType<typeof hold>>,
  first: () => Promise<First>,
  second: () => Promise<Second>,
): Promise<[First, Second]> {
  const one = first();
  await held.untilWaiting(1);
  const two = second();
  await held.untilWaiting(2);
  await held.letGo();
  return Promise.all([one, two]);
}

interface Revoked extends TestAccount {
  /** The session that is to end. */
  readonly victim: Tokens;
  /** Another one of the account. */
  readonly owner: Tokens;
}

async function open(): Promise<Revoked> {
  const account = await addAccount(query);
  const { login } = account;
  const [victim, owner] = [
    await tokensOf(naru.url, { login }),
    await tokensOf(other.url, { login }),
  ];
  return { ...account, victim, owner };
}

const uuidOf = (globalId: string) =>
  Buffer.from(globalId, 'base64url').toString().replace(/^.*:/, '');

const REVOKES: readonly (readonly [string, string, (revoked: Revoked) => Promise<string>])[] = [
  ['signOut', 'SignedOut', ({ victim }) => run(other.url, 'signOut', {}, victim.accessToken)],
  [
    'signOut everywhere',
    'SignedOut',
    ({ owner }) => run(other.url, 'signOut', { everywhere: true }, owner.accessToken),
  ],
  [
    'revokeSession',
    'SessionRevoked',
    ({ owner, victim }) =>
      run(other.url, 'revokeSession', { id: victim.sessionId }, owner.accessToken),
  ],
  [
    'changePassword',
    'PasswordChanged',
    ({ owner }) =>
      run(
        other.url,
        'changePassword',
        { currentPassword: SEED_PASSWORD, newPassword: NEW_PASSWORD },
        owner.accessToken,
      ),
  ],
  ['resetPassword', 'PasswordReset', resetPassword],
  ['disableUser', 'UserDisabled', ({ id }) => run(other.url, 'disableUser', { userId: id }, admin)],
  [
    'deleteAccount',
    'AccountDeleted',
    ({ owner }) => run(other.url, 'deleteAccount', { password: SEED_PASSWORD }, owner.accessToken),
  ],
];

async function resetPassword({ userId, login }: TestAccount): Promise<string> {
  const { token } = await createOneTimeToken(naru.app.database, {
    purpose: 'RESET_PASSWORD',
    userId,
    payload: { email: `${login}@example.com` },
  });
  return run(other.url, 'resetPassword', { token, newPassword: NEW_PASSWORD });
}

/** The others take the account's row before they end a session. */
const WITHOUT_ACCOUNT_LOCK = ['signOut', 'revokeSession'];

/** Rows that refer to the account can still be written. */
const lockAccount = ({ userId }: TestAccount) =>
  hold('SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE', [userId]);

async function expectWorthless(
  accessTokens: readonly string[],
  refreshTokens: readonly string[],
): Promise<void> {
  for (const { url } of [naru, other]) {
    for (const token of accessTokens) expect(await viewerOf(url, token)).toBeNull();
    for (const token of refreshTokens) {
      expect((await refresh(url, token)).__typename).toBe('UnauthenticatedError');
    }
  }
}

describe.each(REVOKES)('a refresh against %s', (_name, done, revoke) => {
  const lockSession = (sessionId: string) =>
    hold('SELECT id FROM session WHERE id = $1 FOR UPDATE', [uuidOf(sessionId)]);

  test('that comes first hands out tokens, and none of them counts afterwards', async () => {
    const revoked = await open();
    const { victim } = revoked;
    const [refreshed, outcome] = await inOrder(
      await lockSession(victim.sessionId),
      () => refresh(naru.url, victim.refreshToken),
      () => revoke(revoked),
    );
    expect([refreshed.__typename, outcome]).toEqual(['SessionRefreshed', done]);
    await expectWorthless(
      [victim.accessToken, refreshed.accessToken],
      [refreshed.refreshToken, victim.refreshToken],
    );
  });

  test('that comes second is refused', async () => {
    const revoked = await open();
    const { victim } = revoked;
    const [outcome, refreshed] = await inOrder(
      await lockSession(victim.sessionId),
      () => revoke(revoked),
      () => refresh(naru.url, victim.refreshToken),
    );
    expect([outcome, refreshed.__typename]).toEqual([done, 'UnauthenticatedError']);
    await expectWorthless([victim.accessToken], [victim.refreshToken]);
  });

  test('that repeats a spent token gets nothing that counts, whichever comes first', async () => {
    const revoked = await open();
    const { victim } = revoked;
    const first = await refresh(naru.url, victim.refreshToken);
    const [outcome, again] = await inOrder(
      await lockSession(victim.sessionId),
      () => revoke(revoked),
      () => refresh(naru.url, first.refreshToken),
    );
    const repeated = await refresh(other.url, victim.refreshToken);
    expect([outcome, again.__typename, repeated.__typename]).toEqual([
      done,
      'UnauthenticatedError',
      'UnauthenticatedError',
    ]);
    await expectWorthless(
      [victim.accessToken, first.accessToken],
      [victim.refreshToken, first.refreshToken],
    );
  });
});

test('of two refreshes of one token the second gets what the first did', async () => {
  const { victim } = await open();
  const [first, second] = await inOrder(
    await hold('SELECT id FROM session WHERE id = $1 FOR UPDATE', [uuidOf(victim.sessionId)]),
    () => refresh(naru.url, victim.refreshToken),
    () => refresh(other.url, victim.refreshToken),
  );
  expect(first.__typename).toBe('SessionRefreshed');
  expect(second.refreshToken).toBe(first.refreshToken);
});

describe('a sign-in by the old password', () => {
  const AGAINST = [
    ['disableUser', 'UserDisabled', 'ForbiddenError'],
    ['changePassword', 'PasswordChanged', 'InvalidCredentialsError'],
    ['resetPassword', 'PasswordReset', 'InvalidCredentialsError'],
    ['deleteAccount', 'AccountDeleted', 'InvalidCredentialsError'],
  ] as const;
  const revokeBy = (name: string, revoked: Revoked) =>
    REVOKES.find(([known]) => known === name)?.[2](revoked) ?? expect.fail(name);

  test.each(AGAINST)('before %s opens a session that it ends', async (name, done) => {
    const revoked = await open();
    const [answer, outcome] = await inOrder(
      await lockAccount(revoked),
      () => signIn(naru.url, { login: revoked.login }),
      () => revokeBy(name, revoked),
    );
    const { __typename, accessToken, refreshToken } = answer.result.data.signIn;
    expect([__typename, outcome]).toEqual(['SignedIn', done]);
    await expectWorthless([accessToken], [refreshToken]);
  });

  test.each(AGAINST)('after %s is refused', async (name, done, refused) => {
    const revoked = await open();
    const [outcome, answer] = await inOrder(
      await lockAccount(revoked),
      () => revokeBy(name, revoked),
      () => signIn(naru.url, { login: revoked.login }),
    );
    expect([outcome, answer.result.data.signIn.__typename]).toEqual([done, refused]);
    const live = await query('SELECT id FROM session WHERE user_id = $1 AND ended_at IS NULL', [
      revoked.userId,
    ]);
    expect(live).toHaveLength(name === 'changePassword' ? 1 : 0);
  });

  test('before signOut everywhere opens a session that it ends', async () => {
    const revoked = await open();
    const [answer, outcome] = await inOrder(
      await lockAccount(revoked),
      () => signIn(naru.url, { login: revoked.login }),
      () => run(other.url, 'signOut', { everywhere: true }, revoked.owner.accessToken),
    );
    expect(outcome).toBe('SignedOut');
    const { accessToken, refreshToken } = answer.result.data.signIn;
    await expectWorthless([accessToken], [refreshToken]);
  });
});

describe('a personal access token that a session asks for', () => {
  const ask = ({ victim }: Revoked) =>
    run(
      naru.url,
      'createPersonalAccessToken',
      { name: 'x', scopes: ['viewer:read'], expiresInDays: 1 },
      victim.accessToken,
    );

  test.each(REVOKES)('is not made once %s has ended the session', async (name, done, revoke) => {
    const revoked = await open();
    const held = await lockAccount(revoked);
    // The session stands when it asks; it has ended when the token would be stored.
    const queues = !WITHOUT_ACCOUNT_LOCK.includes(name);
    const revoking = queues ? revoke(revoked) : null;
    if (queues) await held.untilWaiting(1);
    const asked = ask(revoked);
    await held.untilWaiting(queues ? 2 : 1);
    const outcome = revoking ?? revoke(revoked);
    if (!queues) await outcome;
    await held.letGo();
    expect(await outcome).toBe(done);
    expect(await asked).toBe('UnauthenticatedError');
    const tokens = await query('SELECT id FROM personal_access_token WHERE user_id = $1', [
      revoked.userId,
    ]);
    expect(tokens).toEqual([]);
  });
});

describe('what a session asks for, and has proven with the password,', () => {
  test.each([
    ['changePassword', { currentPassword: SEED_PASSWORD, newPassword: NEW_PASSWORD }],
    ['changeEmail', { password: SEED_PASSWORD, email: 'somebody.else@example.com' }],
    ['deleteAccount', { password: SEED_PASSWORD }],
  ])('is not done once it was ended: %s', async (name, input) => {
    const revoked = await open();
    const { login, owner, victim, userId } = revoked;
    const held = await lockAccount(revoked);
    const asked = run(naru.url, name, input, victim.accessToken);
    await held.untilWaiting(1);
    expect(await run(other.url, 'revokeSession', { id: victim.sessionId }, owner.accessToken)).toBe(
      'SessionRevoked',
    );
    await held.letGo();
    expect(await asked).toBe('UnauthenticatedError');
    expect(await viewerOf(naru.url, owner.accessToken)).toBe(login);
    const { result } = await signIn(naru.url, { login });
    expect(result.data.signIn.__typename).toBe('SignedIn');
    expect(await query('SELECT email FROM users WHERE id = $1', [userId])).toEqual([
      { email: `${login}@example.com` },
    ]);
  });
});

describe('looking at credentials', () => {
  test('waits for nobody who holds their rows, nor makes them wait', async () => {
    const { login, victim, userId } = await open();
    const { token } = (
      await post(
        naru.url,
        {
          query: `mutation { createPersonalAccessToken(input: {
            name: "x", scopes: ["viewer:read"], expiresInDays: 1
          }) { ... on PersonalAccessTokenCreated { token } } }`,
        },
        victim.accessToken,
      )
    ).result.data.createPersonalAccessToken;
    // Their use is due to be noted.
    await passTime(query, 120);
    const session = await hold('SELECT id FROM session WHERE user_id = $1 FOR UPDATE', [userId]);
    const tokens = await hold(
      'SELECT id FROM personal_access_token WHERE user_id = $1 FOR UPDATE',
      [userId],
    );
    expect(await viewerOf(naru.url, victim.accessToken)).toBe(login);
    expect(await viewerOf(naru.url, token)).toBe(login);
    await Promise.all([session.letGo(), tokens.letGo()]);
  });

  test('a look that began before a session ended answers for nobody who asks after it', async () => {
    const own = await startNaru({ runsJobs: false });
    try {
      const { accessToken, sessionId } = await tokensOf(own.url);
      // The statement stops in its middle, where it has long decided what it sees. (STABLE, it would be called
      // for planning already.)
      await own.app.database.query(
        `CREATE OR REPLACE FUNCTION naru_now() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
         BEGIN
           PERFORM pg_advisory_xact_lock_shared(4);
           RETURN statement_timestamp();
         END $$`,
      );
      const held = await hold('SELECT pg_advisory_xact_lock(4)', [], own.database);
      const before = viewerOf(own.url, accessToken);
      await held.untilWaiting(1);
      const revoking = new pg.Client({ connectionString: own.database.url });
      await revoking.connect();
      await revoking.query('UPDATE session SET ended_at = now() WHERE id = $1', [
        uuidOf(sessionId),
      ]);
      await revoking.end();
      const after = Array.from({ length: 20 }, () => viewerOf(own.url, accessToken));
      await held.letGo();
      // It saw the session as it was when it began.
      expect(await before).toBe('alice');
      expect(new Set(await Promise.all(after))).toEqual(new Set([null]));
    } finally {
      await own.close();
    }
  });
});
