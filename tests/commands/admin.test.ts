// The command line as real processes: what it prints, what it answers the shell, and what it leaves behind.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sealAuditEntries } from '#resolvers/users/audit-chain.ts';
import { createTestDatabase } from '../support/database.ts';
import { post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { signIn, tokensOf } from '../support/sessions.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const PASSWORD = 'three herons at the weir';
const CODE = /^naru_ott_[\w-]{43}\n$/;
const VIEWER = { query: '{ viewer { username roles emailVerified } }' };

let naru: TestNaru;
// Without jobs, so that the audit log is sealed when the test says so.
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false, settings: { SIGNUP: 'invite' } });
});
beforeEach(() => naru.app.database.query('DELETE FROM clock_offset'));
afterAll(() => naru?.close());

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Given {
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
}

/** `npm run --silent admin -- …`, without npm. */
function admin(args: readonly string[], { input = '', env = {} }: Given = {}): Promise<Ended> {
  return run([path.join(ROOT, 'src/commands/admin.ts'), ...args], input, env);
}

function run(
  args: readonly string[],
  input: string | Buffer,
  env: Readonly<Record<string, string>>,
): Promise<Ended> {
  const child = spawn(process.execPath, args, { cwd: ROOT, env: environment(env) });
  // A process that refuses before it reads has closed its end.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return ended(child);
}

function environment(env: Readonly<Record<string, string>>): Record<string, string> {
  const { PATH = '' } = process.env;
  return { PATH, NODE_ENV: 'test', DATABASE_URL: naru.database.url, ...env };
}

function ended(child: ReturnType<typeof spawn>): Promise<Ended> {
  const texts = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...texts }));
  });
}

function create(username: string, given: Given = {}, ...more: readonly string[]): Promise<Ended> {
  const args = ['--username', username, '--email', `${username}@example.org`, '--role', 'ADMIN'];
  return admin(['create', ...args, '--password-stdin', ...more], { input: PASSWORD, ...given });
}

/** The newest entry of this action. */
async function lastAudit(action: string) {
  const [entry] = await naru.app.database.query(
    `SELECT actor_id, session_id, ip_address, subject_type, subject_id, details FROM audit_entry
     WHERE action = $1 ORDER BY id DESC LIMIT 1`,
    [action],
  );
  return entry;
}

async function idOf(username: string): Promise<string | undefined> {
  const [user] = await naru.app.database.query<{ id: string }>(
    'SELECT id FROM users WHERE username = $1',
    [username],
  );
  return user?.id;
}

const BY_NOBODY = { actor_id: null, session_id: null, ip_address: null };

describe('create', () => {
  test('makes an administrator who can sign in, and an entry in the audit log', async () => {
    const { code, stdout, stderr } = await create('grace');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe('grace may sign in: ADMIN\n');
    const { accessToken } = await tokensOf(naru.url, { login: 'grace', password: PASSWORD });
    const { viewer } = (await post(naru.url, VIEWER, accessToken)).result.data;
    expect(viewer).toEqual({ username: 'grace', roles: ['ADMIN'], emailVerified: false });
    expect(await lastAudit('ACCOUNT_CREATED')).toEqual({
      ...BY_NOBODY,
      subject_type: 'User',
      subject_id: await idOf('grace'),
      details: { by: 'COMMAND_LINE', roles: ['ADMIN'] },
    });
  });

  test('gives the roles and the name that were asked for', async () => {
    const args = ['--username', 'Ada', '--email', 'Ada@Example.org', '--role', 'user,auditor'];
    const given = { input: `${PASSWORD}\n` };
    const more = ['--display-name', 'Ada L.', '--password-stdin'];
    expect((await admin(['create', ...args, ...more], given)).code).toBe(0);
    const [user] = await naru.app.database.query(
      `SELECT display_name, email, roles::text[] AS roles FROM users WHERE username = 'ada'`,
    );
    expect(user).toEqual({
      display_name: 'Ada L.',
      email: 'ada@example.org',
      roles: ['USER', 'AUDITOR'],
    });
    // The line break at the end belongs to the pipe, not to the password.
    const { result } = await signIn(naru.url, { login: 'ada', password: PASSWORD });
    expect(result.data.signIn.__typename).toBe('SignedIn');
  });

  test('takes no password as an argument, where every user of the machine sees it', async () => {
    const { code, stderr } = await create('mallory', {}, '--password', PASSWORD);
    expect([code, stderr]).toEqual([2, "Unknown option '--password'\n"]);
  });

  test('without a terminal, asks for the password to be piped', async () => {
    const args = ['--username', 'mallory', '--email', 'm@example.org', '--role', 'ADMIN'];
    const { code, stderr } = await admin(['create', ...args]);
    expect(code).toBe(2);
    expect(stderr).toBe('There is no terminal to ask for a password at: use --password-stdin\n');
  });

  test.each([
    ['a short password', { input: 'short' }, [], 'at least 10'],
    ['a password that is the name', { input: 'mallory-mallory' }, [], 'little more than a name'],
    ['a password that is not UTF-8', { input: Buffer.alloc(20, 0xff) }, [], 'UTF-8'],
    ['a megabyte of password', { input: 'x'.repeat(2 ** 20) }, [], 'too long'],
    ['a role that does not exist', {}, ['--role', 'ROOT'], 'There is no role "ROOT"'],
    ['no role', {}, ['--role', ''], '--role'],
    ['what is no address', {}, ['--email', 'nowhere'], 'e-mail'],
    ['what is no username', {}, ['--username', 'a/b'], '3–32'],
    ['a name that turns text around', {}, ['--display-name', 'a\u202eb'], 'display name'],
    ['an option without its value', {}, ['--role', '--email'], "'--role' argument is ambiguous"],
    ['what is no option', {}, ['--admin'], "Unknown option '--admin'"],
    ['an argument of its own', {}, ['please'], "Unexpected argument 'please'"],
  ])('refuses %s in one line, with 2, and makes nothing', async (_name, given, more, words) => {
    const { code, stdout, stderr } = await create('mallory', given, ...more);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).toContain(words);
    expect(await idOf('mallory')).toBeUndefined();
  });

  test('refuses a name or an address that is taken, with 1', async () => {
    const name = await create('alice', {}, '--email', 'other@example.org');
    const address = await create('alicia', {}, '--email', 'ALICE@example.com');
    for (const { code, stderr } of [name, address]) {
      expect([code, stderr]).toEqual([1, 'The username or e-mail address is taken\n']);
    }
  });

  test.skipIf(process.platform !== 'linux')(
    'asks at a terminal, twice, and shows nothing of what is typed',
    async () => {
      const typed = await atTerminal('create', 'hedy', [PASSWORD, PASSWORD]);
      expect(typed.code).toBe(0);
      expect(typed.stdout).toContain('hedy may sign in');
      expect(typed.stdout).not.toContain('heron');
      const { result } = await signIn(naru.url, { login: 'hedy', password: PASSWORD });
      expect(result.data.signIn.__typename).toBe('SignedIn');
    },
  );

  test.skipIf(process.platform !== 'linux')(
    'at a terminal, two that differ, and Ctrl-C, make nothing',
    async () => {
      const differing = await atTerminal('create', 'mallory', [PASSWORD, 'another one, sadly']);
      expect([differing.code, differing.stdout]).toEqual([2, expect.stringContaining('differ')]);
      const left = await atTerminal('create', 'mallory', ['\u0003']);
      expect([left.code, left.stdout]).toEqual([2, expect.stringContaining('No password')]);
      expect(await idOf('mallory')).toBeUndefined();
    },
  );
});

/** Types each answer when the next question is there; what the terminal shows comes as `stdout`. */
function atTerminal(command: string, username: string, answers: readonly string[]): Promise<Ended> {
  const args = `--username ${username} --email ${username}@example.org --role ADMIN`;
  const line = `"$NODE" src/commands/admin.ts ${command} ${args}`;
  const child = spawn('script', ['--quiet', '--return', '--command', line, '/dev/null'], {
    cwd: ROOT,
    env: environment({ NODE: process.execPath }),
  });
  const waiting = [...answers];
  let shown = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    if (!/(Password|Once more): $/.test(shown)) return;
    shown = '';
    child.stdin.write(`${waiting.shift() ?? ''}\r`);
  });
  return ended(child);
}

describe('reset-password', () => {
  const reset = (username: string, input = PASSWORD) =>
    admin(['reset-password', '--username', username, '--password-stdin'], { input });

  test('sets a password, and whoever was in is out', async () => {
    const session = await tokensOf(naru.url, { login: 'bob' });
    const token = await naru.tokenFor('bob');
    const { code, stdout } = await reset('bob');
    expect([code, stdout]).toEqual([0, 'bob has another password; sessions ended: 1\n']);
    for (const secret of [session.accessToken, token]) {
      expect((await post(naru.url, VIEWER, secret)).status).toBe(401);
    }
    expect((await signIn(naru.url, { login: 'bob' })).result.data.signIn.__typename).toBe(
      'InvalidCredentialsError',
    );
    const { result } = await signIn(naru.url, { login: 'bob', password: PASSWORD });
    expect(result.data.signIn.__typename).toBe('SignedIn');
    expect(await lastAudit('PASSWORD_RESET')).toEqual({
      ...BY_NOBODY,
      subject_type: 'User',
      subject_id: await idOf('bob'),
      details: { by: 'COMMAND_LINE' },
    });
  });

  test('refuses an account that is not there with 1, and a password that is bad with 2', async () => {
    expect(await reset('nobody')).toMatchObject({
      code: 1,
      stderr: 'No user is called "nobody"\n',
    });
    expect(await reset('oscar', 'oscar oscar')).toMatchObject({ code: 2 });
    expect((await signIn(naru.url, { login: 'oscar' })).result.data.signIn.__typename).toBe(
      'SignedIn',
    );
  });
});

describe('invite', () => {
  const signUp = async (username: string, invitation: string) => {
    const { result } = await post(naru.url, {
      query: `mutation ($input: SignUpInput!) { signUp(input: $input) {
        __typename ... on InvalidInputError { field } } }`,
      variables: {
        input: {
          username,
          email: `${username}@example.org`,
          displayName: username,
          password: PASSWORD,
          invitation,
        },
      },
    });
    return result.data.signUp;
  };
  const REFUSED = { __typename: 'InvalidInputError', field: 'input.invitation' };

  test('prints a code, and nothing else', async () => {
    const { code, stdout, stderr } = await admin(['invite']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(CODE);
    expect(await signUp('invited', stdout.trim())).toEqual({ __typename: 'SignUpAccepted' });
    // It is used up by the account that comes of it: asking again, after a typing mistake, is no second use.
    expect(await signUp('invited', stdout.trim())).toEqual({ __typename: 'SignUpAccepted' });
    expect(await lastAudit('INVITATION_CREATED')).toEqual({
      ...BY_NOBODY,
      subject_type: 'Invitation',
      subject_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      details: {},
    });
  });

  test('prints a code that counts for seven days', async () => {
    const { stdout } = await admin(['invite']);
    await naru.app.database.query(
      `INSERT INTO clock_offset ("offset") VALUES (interval '7 days 1 second')`,
    );
    expect(await signUp('late', stdout.trim())).toEqual(REFUSED);
  });

  test('takes no arguments', async () => {
    expect((await admin(['invite', '--email', 'x@example.org'])).code).toBe(2);
  });
});

describe('rotate-signing-key', () => {
  const keyIds = async () => {
    const rows = await naru.app.database.query<{ id: string }>(
      'SELECT id FROM signing_key ORDER BY created_at',
    );
    return rows.map(({ id }) => id);
  };
  const keyOf = (token: string) =>
    JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;

  test('signs with a new key, and what the old one signed still counts', async () => {
    const before = await tokensOf(naru.url);
    const { code, stdout } = await admin(['rotate-signing-key']);
    expect(code).toBe(0);
    await naru.app.accessTokens.reload();
    const after = await tokensOf(naru.url);
    expect(keyOf(after.accessToken)).toBe(stdout.trim());
    expect(keyOf(before.accessToken)).not.toBe(stdout.trim());
    for (const { accessToken } of [before, after]) {
      expect((await post(naru.url, VIEWER, accessToken)).result.data.viewer.username).toBe('alice');
    }
    expect(await lastAudit('SIGNING_KEY_ROTATED')).toEqual({
      ...BY_NOBODY,
      subject_type: 'SigningKey',
      subject_id: null,
      details: { keyId: stdout.trim() },
    });
  });

  test.each([
    ['a SECRET_KEY that the nodes do not have', 1, { SECRET_KEY: 'x'.repeat(32) }, 'SECRET_KEY'],
    ['a key given as ACCESS_TOKEN_KEY', 1, { ACCESS_TOKEN_KEY: 'MC4=' }, 'ACCESS_TOKEN_KEY'],
    ['no SECRET_KEY in production', 2, { NODE_ENV: 'production' }, 'SECRET_KEY is not set'],
  ])('with %s changes nothing', async (_name, wanted, env, words) => {
    const before = await keyIds();
    const { code, stdout, stderr } = await admin(['rotate-signing-key'], { env });
    expect([code, stdout]).toEqual([wanted, '']);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).toContain(words);
    expect(await keyIds()).toEqual(before);
  });
});

describe('verify-audit', () => {
  const verify = (...more: readonly string[]) => admin(['verify-audit', ...more]);
  const headOf = (stdout: string) => /^head (.+)$/m.exec(stdout)?.[1] ?? '';

  test('tells how much is sealed, how much waits, and the head to keep', async () => {
    await admin(['invite']);
    await sealAuditEntries(naru.app);
    await admin(['invite']);
    const { code, stdout, stderr } = await verify();
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^sealed [1-9]\d*\nunsealed 1\nhead [0-9a-f]{64}\n$/);
  });

  test('finds a head that was kept, also when the log has grown since', async () => {
    await sealAuditEntries(naru.app);
    const head = headOf((await verify()).stdout);
    await admin(['invite']);
    await sealAuditEntries(naru.app);
    expect(await verify('--head', head)).toMatchObject({ code: 0, stderr: '' });
    expect(await verify('--head', head.toUpperCase())).toMatchObject({ code: 0 });
  });

  test('with a head that is not in the chain answers 1, and says why', async () => {
    const { code, stdout, stderr } = await verify('--head', 'a'.repeat(64));
    expect(code).toBe(1);
    expect(stdout).toMatch(/^sealed \d+\n/);
    expect(stderr).toMatch(/^The expected head is not in the chain[^\n]+\n$/);
  });

  test('answers 1, and names the entry, when one was changed', async () => {
    await sealAuditEntries(naru.app);
    const change = (details: string) =>
      naru.app.database.query('UPDATE audit_entry SET details = $1 WHERE position = 2', [details]);
    const [{ details }] = (await naru.app.database.query(
      'SELECT details::text AS details FROM audit_entry WHERE position = 2',
    )) as [{ details: string }];
    await change('{"by":"somebody"}');
    try {
      const { code, stdout, stderr } = await verify();
      expect(code).toBe(1);
      expect(stdout).toMatch(/^sealed 1\n/);
      expect(stderr).toMatch(/^Entry 2: It was changed or moved[^\n]+\n$/);
    } finally {
      await change(details);
    }
  });

  test('of a log with nothing in it has no head', async () => {
    const database = await createTestDatabase();
    try {
      const { code, stdout } = await admin(['verify-audit'], {
        env: { DATABASE_URL: database.url },
      });
      expect([code, stdout]).toEqual([0, 'sealed 0\nunsealed 0\nhead none\n']);
    } finally {
      await database.drop();
    }
  });

  test('refuses a head that cannot be one, with 2', async () => {
    expect(await verify('--head', 'abc')).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('the command line', () => {
  test('helps with every command, and names each', async () => {
    const { code, stdout, stderr } = await admin(['--help']);
    expect([code, stderr]).toEqual([0, '']);
    for (const name of ['create', 'reset-password', 'invite', 'rotate-signing-key', 'verify-audit'])
      expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    expect(await admin(['create', '--help'])).toEqual({ code, stdout, stderr });
  });

  test.each([[[]], [['destroy']], [['__proto__']], [['constructor']]])(
    'refuses %j with 2, and says what there is',
    async (args) => {
      const { code, stdout, stderr } = await admin(args);
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^[^\n]*create, reset-password[^\n]*--help\n$/);
    },
  );

  test('answers 1, in one line, when PostgreSQL is away', async () => {
    const env = { DATABASE_URL: 'postgresql://naru:hunter2@127.0.0.1:1/naru' };
    const { code, stderr } = await admin(['invite'], { env });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^The database does not answer: [^\n]+\n$/);
    expect(stderr).not.toContain('hunter2');
  });

  test('answers 1, and says what to do, where Naru never started', async () => {
    const database = await createTestDatabase({ empty: true });
    try {
      const { code, stderr } = await admin(['invite'], { env: { DATABASE_URL: database.url } });
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^[^\n]+start Naru once[^\n]+\n$/)]);
    } finally {
      await database.drop();
    }
  });

  test('prints a personal access token, and refuses like admin does', async () => {
    const token = (...args: readonly string[]) =>
      run([path.join(ROOT, 'src/commands/token.ts'), ...args], '', {});
    const { code, stdout } = await token('--user', 'alice', '--scopes', 'viewer:read');
    expect(code).toBe(0);
    const { viewer } = (await post(naru.url, VIEWER, stdout.trim())).result.data;
    expect(viewer.username).toBe('alice');
    expect(await token('--user', 'nobody')).toMatchObject({ code: 1, stdout: '' });
    expect(await token('--scopes', 'all')).toMatchObject({ code: 2, stdout: '' });
  });
});
