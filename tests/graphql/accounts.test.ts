import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { post, until } from '../support/graphql-client.ts';
import { createInboxClient, passTime } from '../support/inbox.ts';
import {
  BEHIND_PROXY,
  connectTo,
  countWaiting,
  fromElsewhere,
  GOOD_PASSWORD,
  mailedToken,
  mutate,
  outcomesOf,
  readMail,
  startProduction,
} from '../support/mutations.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';
import { cookieOf, pageHeaders, refresh, signIn, tokensOf } from '../support/sessions.ts';

const PARALLEL = 20;
const VIEWER = { query: '{ viewer { username } }' };
const PROFILE = 'user { displayName avatarUrl }';

let naru: TestNaru;
let people = 0;

beforeAll(async () => {
  const settings = { ...BEHIND_PROXY, PASSWORD_HASHES_AT_ONCE: '4' };
  naru = await startNaru({ settings });
});
beforeEach(() => naru.app.database.query('DELETE FROM clock_offset'));
afterAll(() => naru?.close());

interface Person {
  readonly userId: string;
  readonly username: string;
  readonly email: string;
  /** Of a session. */
  readonly token: string;
}

/** An account with the seeded password and a confirmed address, signed in. */
async function makePerson(given: { readonly username?: string } = {}): Promise<Person> {
  people += 1;
  const userId = newId();
  const username = given.username ?? `somebody${people}`;
  const email = `${username}@mail.example`;
  await naru.app.prisma.user.create({
    data: {
      id: userId,
      email,
      username,
      displayName: 'Somebody',
      emailVerifiedAt: new Date(),
      roles: ['USER'],
    },
  });
  await naru.app.database.query(
    `INSERT INTO password (user_id, hash) SELECT $1, p.hash FROM password p
     JOIN users u ON u.id = p.user_id WHERE u.username = 'alice'`,
    [userId],
  );
  const { accessToken: token } = await tokensOf(naru.url, { login: username });
  return { userId, username, email, token };
}

async function signInAs(login: string, password = SEED_PASSWORD) {
  const { result } = await signIn(naru.url, { login, password }, fromElsewhere());
  return result.data.signIn;
}

const findUser = (id: string) => naru.app.prisma.user.findUnique({ where: { id } });

describe('a profile', () => {
  const update = (token: string, input: Readonly<Record<string, unknown>>) =>
    mutate(naru.url, 'updateProfile', input, { token, selection: PROFILE });

  test('changes by what is given, and what is absent stays', async () => {
    const { token } = await makePerson();
    const avatarUrl = 'https://pictures.example/me.png';
    expect(await update(token, { displayName: ' 안녕 Ann 🌊 ', avatarUrl })).toEqual({
      __typename: 'ProfileUpdated',
      user: { displayName: '안녕 Ann 🌊', avatarUrl },
    });
    expect((await update(token, {})).user).toEqual({ displayName: '안녕 Ann 🌊', avatarUrl });
    expect((await update(token, { avatarUrl: null, displayName: null })).user).toEqual({
      displayName: '안녕 Ann 🌊',
      avatarUrl: null,
    });
  });

  test('is changed by a token that may write it, also one that may not read it', async () => {
    const { username } = await makePerson();
    const token = await naru.tokenFor(username, ['viewer:write']);
    expect((await update(token, { displayName: 'By script' })).user.displayName).toBe('By script');
  });

  test.each<[string, string]>([
    ['displayName', ''],
    ['displayName', 'a'.repeat(101)],
    ['displayName', 'Ann\u202enimdA'],
    ['displayName', '\u200b\u200b'],
    ['displayName', 'Ann\u0000'],
    ['avatarUrl', ''],
    ['avatarUrl', 'me.png'],
    ['avatarUrl', '//pictures.example/me.png'],
    ['avatarUrl', 'http://pictures.example/me.png'],
    ['avatarUrl', 'javascript:alert(1)'],
    ['avatarUrl', 'data:image/png;base64,AAAA'],
    ['avatarUrl', `https://pictures.example/${'a'.repeat(2_048)}`],
    ['avatarUrl', 'https://pictures.example/\u0000.png'],
    ['avatarUrl', 'https://pictures.example/\ud800.png'],
    ['avatarUrl', 'https://pictures.example/a\nb.png'],
    ['avatarUrl', 'https://ann:secret@pictures.example/me.png'],
  ])('refuses the %s %j and changes nothing', async (field, value) => {
    const { userId, token } = await makePerson();
    const other = field === 'displayName' ? { avatarUrl: null } : { displayName: 'Changed' };
    expect(await update(token, { ...other, [field]: value })).toMatchObject({
      __typename: 'InvalidInputError',
      field: `input.${field}`,
    });
    expect(await findUser(userId)).toMatchObject({ displayName: 'Somebody', avatarUrl: null });
  });
});

describe('an e-mail address', () => {
  const change = (token: string, email: string, password: string | null = SEED_PASSWORD) =>
    mutate(
      naru.url,
      'changeEmail',
      { email, password },
      { token, selection: 'needsConfirmation user { email }' },
    );
  const confirm = (token: string | null, mailed: string) =>
    mutate(
      naru.url,
      'verifyEmail',
      { token: mailed },
      { token, selection: 'user { email emailVerified }' },
    );

  test('changes once its mailbox has confirmed it, and the old one is told', async () => {
    const { token, username, email } = await makePerson();
    const wanted = `new-${username}@mail.example`;
    expect(await change(token, ` ${wanted.toUpperCase()} `)).toEqual({
      __typename: 'EmailChangeAccepted',
      needsConfirmation: true,
      user: { email },
    });
    expect(await signInAs(wanted)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await confirm(token, await mailedToken(naru, wanted))).toEqual({
      __typename: 'EmailVerified',
      user: { email: wanted, emailVerified: true },
    });
    expect((await signInAs(wanted)).__typename).toBe('SignedIn');
    expect(await signInAs(email)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect((await readMail(naru, email)).at(-1)?.subject).toBe('Your e-mail address was changed');
  });

  test('needs the password, and a session', async () => {
    const { token, username } = await makePerson();
    for (const wrong of ['not this one', null]) {
      expect(await change(token, 'wanted@mail.example', wrong)).toMatchObject({
        code: 'INVALID_CREDENTIALS',
      });
    }
    const script = await naru.tokenFor(username);
    expect(await change(script, 'wanted@mail.example')).toMatchObject({ code: 'FORBIDDEN' });
    expect(await readMail(naru, 'wanted@mail.example')).toEqual([]);
  });

  test('that another account has is answered alike, and nobody gets it', async () => {
    const { userId, token, email } = await makePerson();
    const owner = await makePerson();
    expect(await change(token, owner.email)).toMatchObject({ needsConfirmation: true });
    const mailed = await mailedToken(naru, owner.email);
    expect(await confirm(token, mailed)).toMatchObject({ code: 'CONFLICT' });
    expect(await findUser(userId)).toMatchObject({ email });
  });

  test('is confirmed by its own account only', async () => {
    const { userId, token, username } = await makePerson();
    const other = await makePerson();
    const wanted = `mine-${username}@mail.example`;
    await change(token, wanted);
    const mailed = await mailedToken(naru, wanted);
    expect(await confirm(other.token, mailed)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await confirm(null, mailed)).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await confirm(await naru.tokenFor(username), mailed)).toMatchObject({
      code: 'FORBIDDEN',
    });
    expect((await confirm(token, mailed)).user.email).toBe(wanted);
    expect(await findUser(userId)).toMatchObject({ email: wanted });
  });

  test(`is confirmed once, also by ${PARALLEL} at once`, async () => {
    const { token, username } = await makePerson();
    const wanted = `once-${username}@mail.example`;
    await change(token, wanted);
    const mailed = await mailedToken(naru, wanted);
    const answers = await outcomesOf(
      Array.from({ length: PARALLEL }, () => confirm(token, mailed)),
    );
    expect(answers.filter((answer) => answer === 'EmailVerified')).toHaveLength(1);
    expect(new Set(answers)).toEqual(new Set(['EmailVerified', 'InvalidCredentialsError']));
  });

  test('a mail counts for a day, and not beside a newer change', async () => {
    const { token, username } = await makePerson();
    const [first, second] = [`a-${username}@mail.example`, `b-${username}@mail.example`];
    await change(token, first);
    await change(token, second);
    const [old, newer] = [await mailedToken(naru, first), await mailedToken(naru, second)];
    expect((await confirm(token, newer)).user.email).toBe(second);
    expect(await confirm(token, old)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    const third = `c-${username}@mail.example`;
    await change(token, third);
    const late = await mailedToken(naru, third);
    await passTime(naru, 86_401);
    const again = (await tokensOf(naru.url, { login: username })).accessToken;
    expect(await confirm(again, late)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });

  test('of two accounts that confirm one address at the same time, one gets it', async () => {
    const [first, second] = [await makePerson(), await makePerson()];
    const wanted = `both-${first.username}@mail.example`;
    await change(first.token, wanted);
    const mailed = [await mailedToken(naru, wanted)];
    await change(second.token, wanted);
    mailed.push(await mailedToken(naru, wanted));
    const client = await connectTo(naru.database);
    try {
      // A third takes the address, and has not yet said whether for good: both wait behind it.
      const third = await makePerson();
      await client.query('BEGIN');
      await client.query('UPDATE users SET email = $2 WHERE id = $1', [third.userId, wanted]);
      const answers = outcomesOf([
        confirm(first.token, mailed[0] ?? ''),
        confirm(second.token, mailed[1] ?? ''),
      ]);
      await until(async () => (await countWaiting(client)) === 2);
      await client.query('ROLLBACK');
      expect((await answers).sort()).toEqual(['ConflictError', 'EmailVerified']);
    } finally {
      await client.end();
    }
  });

  test.each(['', 'nobody', 'a@b', 'a\r\nb@mail.example', 'a\u0000@mail.example'])(
    'refuses %j by its field',
    async (email) => {
      const { token } = await makePerson();
      expect(await change(token, email)).toMatchObject({
        __typename: 'InvalidInputError',
        field: 'input.email',
      });
    },
  );

  test('without mail counts at once, unconfirmed, and a taken one is told', async () => {
    const door = await startProduction({ SIGNUP: 'open' });
    try {
      for (const username of ['first', 'second']) {
        const email = `${username}@mail.example`;
        const input = { email, username, displayName: 'X', password: GOOD_PASSWORD };
        await mutate(door.url, 'signUp', input);
      }
      const given = { login: 'first', password: GOOD_PASSWORD };
      const { accessToken: token } = await tokensOf(door.url, given);
      const selection = 'needsConfirmation user { email emailVerified }';
      const ask = (email: string) =>
        mutate(door.url, 'changeEmail', { email, password: GOOD_PASSWORD }, { token, selection });
      expect(await ask('other@mail.example')).toEqual({
        __typename: 'EmailChangeAccepted',
        needsConfirmation: false,
        user: { email: 'other@mail.example', emailVerified: false },
      });
      expect(await ask('second@mail.example')).toMatchObject({ code: 'CONFLICT' });
    } finally {
      await door.close();
    }
  });
});

describe('deleting an account', () => {
  const remove = (token: string, password: string | null = SEED_PASSWORD) =>
    mutate(naru.url, 'deleteAccount', { password }, { token, selection: 'id' });

  /** The tables in which a word occurs, in whatever column: as text, within JSON, or as bytes. */
  async function tablesWith(word: string): Promise<string[]> {
    const { database } = naru.app;
    const tables = await database.query<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables
       WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1`,
    );
    const hex = Buffer.from(word).toString('hex');
    const found = await Promise.all(
      tables.map(async ({ name }) => {
        const rows = await database.query(
          `SELECT 1 FROM "${name}" t WHERE t::text ILIKE '%' || $1 || '%' OR t::text ILIKE '%' || $2 || '%' LIMIT 1`,
          [word, hex],
        );
        return rows.length > 0 ? [name] : [];
      }),
    );
    return found.flat();
  }

  test('leaves nothing personal in any table, and its name is free again', async () => {
    const { app, url } = naru;
    // In everything that the account ever says of itself.
    const word = 'quagga';
    const person = { username: word, email: `${word}@mail.example` };
    const input = { ...person, displayName: 'Quagga Q', password: GOOD_PASSWORD };
    await mutate(url, 'signUp', input);
    // Asked for beside it, and never finished.
    await mutate(url, 'signUp', { ...input, username: 'quagga-two' });
    const [mail] = (await readMail(naru, person.email)).filter(({ text }) =>
      text.includes('_ott_'),
    );
    const token = /naru_ott_\S+/.exec(mail?.text ?? '')?.[0];
    expect((await mutate(url, 'verifyEmail', { token, password: GOOD_PASSWORD })).__typename).toBe(
      'EmailVerified',
    );
    const { id: userId } = await app.prisma.user.findUniqueOrThrow({ where: { username: word } });
    const given = { login: word, password: GOOD_PASSWORD };
    const agent = { 'user-agent': 'QuaggaBrowser/1.0' };
    await signIn(url, { ...given, transport: 'COOKIE' }, { ...pageHeaders(), ...agent });
    const { accessToken, refreshToken } = await tokensOf(url, given);
    const session = { token: accessToken };
    await mutate(url, 'updateProfile', { avatarUrl: 'https://quagga.example/q.png' }, session);
    const script = await mutate(
      url,
      'createPersonalAccessToken',
      { name: 'quagga script', scopes: ['webhooks:read', 'webhooks:pull'] },
      { ...session, selection: 'token' },
    );
    await app.prisma.gitHubAccount.create({
      data: {
        id: newId(),
        userId,
        githubId: 4711n,
        login: 'quagga-on-github',
        accessTokenSealed: Buffer.from('x'),
      },
    });
    await mutate(url, 'requestPasswordReset', { email: person.email });
    await mutate(
      url,
      'changeEmail',
      { email: 'quagga2@mail.example', password: GOOD_PASSWORD },
      session,
    );
    await app.database.query(
      `INSERT INTO webhook_source_grant (id, source_id, user_id)
       SELECT $1, id, $2 FROM webhook_source WHERE path = 'github'`,
      [newId(), userId],
    );
    await postGitHubWebhook(url, { repository: { id: 5, full_name: 'o/r' } });
    const inbox = createInboxClient(url, script.token);
    await until(async () => (await inbox.pull({ limit: 1 })).deliveries.length > 0);
    await readMail(naru, person.email);
    expect(await tablesWith(word)).toEqual([
      'github_account',
      'one_time_token',
      'personal_access_token',
      'session',
      'users',
    ]);

    const answer = await mutate(
      url,
      'deleteAccount',
      { password: GOOD_PASSWORD },
      { ...session, selection: 'id' },
    );
    expect(answer).toEqual({ __typename: 'AccountDeleted', id: encodeGlobalId('User', userId) });
    expect(await tablesWith(word)).toEqual([]);

    expect((await post(url, VIEWER, accessToken)).status).toBe(401);
    expect((await post(url, VIEWER, script.token)).status).toBe(401);
    expect((await refresh(url, refreshToken)).__typename).toBe('UnauthenticatedError');
    expect(await signInAs(word, GOOD_PASSWORD)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await signInAs(`deleted-${userId}`, GOOD_PASSWORD)).toMatchObject({
      code: 'INVALID_CREDENTIALS',
    });
    expect(await findUser(userId)).toMatchObject({
      username: `deleted-${userId}`,
      displayName: 'Deleted account',
      email: null,
      avatarUrl: null,
      roles: [],
      deletedAt: expect.any(Date),
    });
    // What other domains keep goes when they hear of it.
    const left = (table: string) =>
      app.database.query(`SELECT 1 FROM ${table} WHERE user_id = $1`, [userId]);
    for (const table of ['webhook_source_grant', 'webhook_delivery', 'webhook_inbox_floor']) {
      await until(async () => (await left(table)).length === 0);
    }
    for (const table of ['password', 'session', 'personal_access_token', 'one_time_token']) {
      expect(await left(table), table).toEqual([]);
    }
    // The log keeps ids.
    const entries = await app.prisma.auditEntry.findMany({ where: { actorId: userId } });
    expect(entries.map(({ action }) => action)).toContain('ACCOUNT_DELETED');

    await mutate(url, 'signUp', input);
    const again = await mailedToken(naru, person.email);
    expect(
      (await mutate(url, 'verifyEmail', { token: again, password: GOOD_PASSWORD })).__typename,
    ).toBe('EmailVerified');
  });

  test('needs the password, and a session', async () => {
    const { userId, token, username } = await makePerson();
    for (const wrong of ['not this one', '', null]) {
      expect(await remove(token, wrong)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    }
    expect(await remove(await naru.tokenFor(username))).toMatchObject({ code: 'FORBIDDEN' });
    expect(await findUser(userId)).toMatchObject({ deletedAt: null });
  });

  test('takes the cookie away', async () => {
    const { username } = await makePerson();
    const headers = pageHeaders(await cookieOf(naru.url, { login: username }));
    const operation = {
      query:
        'mutation ($input: DeleteAccountInput!) { deleteAccount(input: $input) { __typename } }',
      variables: { input: { password: SEED_PASSWORD } },
    };
    const answer = await post(naru.url, operation, null, headers);
    expect(answer.result.data.deleteAccount).toEqual({ __typename: 'AccountDeleted' });
    expect(answer.headers.getSetCookie()).toEqual([
      '__Host-naru=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure',
    ]);
  });

  test('twice at once is once', async () => {
    const { userId, token } = await makePerson();
    const client = await connectTo(naru.database);
    try {
      await client.query('BEGIN');
      await client.query('SELECT id FROM users WHERE id = $1 FOR UPDATE', [userId]);
      const both = outcomesOf([remove(token), remove(token)]);
      await until(async () => (await countWaiting(client)) === 2);
      await client.query('COMMIT');
      expect((await both).sort()).toEqual(['AccountDeleted', 'UnauthenticatedError']);
    } finally {
      await client.end();
    }
  });

  test('is refused to the last administrator', async () => {
    const { accessToken } = await tokensOf(naru.url, { login: 'admin' });
    expect(await remove(accessToken)).toMatchObject({ code: 'CONFLICT' });
    expect((await signInAs('admin')).__typename).toBe('SignedIn');
  });
});
