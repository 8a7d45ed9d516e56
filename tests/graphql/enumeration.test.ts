// Nobody learns from what happens whether an account is there: not from the answer, and not from what is
// done for it. Every statement, every count of a limit and every hash is written down, and compared.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { newId } from '#lib/ids.ts';
import { CREDENTIAL_LIMITS } from '#resolvers/users/credential-limits.ts';
import { createServer, type Server } from '#server.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import {
  BEHIND_PROXY,
  fromElsewhere,
  GOOD_PASSWORD,
  mailedToken,
  mutate,
  sendMutation,
} from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { tokensOf } from '../support/sessions.ts';

const WRONG = 'not the password of any';

let naru: TestNaru;
let server: Server;
/** The door of the server that is watched. */
let url: string;
const steps: string[] = [];

/** The same services, which write down what is asked of them. */
function watched(app: Services): Services {
  const { database, credentialLimiter, passwords } = app;
  const watchSql = (sql: Sql): Sql => ({
    query(text, values, name) {
      steps.push(`statement ${name ?? text.replaceAll(/\s+/g, ' ')}`);
      return sql.query(text, values, name);
    },
  });
  return {
    ...app,
    database: {
      ...database,
      ...watchSql(database),
      transaction(work) {
        steps.push('begin');
        return database.transaction((sql) => work(watchSql(sql))).finally(() => steps.push('end'));
      },
    },
    credentialLimiter: {
      async take(wanted) {
        steps.push(`take ${wanted.map(({ name }) => name).join(' ')}`);
        const taken = await credentialLimiter.take(wanted);
        return {
          giveBack() {
            steps.push('give back');
            return taken.giveBack();
          },
        };
      },
      tryTake(wanted) {
        steps.push(`try to take ${wanted.name}`);
        return credentialLimiter.tryTake(wanted);
      },
    },
    passwords: {
      ...passwords,
      hash(password) {
        steps.push('hash');
        return passwords.hash(password);
      },
      verify(phc, password) {
        steps.push('verify');
        return passwords.verify(phc, password);
      },
    },
  };
}

beforeAll(async () => {
  naru = await startNaru({ settings: BEHIND_PROXY, runsJobs: false });
  server = await createServer(watched(naru.app));
  url = await server.listen();
  const { prisma } = naru.app;
  const displayName = 'Somebody';
  await prisma.user.createMany({
    data: [
      // Signs in by GitHub only.
      { username: 'passwordless', email: 'passwordless@mail.example' },
      { username: 'disabled', email: 'disabled@mail.example', disabledAt: new Date() },
      { username: 'unverified', email: 'unverified@mail.example', emailVerifiedAt: null },
    ].map((user) => ({ displayName, roles: ['USER' as const], ...user, id: newId() })),
  });
  await naru.app.database.query(
    `INSERT INTO password (user_id, hash) SELECT u.id, p.hash FROM users u, password p
     JOIN users a ON a.id = p.user_id
     WHERE a.username = 'alice' AND u.username IN ('disabled', 'unverified')`,
  );
  const { accessToken } = await tokensOf(naru.url, { login: 'bob' });
  const input = { password: SEED_PASSWORD };
  await mutate(naru.url, 'deleteAccount', input, { token: accessToken });
});
afterAll(async () => {
  await server?.close();
  await naru?.close();
});

interface Trace {
  readonly steps: readonly string[];
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Rows that were added. */
  readonly rows: Readonly<Record<string, number>>;
}

const TABLES = ['users', 'password', 'session', 'one_time_token', 'outgoing_mail', 'audit_entry'];

async function countRows(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of TABLES) {
    const [row] = await naru.app.database.query<{ count: string }>(`SELECT count(*) FROM ${table}`);
    counts[table] = Number(row?.count);
  }
  return counts;
}

/** All that one request does and answers, but for what differs each time for everybody. */
async function traceOf(
  field: string,
  input: Readonly<Record<string, unknown>>,
  given: Parameters<typeof sendMutation>[3] = {},
): Promise<Trace> {
  const before = await countRows();
  steps.length = 0;
  const { status, text, headers } = await sendMutation(url, field, input, given);
  const after = await countRows();
  const ignored = ['date', 'x-request-id'];
  return {
    steps: [...steps],
    status,
    text,
    headers: Object.fromEntries([...headers].filter(([name]) => !ignored.includes(name))),
    rows: Object.fromEntries(
      TABLES.map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]),
    ),
  };
}

/** Each does and answers what the first does, and that is something. */
async function expectAlike(
  field: string,
  inputs: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  given: Parameters<typeof sendMutation>[3] = {},
): Promise<Trace> {
  const traces: [string, Trace][] = [];
  for (const [name, input] of Object.entries(inputs)) {
    traces.push([name, await traceOf(field, input, given)]);
  }
  const [first] = traces;
  if (first === undefined) throw new Error('Nothing to compare');
  for (const [name, trace] of traces) expect(trace, name).toEqual(first[1]);
  expect(first[1].steps.length).toBeGreaterThan(0);
  return first[1];
}

describe('signing in with a wrong password', () => {
  const input = (login: string) => ({ login, password: WRONG, transport: 'TOKENS' });

  test('is the same for every kind of account and for none', async () => {
    const { steps: taken, text } = await expectAlike('signIn', {
      nobody: input('nobody'),
      'nobody’s address': input('nobody@mail.example'),
      alice: input('alice'),
      'alice’s address': input('alice@example.com'),
      'without a password': input('passwordless'),
      disabled: input('disabled'),
      unverified: input('unverified'),
      deleted: input('bob'),
      'no login at all': input(''),
      'no text': input('\u0000'),
    });
    expect(taken.filter((step) => step === 'verify')).toHaveLength(1);
    expect(text).toContain('InvalidCredentialsError');
  });

  test('is the same once the limit is reached', async () => {
    for (const login of ['nobody-else', 'audrey']) {
      // As from everywhere.
      for (let taken = 0; taken < CREDENTIAL_LIMITS['sign-in-login'].points; taken += 1) {
        await naru.app.credentialLimiter.take([{ name: 'sign-in-login', key: login }]);
      }
    }
    const strip = ({ text, ...rest }: Trace) => ({
      ...rest,
      headers: { ...rest.headers, 'content-length': '' },
      text: text.replace(/in \d+ s/, 'in N s'),
    });
    const nobody = strip(await traceOf('signIn', input('nobody-else')));
    expect(nobody.text).toContain('RateLimitedError');
    expect(strip(await traceOf('signIn', input('audrey')))).toEqual(nobody);
  });
});

describe('signing up where mail is sent', () => {
  let people = 0;
  const input = (given: Readonly<Record<string, unknown>> = {}) => {
    people += 1;
    return {
      email: `new${people}@mail.example`,
      username: `new${people}`,
      displayName: 'New',
      password: GOOD_PASSWORD,
      ...given,
    };
  };

  test('is the same whether address or name are free, taken, or were once', async () => {
    const { steps: taken, rows } = await expectAlike('signUp', {
      free: input(),
      address: input({ email: 'alice@example.com' }),
      username: input({ username: 'alice' }),
      both: input({ email: 'alice@example.com', username: 'alice' }),
      'of two accounts': input({ email: 'oscar@example.com', username: 'alice' }),
      disabled: input({ email: 'disabled@mail.example' }),
      deleted: input({ email: 'bob@example.com', username: 'bob' }),
    });
    expect(taken.filter((step) => step === 'hash')).toHaveLength(1);
    expect(rows).toMatchObject({ users: 0, one_time_token: 1, outgoing_mail: 1 });
  });

  test('is the same once no more mail goes to the address', async () => {
    const emails = ['silent@mail.example', 'admin@example.com'];
    for (const email of emails) {
      for (let sent = 0; sent < CREDENTIAL_LIMITS['mail-address'].points; sent += 1) {
        await mutate(url, 'signUp', input({ email }));
      }
    }
    const [free, taken] = emails;
    const { rows } = await expectAlike('signUp', {
      free: input({ email: free }),
      taken: input({ email: taken }),
    });
    expect(rows).toMatchObject({ outgoing_mail: 0 });
  });

  test('a token with a wrong password is the same as no token', async () => {
    const person = input();
    await mutate(url, 'signUp', person);
    const token = await mailedToken(naru, person.email);
    // Both are words of one sentence.
    await expectAlike('verifyEmail', {
      none: { token: `naru_ott_${'A'.repeat(43)}`, password: WRONG },
      known: { token, password: WRONG },
    });
  });
});

describe('a forgotten password', () => {
  test('is the same for every kind of account and for none', async () => {
    const { rows, steps: taken } = await expectAlike('requestPasswordReset', {
      nobody: { email: 'nobody@mail.example' },
      alice: { email: 'alice@example.com' },
      'without a password': { email: 'passwordless@mail.example' },
      disabled: { email: 'disabled@mail.example' },
      unverified: { email: 'unverified@mail.example' },
      deleted: { email: 'bob@example.com' },
    });
    expect(rows).toMatchObject({ one_time_token: 1, outgoing_mail: 1 });
    expect(taken).not.toContain('hash');
  });

  test('is the same once no more mail goes to the address', async () => {
    const [nobody, oscar] = ['nobody-there@mail.example', 'oscar@example.com'];
    for (const email of [nobody, oscar]) {
      for (let sent = 0; sent < CREDENTIAL_LIMITS['mail-address'].points; sent += 1) {
        await mutate(url, 'requestPasswordReset', { email });
      }
    }
    await expectAlike('requestPasswordReset', {
      nobody: { email: nobody },
      oscar: { email: oscar },
    });
  });

  test('a token that no longer counts is the same as one that never did', async () => {
    const email = 'unverified@mail.example';
    await mutate(url, 'requestPasswordReset', { email });
    const used = await mailedToken(naru, email);
    await mutate(url, 'resetPassword', { token: used, newPassword: GOOD_PASSWORD });
    await expectAlike('resetPassword', {
      never: { token: `naru_ott_${'A'.repeat(43)}`, newPassword: GOOD_PASSWORD },
      used: { token: used, newPassword: GOOD_PASSWORD },
    });
  });
});

describe('another e-mail address', () => {
  test('is asked for alike whether or not another account has it', async () => {
    const { accessToken: token } = await tokensOf(naru.url, { login: 'oscar' });
    const input = (email: string) => ({ email, password: SEED_PASSWORD });
    await expectAlike(
      'changeEmail',
      { free: input('free@mail.example'), taken: input('alice@example.com') },
      { token, headers: fromElsewhere() },
    );
  });
});
