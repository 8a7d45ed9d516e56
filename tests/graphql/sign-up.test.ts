import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createOneTimeToken } from '#resolvers/users/one-time-token.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { passTime } from '../support/inbox.ts';
import {
  BEHIND_PROXY,
  countHashes,
  GOOD_PASSWORD,
  mailedToken,
  mutate,
  outcomesOf,
  readMail,
  startProduction,
} from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { signIn } from '../support/sessions.ts';

const PARALLEL = 20;
const DAY_SECONDS = 86_400;

let people = 0;

/** Somebody new. */
function somebody(given: Readonly<Record<string, unknown>> = {}) {
  people += 1;
  return {
    email: `person${people}@mail.example`,
    username: `person${people}`,
    displayName: `Person ${people}`,
    password: GOOD_PASSWORD,
    ...given,
  };
}

type Door = Pick<TestNaru, 'url' | 'app'>;

const signUp = (door: Door, input: Readonly<Record<string, unknown>>) =>
  mutate(door.url, 'signUp', input, { selection: 'nextStep' });

const verify = (door: Door, token: string, password: string | null = GOOD_PASSWORD) =>
  mutate(
    door.url,
    'verifyEmail',
    { token, password },
    { selection: 'user { username displayName email emailVerified roles }' },
  );

async function countUsers({ app }: Door): Promise<number> {
  return app.prisma.user.count();
}

function invite({ app }: Door): Promise<{ readonly token: string }> {
  return createOneTimeToken(app.database, { purpose: 'INVITATION', userId: null, payload: {} });
}

describe('where mail is sent', () => {
  let naru: TestNaru;
  beforeAll(async () => {
    // More at once than anybody waits in line here.
    const settings = { ...BEHIND_PROXY, PASSWORD_HASHES_AT_ONCE: '4' };
    naru = await startNaru({ settings, runsJobs: false });
  });
  beforeEach(() => naru.app.database.query('DELETE FROM clock_offset'));
  afterAll(() => naru?.close());

  test('an account is there once the mail’s token came back with the password', async () => {
    const person = somebody({ email: ' Person@Mail.Example ', username: 'Per-Son' });
    const before = await countUsers(naru);
    expect(await signUp(naru, person)).toEqual({
      __typename: 'SignUpAccepted',
      nextStep: 'VERIFY_EMAIL',
    });
    expect(await countUsers(naru)).toBe(before);
    expect(
      (await signIn(naru.url, { login: 'per-son', password: GOOD_PASSWORD })).result.data.signIn,
    ).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    const token = await mailedToken(naru, 'person@mail.example');
    expect(await verify(naru, token)).toEqual({
      __typename: 'EmailVerified',
      user: {
        username: 'per-son',
        displayName: person.displayName,
        email: 'person@mail.example',
        emailVerified: true,
        roles: ['USER'],
      },
    });
    expect(
      (await signIn(naru.url, { login: 'per-son', password: GOOD_PASSWORD })).result.data.signIn,
    ).toMatchObject({ __typename: 'SignedIn' });
    const [entry] = await naru.app.prisma.auditEntry.findMany({ where: { action: 'SIGNED_UP' } });
    expect(entry).toMatchObject({ subjectType: 'User' });
  });

  test('nothing of what was asked for is kept once the account is there', async () => {
    const person = somebody();
    await signUp(naru, person);
    await verify(naru, await mailedToken(naru, person.email));
    const rows = await naru.app.database.query(
      `SELECT 1 FROM one_time_token WHERE payload::text LIKE '%' || $1 || '%'`,
      [person.email],
    );
    expect(rows).toEqual([]);
  });

  test.each([
    ['address', { email: 'alice@example.com' }, 'You already have an account'],
    ['address in other letters', { email: 'ALICE@Example.COM' }, 'You already have an account'],
    [
      'username',
      { username: 'alice', email: 'new-alice@mail.example' },
      'Please choose another username',
    ],
  ])(
    'a taken %s gets the same answer, and only the mailbox is told',
    async (_name, given, subject) => {
      const person = somebody(given);
      const before = await countUsers(naru);
      expect(await signUp(naru, person)).toEqual({
        __typename: 'SignUpAccepted',
        nextStep: 'VERIFY_EMAIL',
      });
      const mails = await readMail(naru, String(person.email).toLowerCase());
      expect(mails.at(-1)?.subject).toBe(subject);
      expect(mails.at(-1)?.text).not.toContain('naru_ott_');
      expect(await countUsers(naru)).toBe(before);
    },
  );

  test('an account prepared for somebody else’s address is out of reach of both', async () => {
    // The attacker chooses the password; the victim has the mail.
    const person = somebody({ password: 'chosen by an attacker' });
    await signUp(naru, person);
    const token = await mailedToken(naru, person.email);
    const attempt = await verify(naru, token, 'the victim’s own words');
    expect(attempt).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await naru.app.prisma.user.count({ where: { email: person.email } })).toBe(0);
    // The victim signs up for itself: what was asked for before makes no second account.
    await signUp(naru, somebody({ email: person.email, username: person.username }));
    const own = await mailedToken(naru, person.email);
    expect((await verify(naru, own)).__typename).toBe('EmailVerified');
    expect(await verify(naru, token, 'chosen by an attacker')).toMatchObject({ code: 'CONFLICT' });
    const { result } = await signIn(naru.url, {
      login: person.email,
      password: 'chosen by an attacker',
    });
    expect(result.data.signIn).toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });

  test(`${PARALLEL} at once with one token make one account`, async () => {
    const person = somebody();
    await signUp(naru, person);
    const token = await mailedToken(naru, person.email);
    const answers = await Promise.all(Array.from({ length: PARALLEL }, () => verify(naru, token)));
    const made = answers.filter(({ __typename }) => __typename === 'EmailVerified');
    expect(made).toHaveLength(1);
    expect(new Set(answers.map(({ __typename }) => __typename))).toEqual(
      new Set(['EmailVerified', 'InvalidCredentialsError']),
    );
    expect(await naru.app.prisma.user.count({ where: { email: person.email } })).toBe(1);
  });

  test('of two who confirmed one username, one gets it', async () => {
    const first = somebody();
    const second = somebody({ username: first.username });
    await signUp(naru, first);
    await signUp(naru, second);
    const tokens = [await mailedToken(naru, first.email), await mailedToken(naru, second.email)];
    const answers = await outcomesOf(tokens.map((token) => verify(naru, token)));
    expect(answers.sort()).toEqual(['ConflictError', 'EmailVerified']);
  });

  test('a token of a sign-up counts for a day', async () => {
    const [early, late] = [somebody(), somebody()];
    await signUp(naru, early);
    await signUp(naru, late);
    const tokens = [await mailedToken(naru, early.email), await mailedToken(naru, late.email)];
    await passTime(naru, DAY_SECONDS - 60);
    expect((await verify(naru, tokens[0] ?? '')).__typename).toBe('EmailVerified');
    await passTime(naru, 120);
    expect(await verify(naru, tokens[1] ?? '')).toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });

  test.each([
    '',
    'nonsense',
    'naru_ott_short',
    `naru_ott_${'A'.repeat(43)}`,
    `naru_pat_${'A'.repeat(43)}`,
    '\u0000',
    '\ud800',
    'x'.repeat(100_000),
  ])('no account comes of a token that was never given out (%#)', async (token) => {
    expect(await verify(naru, token)).toMatchObject({ code: 'INVALID_CREDENTIALS' });
  });

  describe('one account a name, however it is written', () => {
    // What somebody else might type or paste for the same thing.
    test.each([
      ['username', { username: 'ALICE' }],
      ['username', { username: ' alice ' }],
      ['username', { username: 'ａｌｉｃｅ' }],
      ['username', { username: '𝐚𝐥𝐢𝐜𝐞' }],
      ['email', { email: 'Alice@EXAMPLE.com' }],
      ['email', { email: 'ａｌｉｃｅ@example.com' }],
      ['email', { email: 'alice＠example.com' }],
    ])('the same %s: %j', async (name, given) => {
      const person = somebody(given);
      await signUp(naru, person);
      const address = name === 'email' ? 'alice@example.com' : person.email;
      const mail = (await readMail(naru, address)).at(-1);
      expect(mail?.subject).toBe(
        name === 'email' ? 'You already have an account' : 'Please choose another username',
      );
      // For one address the next cases would have no mail left.
      await naru.app.redis.eval(
        `for _, key in ipairs(redis.call('keys', ARGV[1])) do redis.call('del', key) end`,
        0,
        `${naru.app.config.redisKeyPrefix}limit:mail-address*`,
      );
    });

    test('a suffix makes another address, since only its mail server knows better', async () => {
      const person = somebody({ email: 'alice+shop@example.com' });
      await signUp(naru, person);
      expect(
        (await verify(naru, await mailedToken(naru, 'alice+shop@example.com'))).user.email,
      ).toBe('alice+shop@example.com');
    });

    test('an international domain is one address in both of its spellings', async () => {
      const person = somebody({ email: 'ann@bücher.example' });
      await signUp(naru, person);
      const token = await mailedToken(naru, 'ann@xn--bcher-kva.example');
      expect((await verify(naru, token)).__typename).toBe('EmailVerified');
      for (const login of ['ann@bücher.example', 'Ann@XN--bcher-kva.example']) {
        const { result } = await signIn(naru.url, { login, password: GOOD_PASSWORD });
        expect(result.data.signIn.__typename, login).toBe('SignedIn');
      }
    });
  });

  describe('bad input names its field', () => {
    const INVISIBLE = '\u200b\u2060\u3164';
    test.each<[string, string, unknown]>([
      ['email', 'nothing', ''],
      ['email', 'no domain', 'alice'],
      ['email', 'two at signs', 'a@b@example.com'],
      ['email', 'a header injection', 'a@example.com\r\nBcc: b@example.com'],
      ['email', 'U+0000', 'a\u0000@example.com'],
      ['email', 'half a surrogate pair', '\ud800@example.com'],
      ['email', '100,000 characters', `${'a'.repeat(100_000)}@example.com`],
      ['username', 'nothing', ''],
      ['username', 'two characters', 'ab'],
      ['username', '33 characters', 'a'.repeat(33)],
      ['username', 'an at sign', 'alice@example.com'],
      ['username', 'a space', 'al ice'],
      ['username', 'Cyrillic letters that look Latin', 'аlice'],
      ['username', 'a dash at its end', 'alice-'],
      ['username', 'U+0000', 'ali\u0000ce'],
      ['username', '100,000 characters', 'a'.repeat(100_000)],
      ['displayName', 'nothing', ''],
      ['displayName', 'spaces', '   '],
      ['displayName', '101 characters', 'a'.repeat(101)],
      ['displayName', 'a line break', 'Ann\nAdmin'],
      ['displayName', 'a line separator', 'Ann\u2028Admin'],
      ['displayName', 'U+0000', 'Ann\u0000'],
      ['displayName', 'an escape', '\u001b[31mAnn'],
      ['displayName', 'a right-to-left override', 'Ann\u202enimdA'],
      ['displayName', 'an isolate', '\u2066Ann'],
      ['displayName', 'an Arabic letter mark', 'Ann\u061c'],
      ['displayName', 'half a surrogate pair', 'Ann\ud800'],
      ['displayName', 'nothing that can be seen', INVISIBLE],
      ['displayName', '100,000 characters', 'a'.repeat(100_000)],
      ['password', 'nothing', ''],
      ['password', 'nine characters', 'nine char'],
      ['password', '257 characters', 'abcd efgh '.repeat(26).slice(0, 257)],
      ['password', 'U+0000', 'seven quiet\u0000lanterns'],
      ['password', 'half a surrogate pair', 'seven quiet \ud800'],
      ['password', 'a common one', 'password123'],
      ['password', 'a common one in disguise', 'P@ssw0rd2024'],
      ['password', 'one that repeats itself', 'abcabcabcabc'],
      ['password', 'the username', 'lantern-keeper'],
      ['password', 'the address', 'keeper@lantern.example'],
      ['password', 'the name of this server', 'naru-naru-naru'],
    ])('%s: %s', async (field, _what, value) => {
      const before = await countHashes(naru.app);
      const own = { username: 'lantern-keeper', email: 'keeper@lantern.example' };
      const answer = await signUp(naru, somebody({ ...own, [field]: value }));
      expect(answer).toMatchObject({
        __typename: 'InvalidInputError',
        field: `input.${field}`,
      });
      expect(await countHashes(naru.app)).toBe(before);
    });

    test('nothing of the fault repeats the password', async () => {
      const password = 'password123';
      expect(JSON.stringify(await signUp(naru, somebody({ password })))).not.toContain(password);
    });
  });

  test('a password of one megabyte costs no hash and no wait', async () => {
    const before = await countHashes(naru.app);
    const body = JSON.stringify({ password: 'a'.repeat(2 ** 20) });
    const response = await fetch(`${naru.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect(response.status).toBe(413);
    // As long as what still fits a request.
    const long = 'é'.repeat(60_000);
    expect(await signUp(naru, somebody({ password: long }))).toMatchObject({
      field: 'input.password',
    });
    const { result } = await signIn(naru.url, { password: long });
    expect(result.data.signIn).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(await countHashes(naru.app)).toBe(before);
  });

  test('the longest and the shortest password that count do count', async () => {
    const long = Array.from({ length: 256 }, (_, at) => String.fromCodePoint(0x4e00 + at * 7)).join(
      '',
    );
    for (const password of ['zehn Böen!', long]) {
      const person = somebody({ password });
      expect((await signUp(naru, person)).__typename).toBe('SignUpAccepted');
      await verify(naru, await mailedToken(naru, person.email), password);
      const { result } = await signIn(naru.url, {
        login: person.username,
        password: password.normalize('NFD'),
      });
      expect(result.data.signIn.__typename).toBe('SignedIn');
    }
  });
});

describe('without mail, as in production without SMTP_URL', () => {
  let naru: Door & Pick<TestNaru, 'close'>;
  beforeAll(async () => {
    naru = await startProduction({ SIGNUP: 'open' });
  });
  afterAll(() => naru?.close());

  test('the account is there at once, its address unconfirmed', async () => {
    const person = somebody();
    expect(await signUp(naru, person)).toEqual({
      __typename: 'SignUpAccepted',
      nextStep: 'SIGN_IN',
    });
    expect(await naru.app.prisma.user.findUnique({ where: { email: person.email } })).toMatchObject(
      {
        username: person.username,
        emailVerifiedAt: null,
        roles: ['USER'],
      },
    );
    const { result } = await signIn(naru.url, { login: person.email, password: GOOD_PASSWORD });
    expect(result.data.signIn.__typename).toBe('SignedIn');
  });

  test('a taken name or address is told, as the schema says', async () => {
    const person = somebody();
    await signUp(naru, person);
    for (const given of [{ email: person.email }, { username: person.username.toUpperCase() }]) {
      expect(await signUp(naru, somebody(given))).toMatchObject({ code: 'CONFLICT' });
    }
  });

  test(`of ${PARALLEL} at once for one name, one gets it`, async () => {
    const { username } = somebody();
    // Overflowing the hashes' queue is answered, too.
    const answers = await Promise.all(
      Array.from({ length: PARALLEL }, () => signUp(naru, somebody({ username }))),
    );
    const accepted = answers.filter(({ __typename }) => __typename === 'SignUpAccepted');
    expect(accepted).toHaveLength(1);
    expect(await naru.app.prisma.user.count({ where: { username } })).toBe(1);
  });
});

describe('by invitation', () => {
  let naru: TestNaru;
  beforeAll(async () => {
    const settings = { ...BEHIND_PROXY, SIGNUP: 'invite', PASSWORD_HASHES_AT_ONCE: '4' };
    naru = await startNaru({ settings, runsJobs: false });
  });
  beforeEach(() => naru.app.database.query('DELETE FROM clock_offset'));
  afterAll(() => naru?.close());

  test('without one, or with one that does not count, nothing is hashed', async () => {
    const used = await invite(naru);
    const guest = somebody({ invitation: used.token });
    await signUp(naru, guest);
    await verify(naru, await mailedToken(naru, guest.email));
    expect(await signUp(naru, somebody({ invitation: used.token }))).toMatchObject({
      field: 'input.invitation',
    });
    const expired = await invite(naru);
    await passTime(naru, 7 * DAY_SECONDS + 1);
    const before = await countHashes(naru.app);
    for (const invitation of [null, '', 'x', used.token, expired.token, '\u0000']) {
      expect(await signUp(naru, somebody({ invitation }))).toMatchObject({
        __typename: 'InvalidInputError',
        field: 'input.invitation',
      });
    }
    expect(await countHashes(naru.app)).toBe(before);
  });

  test(`one invitation, ${PARALLEL} who confirm at once: one account`, async () => {
    const { token: invitation } = await invite(naru);
    const guests = Array.from({ length: PARALLEL }, () => somebody({ invitation }));
    const tokens: string[] = [];
    for (const guest of guests) {
      await signUp(naru, guest);
      tokens.push(await mailedToken(naru, guest.email));
    }
    const before = await countUsers(naru);
    const answers = await outcomesOf(tokens.map((token) => verify(naru, token)));
    expect(answers.filter((answer) => answer === 'EmailVerified')).toHaveLength(1);
    expect(new Set(answers)).toEqual(new Set(['EmailVerified', 'ConflictError']));
    expect(await countUsers(naru)).toBe(before + 1);
  });

  test('one that nobody confirms is there for another', async () => {
    const { token: invitation } = await invite(naru);
    await signUp(naru, somebody({ invitation, email: 'mistyped@mail.example' }));
    const guest = somebody({ invitation });
    await signUp(naru, guest);
    expect((await verify(naru, await mailedToken(naru, guest.email))).__typename).toBe(
      'EmailVerified',
    );
  });

  test('bad input does not use it up', async () => {
    const { token } = await invite(naru);
    await signUp(naru, somebody({ invitation: token, password: 'short' }));
    expect((await signUp(naru, somebody({ invitation: token }))).__typename).toBe('SignUpAccepted');
  });
});

describe('closed', () => {
  test('nobody signs up, whatever they bring', async () => {
    const settings = { ...BEHIND_PROXY, SIGNUP: 'closed' };
    const naru = await startNaru({ settings, runsJobs: false });
    try {
      const { token } = await invite(naru);
      for (const invitation of [null, token]) {
        expect(await signUp(naru, somebody({ invitation }))).toMatchObject({ code: 'FORBIDDEN' });
      }
      expect(await countHashes(naru.app)).toBe(0);
      const { result } = await signIn(naru.url, { password: SEED_PASSWORD });
      expect(result.data.signIn.__typename).toBe('SignedIn');
    } finally {
      await naru.close();
    }
  });

  test('is what production is without mail, unless told otherwise', async () => {
    const naru = await startProduction();
    try {
      expect(await signUp(naru, somebody())).toMatchObject({ code: 'FORBIDDEN' });
    } finally {
      await naru.close();
    }
  });
});
