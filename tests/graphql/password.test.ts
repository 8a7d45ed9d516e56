import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '#lib/ids.ts';
import { CREDENTIAL_LIMITS } from '#resolvers/users/credential-limits.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { post, until } from '../support/graphql-client.ts';
import { passTime } from '../support/inbox.ts';
import {
  BEHIND_PROXY,
  connectTo,
  countHashes,
  countWaiting,
  fromElsewhere,
  GOOD_PASSWORD,
  mailedToken,
  mutate,
  outcomesOf,
  readMail,
  startProduction,
} from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { cookieOf, pageHeaders, refresh, signIn, tokensOf } from '../support/sessions.ts';

const PARALLEL = 20;
const OTHER_PASSWORD = 'eleven loud drummers';
const VIEWER = { query: '{ viewer { username } }' };

let naru: TestNaru;
let people = 0;

beforeAll(async () => {
  const settings = { ...BEHIND_PROXY, PASSWORD_HASHES_AT_ONCE: '4' };
  naru = await startNaru({ settings, runsJobs: false });
});
beforeEach(() => naru.app.database.query('DELETE FROM clock_offset'));
afterAll(() => naru?.close());

interface Person {
  readonly userId: string;
  readonly username: string;
  readonly email: string;
}

/** An account with the seeded password and a confirmed address. */
async function makePerson(given: { readonly isVerified?: boolean } = {}): Promise<Person> {
  people += 1;
  const userId = newId();
  const email = `password${people}@mail.example`;
  const username = `secretive${people}`;
  const emailVerifiedAt = given.isVerified === false ? null : new Date();
  await naru.app.prisma.user.create({
    data: {
      id: userId,
      email,
      username,
      displayName: 'Somebody',
      emailVerifiedAt,
      roles: ['USER'],
    },
  });
  await naru.app.database.query(
    `INSERT INTO password (user_id, hash) SELECT $1, p.hash FROM password p JOIN users u ON u.id = p.user_id
     WHERE u.username = 'alice'`,
    [userId],
  );
  return { userId, username, email };
}

const ask = (email: string) => mutate(naru.url, 'requestPasswordReset', { email });
const reset = (token: string, newPassword = GOOD_PASSWORD) =>
  mutate(naru.url, 'resetPassword', { token, newPassword }, { selection: 'endedSessions' });

async function signInAs(login: string, password: string) {
  const { result } = await signIn(naru.url, { login, password }, fromElsewhere());
  return result.data.signIn;
}

async function isIn(token: string): Promise<boolean> {
  const { status } = await post(naru.url, VIEWER, token);
  return status === 200;
}

describe('a reset by mail', () => {
  test('sets the password, and puts out whoever was in: sessions and tokens', async () => {
    const { userId, username, email } = await makePerson();
    const tokens = await tokensOf(naru.url, { login: username });
    const cookie = await cookieOf(naru.url, { login: username });
    const script = await naru.tokenFor(username);
    expect(await isIn(script)).toBe(true);
    expect(await ask(email)).toEqual({ __typename: 'PasswordResetRequested' });
    const token = await mailedToken(naru, email);
    expect(await isIn(tokens.accessToken)).toBe(true);
    expect(await reset(token)).toEqual({ __typename: 'PasswordReset', endedSessions: 2 });
    expect(await isIn(tokens.accessToken)).toBe(false);
    expect(await isIn(script)).toBe(false);
    expect((await refresh(naru.url, tokens.refreshToken)).__typename).toBe('UnauthenticatedError');
    const page = await post(naru.url, VIEWER, null, pageHeaders(cookie));
    expect(page.result.data).toEqual({ viewer: null });
    expect(await signInAs(username, SEED_PASSWORD)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect((await signInAs(email, GOOD_PASSWORD)).__typename).toBe('SignedIn');
    const [entry] = await naru.app.prisma.auditEntry.findMany({
      where: { action: 'PASSWORD_RESET', subjectId: userId },
    });
    expect(entry).toMatchObject({ actorId: userId, sessionId: null });
    expect((await readMail(naru, email)).at(-1)?.subject).toBe('Your password was changed');
  });

  test(`counts once, also for ${PARALLEL} at once`, async () => {
    const { username, email } = await makePerson();
    await ask(email);
    const token = await mailedToken(naru, email);
    const passwords = Array.from({ length: PARALLEL }, (_, at) => `${GOOD_PASSWORD} ${at}`);
    const answers = await Promise.all(passwords.map((password) => reset(token, password)));
    const done = answers.flatMap(({ __typename }, at) =>
      __typename === 'PasswordReset' ? [at] : [],
    );
    expect(done).toHaveLength(1);
    expect((await signInAs(username, `${GOOD_PASSWORD} ${done[0]}`)).__typename).toBe('SignedIn');
    expect(await reset(token)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });

  test('makes every other mail of its kind worthless, and so does a changed password', async () => {
    const { username, email } = await makePerson();
    const mailed: string[] = [];
    for (let sent = 0; sent < 3; sent += 1) {
      await ask(email);
      mailed.push(await mailedToken(naru, email));
    }
    expect(new Set(mailed).size).toBe(3);
    const [first = '', second = '', third = ''] = mailed;
    expect((await reset(second)).__typename).toBe('PasswordReset');
    expect(await reset(first)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await reset(third)).toMatchObject({ code: 'INVALID_CREDENTIALS' });

    const other = await makePerson();
    await ask(other.email);
    const token = await mailedToken(naru, other.email);
    const { accessToken } = await tokensOf(naru.url, { login: other.username });
    const input = { currentPassword: SEED_PASSWORD, newPassword: GOOD_PASSWORD };
    await mutate(naru.url, 'changePassword', input, { token: accessToken });
    expect(await reset(token, OTHER_PASSWORD)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect((await signInAs(username, GOOD_PASSWORD)).__typename).toBe('SignedIn');
  });

  test('counts for 30 minutes', async () => {
    const { email } = await makePerson();
    await ask(email);
    const early = await mailedToken(naru, email);
    await passTime(naru, 29 * 60);
    expect((await reset(early)).__typename).toBe('PasswordReset');
    await ask(email);
    const late = await mailedToken(naru, email);
    await passTime(naru, 30 * 60 + 1);
    expect(await reset(late)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });

  test('that went to an address before it changed is worthless', async () => {
    const { userId, email } = await makePerson();
    await ask(email);
    const token = await mailedToken(naru, email);
    await naru.app.prisma.user.update({ where: { id: userId }, data: { email: `new-${email}` } });
    expect(await reset(token)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });

  test('proves an address that had not been, and takes off what was linked before it was', async () => {
    const { userId, username, email } = await makePerson({ isVerified: false });
    await naru.app.prisma.gitHubAccount.create({
      data: { id: userId, userId, githubId: 77n, login: 'x', accessTokenSealed: Buffer.from('x') },
    });
    await ask(email);
    expect((await reset(await mailedToken(naru, email))).__typename).toBe('PasswordReset');
    expect(await naru.app.prisma.user.findUnique({ where: { username } })).toMatchObject({
      emailVerifiedAt: expect.any(Date),
    });
    expect(await naru.app.prisma.gitHubAccount.count({ where: { userId } })).toBe(0);
  });

  test('leaves a disabled account disabled, and brings no deleted one back', async () => {
    const { userId, username, email } = await makePerson();
    await ask(email);
    const token = await mailedToken(naru, email);
    await naru.app.prisma.user.update({ where: { id: userId }, data: { disabledAt: new Date() } });
    await reset(token);
    expect(await signInAs(username, GOOD_PASSWORD)).toMatchObject({ code: 'FORBIDDEN' });

    const gone = await makePerson();
    await ask(gone.email);
    const late = await mailedToken(naru, gone.email);
    const { accessToken } = await tokensOf(naru.url, { login: gone.username });
    await mutate(naru.url, 'deleteAccount', { password: SEED_PASSWORD }, { token: accessToken });
    expect(await reset(late)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });

  test('of an address without an account is answered alike, and its mailbox is told', async () => {
    const email = 'nobody-at-all@mail.example';
    expect(await ask(` ${email.toUpperCase()} `)).toEqual({ __typename: 'PasswordResetRequested' });
    const [mail] = await readMail(naru, email);
    expect(mail?.subject).toBe('There is no account with this address');
    expect(mail?.text).not.toContain('naru_ott_');
  });

  test('is mailed to one address as often as the limits say; more is answered alike', async () => {
    const { email } = await makePerson();
    const { points: perNetwork } = CREDENTIAL_LIMITS['mail-address-network'];
    const { points: everywhere } = CREDENTIAL_LIMITS['mail-address'];
    const headers = fromElsewhere();
    for (let asked = 0; asked < perNetwork + 2; asked += 1) {
      const answer = await mutate(naru.url, 'requestPasswordReset', { email }, { headers });
      expect(answer).toEqual({ __typename: 'PasswordResetRequested' });
    }
    expect(await readMail(naru, email)).toHaveLength(perNetwork);
    for (let asked = 0; asked < everywhere; asked += 1) {
      expect(await ask(email)).toEqual({ __typename: 'PasswordResetRequested' });
    }
    expect(await readMail(naru, email)).toHaveLength(everywhere);
  });

  test('is not kept away by somebody who signs up with the address over and over', async () => {
    const { email } = await makePerson();
    for (let asked = 0; asked < 5; asked += 1) {
      await mutate(naru.url, 'signUp', {
        email,
        username: `stranger-${asked}`,
        displayName: 'Stranger',
        password: GOOD_PASSWORD,
      });
    }
    await ask(email);
    expect((await reset(await mailedToken(naru, email))).__typename).toBe('PasswordReset');
  });

  test.each(['', 'alice', 'a@b@c.example', 'a\u0000@mail.example', '\ud800@mail.example'])(
    'of what is no address names the field (%#)',
    async (email) => {
      expect(await ask(email)).toMatchObject({
        __typename: 'InvalidInputError',
        field: 'input.email',
      });
    },
  );

  test.each(['', 'x', `naru_ott_${'A'.repeat(43)}`, '\u0000', 'x'.repeat(100_000)])(
    'by a token that was never given out costs no hash (%#)',
    async (token) => {
      const before = await countHashes(naru.app);
      expect(await reset(token)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
      expect(await countHashes(naru.app)).toBe(before);
    },
  );

  test('a bad new password names its field and leaves the token', async () => {
    const { username, email } = await makePerson();
    await ask(email);
    const token = await mailedToken(naru, email);
    for (const password of [
      'short',
      'password123',
      `${username}!`,
      'x'.repeat(100_000),
      '\u0000'.repeat(12),
    ]) {
      expect(await reset(token, password)).toMatchObject({
        __typename: 'InvalidInputError',
        field: 'input.newPassword',
      });
    }
    expect((await reset(token)).__typename).toBe('PasswordReset');
  });

  test('a token of another kind is none', async () => {
    const email = 'kind@mail.example';
    await mutate(naru.url, 'signUp', {
      email,
      username: 'kind',
      displayName: 'Kind',
      password: GOOD_PASSWORD,
    });
    const token = await mailedToken(naru, email);
    expect(await reset(token)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    await ask('alice@example.com');
    const other = await mailedToken(naru, 'alice@example.com');
    expect(
      await mutate(naru.url, 'verifyEmail', { token: other, password: SEED_PASSWORD }),
    ).toMatchObject({
      code: 'INVALID_CREDENTIALS',
    });
  });

  test('where no mail is sent is refused, whoever is asked for', async () => {
    const door = await startProduction();
    try {
      const answer = await mutate(door.url, 'requestPasswordReset', { email: 'a@mail.example' });
      expect(answer).toMatchObject({ code: 'FORBIDDEN' });
    } finally {
      await door.close();
    }
  });
});

describe('changing a password', () => {
  const change = (token: string, currentPassword: string | null, newPassword: string) =>
    mutate(
      naru.url,
      'changePassword',
      { currentPassword, newPassword },
      { token, selection: 'endedSessions user { username }' },
    );

  test('ends every other session, keeps this one and the tokens', async () => {
    const { username, email } = await makePerson();
    const here = await tokensOf(naru.url, { login: username });
    const there = await tokensOf(naru.url, { login: username });
    const script = await naru.tokenFor(username);
    expect(await change(here.accessToken, SEED_PASSWORD, GOOD_PASSWORD)).toEqual({
      __typename: 'PasswordChanged',
      endedSessions: 1,
      user: { username },
    });
    expect(await isIn(here.accessToken)).toBe(true);
    expect(await isIn(there.accessToken)).toBe(false);
    expect((await refresh(naru.url, there.refreshToken)).__typename).toBe('UnauthenticatedError');
    expect(await isIn(script)).toBe(true);
    expect(await signInAs(username, SEED_PASSWORD)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect((await signInAs(username, GOOD_PASSWORD)).__typename).toBe('SignedIn');
    expect((await readMail(naru, email)).at(-1)?.subject).toBe('Your password was changed');
  });

  test('needs the current one', async () => {
    const { username } = await makePerson();
    const { accessToken } = await tokensOf(naru.url, { login: username });
    for (const wrong of ['not this one', '', null]) {
      expect(await change(accessToken, wrong, GOOD_PASSWORD)).toMatchObject({
        code: 'INVALID_CREDENTIALS',
      });
    }
    expect((await signInAs(username, SEED_PASSWORD)).__typename).toBe('SignedIn');
  });

  test('takes ten wrong ones within one session, and the owner of another changes it', async () => {
    const { username } = await makePerson();
    const { accessToken } = await tokensOf(naru.url, { login: username });
    const { points } = CREDENTIAL_LIMITS['password-session'];
    const before = await countHashes(naru.app);
    const answers: string[] = [];
    for (let tried = 0; tried < points + 2; tried += 1) {
      answers.push((await change(accessToken, `wrong ${tried}`, GOOD_PASSWORD)).code);
    }
    expect(answers).toEqual([
      ...Array.from({ length: points }, () => 'INVALID_CREDENTIALS'),
      'RATE_LIMITED',
      'RATE_LIMITED',
    ]);
    expect(await countHashes(naru.app)).toBe(before + points);
    const own = await tokensOf(naru.url, { login: username });
    expect((await change(own.accessToken, SEED_PASSWORD, GOOD_PASSWORD)).__typename).toBe(
      'PasswordChanged',
    );
    // Whoever tried is out with that.
    expect(await isIn(accessToken)).toBe(false);
  });

  test('without a password needs a session of the last 15 minutes', async () => {
    const { userId, username } = await makePerson();
    const { accessToken, refreshToken } = await tokensOf(naru.url, { login: username });
    await naru.app.database.query('DELETE FROM password WHERE user_id = $1', [userId]);
    await passTime(naru, 15 * 60 + 1);
    const renewed = await refresh(naru.url, refreshToken);
    expect(await change(renewed.accessToken, null, GOOD_PASSWORD)).toMatchObject({
      code: 'FORBIDDEN',
    });
    await naru.app.database.query('DELETE FROM clock_offset');
    expect((await change(accessToken, null, GOOD_PASSWORD)).__typename).toBe('PasswordChanged');
    expect((await signInAs(username, GOOD_PASSWORD)).__typename).toBe('SignedIn');
  });

  test('a bad new one names its field and costs no hash', async () => {
    const { username } = await makePerson();
    const { accessToken } = await tokensOf(naru.url, { login: username });
    const before = await countHashes(naru.app);
    for (const password of ['short', 'password123', username, 'x'.repeat(100_000)]) {
      expect(await change(accessToken, SEED_PASSWORD, password)).toMatchObject({
        __typename: 'InvalidInputError',
        field: 'input.newPassword',
      });
    }
    expect(await countHashes(naru.app)).toBe(before);
  });

  test('of two at once, one changes it: the other proved a password that no longer counts', async () => {
    const { userId, username } = await makePerson();
    const { accessToken } = await tokensOf(naru.url, { login: username });
    const client = await connectTo(naru.database);
    try {
      await client.query('BEGIN');
      await client.query('SELECT id FROM users WHERE id = $1 FOR UPDATE', [userId]);
      const both = [GOOD_PASSWORD, OTHER_PASSWORD].map((password) =>
        change(accessToken, SEED_PASSWORD, password),
      );
      await until(async () => (await countWaiting(client)) === 2);
      await client.query('COMMIT');
      expect((await outcomesOf(both)).sort()).toEqual(['PasswordChanged', 'UnauthenticatedError']);
    } finally {
      await client.end();
    }
  });
});
