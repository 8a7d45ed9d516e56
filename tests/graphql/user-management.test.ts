import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Role } from '#auth/viewer.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { openSocket, post, until } from '../support/graphql-client.ts';
import {
  BEHIND_PROXY,
  connectTo,
  countWaiting,
  fromElsewhere,
  mutate,
  outcomesOf,
} from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { refresh, signIn, tokensOf } from '../support/sessions.ts';

const VIEWER = { query: '{ viewer { username } }' };
const SEEDED = ['alice', 'bob', 'oscar', 'audrey', 'admin'];

let naru: TestNaru;
let admin: string;
let audrey: string;
let people = 0;

beforeAll(async () => {
  naru = await startNaru({ settings: BEHIND_PROXY, runsJobs: false });
  admin = (await tokensOf(naru.url, { login: 'admin' })).accessToken;
  audrey = await naru.tokenFor('audrey');
});
afterAll(() => naru?.close());

interface Page {
  readonly nodes: readonly { readonly username: string }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

interface Person {
  readonly userId: string;
  readonly id: string;
  readonly username: string;
}

/** An account with the seeded password. */
async function makePerson(roles: readonly Role[] = ['USER']): Promise<Person> {
  people += 1;
  const userId = newId();
  const username = `managed${people}`;
  await naru.app.prisma.user.create({
    data: { id: userId, username, displayName: `Managed ${people}`, roles: [...roles] },
  });
  await naru.app.database.query(
    `INSERT INTO password (user_id, hash) SELECT $1, p.hash FROM password p
     JOIN users u ON u.id = p.user_id WHERE u.username = 'alice'`,
    [userId],
  );
  return { userId, id: encodeGlobalId('User', userId), username };
}

const setRoles = (token: string, userId: string, roles: readonly Role[]) =>
  mutate(naru.url, 'setUserRoles', { userId, roles }, { token, selection: 'user { roles }' });
const disable = (token: string, userId: string) =>
  mutate(naru.url, 'disableUser', { userId }, { token, selection: 'user { disabledAt }' });
const enable = (token: string, userId: string) =>
  mutate(naru.url, 'enableUser', { userId }, { token, selection: 'user { disabledAt }' });

async function isIn(token: string): Promise<boolean> {
  return (await post(naru.url, VIEWER, token)).status === 200;
}

async function signInAs(login: string, password = SEED_PASSWORD) {
  const { result } = await signIn(naru.url, { login, password }, fromElsewhere());
  return result.data.signIn;
}

async function countAdmins(): Promise<number> {
  const where = { roles: { has: 'ADMIN' as const }, disabledAt: null, deletedAt: null };
  return naru.app.prisma.user.count({ where });
}

/** Without other administrators than these until the work is done. */
async function amongAdmins<Result>(
  ids: readonly string[],
  work: () => Promise<Result>,
): Promise<Result> {
  const { database } = naru.app;
  await database.query(
    `UPDATE users SET disabled_at = now() WHERE 'ADMIN' = ANY(roles) AND NOT id = ANY($1)`,
    [ids],
  );
  try {
    return await work();
  } finally {
    await database.query(
      `UPDATE users SET disabled_at = NULL, roles = '{USER,ADMIN}' WHERE username = 'admin'`,
    );
    await database.query(`UPDATE users SET roles = '{USER}' WHERE username LIKE 'managed%'`);
  }
}

/** Where all who change administrators wait, until the client's transaction ends. */
const HOLD_ADMINS = `SELECT pg_advisory_xact_lock(hashtextextended('naru administrators', 0))`;

describe('accounts', () => {
  const list = async (variables: Record<string, unknown> = {}, token = audrey) => {
    const query = `query ($filter: UserFilter, $first: Int, $after: String, $last: Int, $before: String) {
      users(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
        nodes { username email roles } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`;
    return (await post(naru.url, { query, variables }, token)).result;
  };
  const namesOf = async (filter: Record<string, unknown>) =>
    (await list({ filter, first: 100 })).data.users.nodes.map(
      ({ username }: { username: string }) => username,
    );

  test('are listed by pages, oldest first, each once', async () => {
    for (let made = 0; made < 7; made += 1) await makePerson();
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const { users }: { users: Page } = (await list({ first: 3, after })).data;
      seen.push(...users.nodes.map(({ username }) => username));
      after = users.pageInfo.hasNextPage ? users.pageInfo.endCursor : null;
    } while (after !== null);
    expect(seen.slice(0, 5)).toEqual(SEEDED);
    expect(seen).toHaveLength(await naru.app.prisma.user.count());
    expect(new Set(seen).size).toBe(seen.length);
    const last = (await list({ last: 2 })).data.users;
    expect(last.nodes.map(({ username }: { username: string }) => username)).toEqual(
      seen.slice(-2),
    );
    const before = (await list({ last: 2, before: last.pageInfo.startCursor })).data.users;
    expect(before.nodes.map(({ username }: { username: string }) => username)).toEqual(
      seen.slice(-4, -2),
    );
  });

  test('are found by part of a name or address, by role and by state', async () => {
    expect(await namesOf({ search: 'UDRE' })).toEqual(['audrey']);
    expect(await namesOf({ search: 'oscar@example' })).toEqual(['oscar']);
    expect(await namesOf({ roles: ['OPERATOR', 'AUDITOR'] })).toEqual(['oscar', 'audrey']);
    expect(await namesOf({ roles: [] })).toEqual([]);
    expect(await namesOf({ search: 'a', roles: ['ADMIN'] })).toEqual(['admin']);
    const { id, username } = await makePerson();
    await disable(admin, id);
    expect(await namesOf({ isDisabled: true })).toEqual([username]);
    expect(await namesOf({ isDisabled: false })).not.toContain(username);
    await enable(admin, id);
    const { accessToken } = await tokensOf(naru.url, { login: username });
    await mutate(naru.url, 'deleteAccount', { password: SEED_PASSWORD }, { token: accessToken });
    expect(await namesOf({ isDeleted: true })).toHaveLength(1);
    expect(await namesOf({ isDeleted: false })).not.toContain(username);
  });

  test.each(['%', '_', '\\', '\\%', "'", '" OR 1=1 --', '%a%'])(
    'a search for %j looks for just that',
    async (search) => {
      expect(await namesOf({ search })).toEqual([]);
    },
  );

  test.each(['\u0000', '\ud800', 'a'.repeat(101)])(
    'a search that cannot be one names the field (%#)',
    async (search) => {
      const [error] = (await list({ filter: { search } })).errors ?? [];
      expect(error?.extensions).toMatchObject({ code: 'INVALID_INPUT', field: 'filter.search' });
    },
  );

  test.each(['', 'x', 'R1BDOlM6eA', 'R1BDOlM6MDAwMA', '\u0000'])(
    'a page behind %j, which is no cursor, is refused',
    async (after) => {
      const { errors } = await list({ after });
      expect(errors?.[0]?.extensions.code).toBe('INVALID_INPUT');
    },
  );

  test('one is read by its id; what is no account, or none any more to be found, is null', async () => {
    const { id, username } = await makePerson();
    const read = async (wanted: string, token: string | null = audrey) => {
      const query = 'query ($id: ID!) { user(id: $id) { username } }';
      return (await post(naru.url, { query, variables: { id: wanted } }, token)).result;
    };
    expect((await read(id)).data).toEqual({ user: { username } });
    expect((await read(id, admin)).data).toEqual({ user: { username } });
    expect((await read(encodeGlobalId('User', newId()))).data).toEqual({ user: null });
    for (const wrong of ['', 'x', encodeGlobalId('Session', newId())]) {
      expect((await read(wrong)).errors?.[0]?.extensions.code, wrong).toBe('INVALID_INPUT');
    }
  });

  test('the sessions and tokens of others are nobody’s business, not even an administrator’s', async () => {
    const { id, username } = await makePerson();
    await tokensOf(naru.url, { login: username });
    await naru.tokenFor(username);
    for (const field of ['sessions', 'personalAccessTokens']) {
      const query = `query ($id: ID!) { user(id: $id) { ${field} { nodes { id } } } }`;
      const { errors } = (await post(naru.url, { query, variables: { id } }, admin)).result;
      expect(errors?.[0]?.extensions.code, field).toBe('FORBIDDEN');
    }
  });
});

describe('roles', () => {
  test('count from the very next call on, both ways', async () => {
    const { id, username } = await makePerson();
    const { accessToken } = await tokensOf(naru.url, { login: username });
    const script = await naru.tokenFor(username);
    const mayList = async (token: string) =>
      (await post(naru.url, { query: '{ users(first: 1) { nodes { id } } }' }, token)).result
        .errors === undefined;
    expect(await mayList(accessToken)).toBe(false);
    expect((await setRoles(admin, id, ['USER', 'AUDITOR', 'USER'])).user.roles).toEqual([
      'USER',
      'AUDITOR',
    ]);
    expect([await mayList(accessToken), await mayList(script)]).toEqual([true, true]);
    await setRoles(admin, id, ['USER']);
    expect([await mayList(accessToken), await mayList(script)]).toEqual([false, false]);
  });

  test('count from the next operation of an open socket on', async () => {
    const { id, username } = await makePerson(['USER', 'AUDITOR']);
    const { accessToken } = await tokensOf(naru.url, { login: username });
    const socket = await openSocket(naru.url, accessToken);
    const query = '{ users(first: 1) { nodes { id } } }';
    expect((await socket.run({ query })).errors).toBeUndefined();
    await setRoles(admin, id, ['USER']);
    expect((await socket.run({ query })).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    socket.ws.close();
  });

  test('none at all are refused by the field', async () => {
    const { id } = await makePerson();
    expect(await setRoles(admin, id, [])).toMatchObject({
      __typename: 'InvalidInputError',
      field: 'input.roles',
    });
  });

  test('are changed by a token that may read and write accounts, and by none that may one of it', async () => {
    const { id } = await makePerson();
    const roles = ['USER', 'OPERATOR'] as const;
    for (const scopes of [['users:read'], ['users:write']] as const) {
      const script = await naru.tokenFor('admin', scopes);
      expect(await setRoles(script, id, roles)).toMatchObject({ code: 'FORBIDDEN' });
    }
    const script = await naru.tokenFor('admin', ['users:read', 'users:write']);
    expect((await setRoles(script, id, roles)).user.roles).toEqual(roles);
  });

  test('leave an entry that says what they were and are', async () => {
    const { userId, id } = await makePerson();
    await setRoles(admin, id, ['USER', 'OPERATOR']);
    const [entry] = await naru.app.prisma.auditEntry.findMany({
      where: { action: 'ROLES_CHANGED', subjectId: userId },
    });
    expect(entry?.details).toEqual({ before: ['USER'], after: ['USER', 'OPERATOR'] });
  });
});

describe('disabling', () => {
  test('ends sessions, refuses password, refresh and tokens; enabling lets in again', async () => {
    const { id, username } = await makePerson();
    const { accessToken, refreshToken } = await tokensOf(naru.url, { login: username });
    const script = await naru.tokenFor(username);
    expect((await disable(admin, id)).user.disabledAt).not.toBeNull();
    expect([await isIn(accessToken), await isIn(script)]).toEqual([false, false]);
    expect((await refresh(naru.url, refreshToken)).__typename).toBe('UnauthenticatedError');
    expect(await signInAs(username)).toMatchObject({ code: 'FORBIDDEN' });
    // Nobody without the password learns that there is such an account.
    expect(await signInAs(username, 'not this one')).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect((await enable(admin, id)).user.disabledAt).toBeNull();
    expect([await isIn(accessToken), await isIn(script)]).toEqual([false, true]);
    expect((await signInAs(username)).__typename).toBe('SignedIn');
  });

  test('twice is once, with one entry; so is enabling', async () => {
    const { userId, id } = await makePerson();
    const first = await disable(admin, id);
    expect(await disable(admin, id)).toEqual(first);
    await enable(admin, id);
    await enable(admin, id);
    const entries = await naru.app.prisma.auditEntry.findMany({
      where: { subjectId: userId },
      orderBy: { id: 'asc' },
    });
    expect(entries.map(({ action }) => action)).toEqual(['ACCOUNT_DISABLED', 'ACCOUNT_ENABLED']);
  });

  test('what is not there is not found', async () => {
    const nobody = encodeGlobalId('User', newId());
    expect(await disable(admin, nobody)).toMatchObject({ code: 'NOT_FOUND' });
    expect(await enable(admin, nobody)).toMatchObject({ code: 'NOT_FOUND' });
    expect(await setRoles(admin, nobody, ['USER'])).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('the last administrator', () => {
  test('keeps the role and the account', async () => {
    const { userId, id, username } = await makePerson(['USER', 'ADMIN']);
    await amongAdmins([userId], async () => {
      const { accessToken: token } = await tokensOf(naru.url, { login: username });
      expect(await setRoles(token, id, ['USER'])).toMatchObject({ code: 'CONFLICT' });
      expect(await disable(token, id)).toMatchObject({ code: 'CONFLICT' });
      const answer = await mutate(
        naru.url,
        'deleteAccount',
        { password: SEED_PASSWORD },
        { token },
      );
      expect(answer).toMatchObject({ code: 'CONFLICT' });
      // Other roles beside it are no matter.
      expect((await setRoles(token, id, ['ADMIN'])).__typename).toBe('UserRolesSet');
    });
  });

  test.each(['setUserRoles', 'disableUser', 'deleteAccount'] as const)(
    'is left when two go, or are sent, at the same moment: by %s',
    async (field) => {
      const both = [await makePerson(['ADMIN']), await makePerson(['ADMIN'])] as const;
      await amongAdmins([both[0].userId, both[1].userId], async () => {
        const tokens = await Promise.all(
          both.map(
            async ({ username }) => (await tokensOf(naru.url, { login: username })).accessToken,
          ),
        );
        const inputs = {
          setUserRoles: (at: number) => ({ userId: both[1 - at]?.id, roles: ['USER'] }),
          disableUser: (at: number) => ({ userId: both[1 - at]?.id }),
          deleteAccount: () => ({ password: SEED_PASSWORD }),
        };
        const client = await connectTo(naru.database);
        try {
          await client.query('BEGIN');
          await client.query(HOLD_ADMINS);
          const answers = outcomesOf(
            tokens.map((token, at) => mutate(naru.url, field, inputs[field](at), { token })),
          );
          await until(async () => (await countWaiting(client)) === 2);
          await client.query('COMMIT');
          const failures = (await answers).filter((name) => name.endsWith('Error'));
          expect(failures).toHaveLength(1);
        } finally {
          await client.end();
        }
        expect(await countAdmins()).toBe(1);
      });
    },
  );

  test('whoever lost the role while waiting no longer uses it', async () => {
    const [first, second, third] = [
      await makePerson(['ADMIN']),
      await makePerson(['ADMIN']),
      await makePerson(['ADMIN']),
    ];
    const { accessToken } = await tokensOf(naru.url, { login: first.username });
    const client = await connectTo(naru.database);
    try {
      await client.query('BEGIN');
      await client.query(HOLD_ADMINS);
      const answer = setRoles(accessToken, second.id, ['USER']);
      await until(async () => (await countWaiting(client)) === 1);
      await client.query(`UPDATE users SET roles = '{USER}' WHERE id = $1`, [first.userId]);
      await client.query('COMMIT');
      expect(await answer).toMatchObject({ code: 'FORBIDDEN' });
    } finally {
      await client.end();
    }
    expect(await naru.app.prisma.user.findUnique({ where: { id: second.userId } })).toMatchObject({
      roles: ['ADMIN'],
    });
    await setRoles(admin, second.id, ['USER']);
    await setRoles(admin, third.id, ['USER']);
  });
});
