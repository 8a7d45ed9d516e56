import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { constants, getPriority } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { afterEach, expect, test, vi } from 'vitest';
import { InvalidInputError, UnavailableError } from '#lib/errors.ts';
import { createPasswords, type Passwords, type PasswordsOptions } from './passwords.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const PASSWORD = 'correct horse battery staple';
const TODAY = '$argon2id$v=19$m=19456,t=2,p=1$';

/** Made with other programs: the first with argon2's reference code, the others with OpenSSL. */
const REFERENCE =
  '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
const ARGON2I =
  '$argon2i$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$a4Vmb8BztzJQAjar4pBJac3RHJRwOM41W0GNxOaaUsU';
const THREE_PASSES =
  '$argon2id$v=19$m=12288,t=3,p=1$MDEyMzQ1Njc4OWFiY2RlZg$5DGhzV3Ezm2VvUKyC6M/R1ACwlzJe2X+pC6Xlq5/fZA';
const SAME_AS_OURS =
  '$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$gy5SuVm5Z7Vw7keB9se9p87QGcomaseB/S2U1OhTsM0';

const endings: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

test('a hash is argon2id with 19 MiB, two passes and one lane, salted anew each time', async () => {
  const { passwords } = open();
  const [first, second] = await Promise.all([passwords.hash(PASSWORD), passwords.hash(PASSWORD)]);
  expect(first).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  expect(second).not.toBe(first);
  expect(await passwords.verify(first, PASSWORD)).toEqual({ matches: true, needsRehash: false });
  expect(await passwords.verify(first, `${PASSWORD} `)).toEqual({
    matches: false,
    needsRehash: false,
  });
});

test.each([
  ['with more memory', REFERENCE, 'password', true],
  ['of argon2i', ARGON2I, PASSWORD, true],
  ['with other passes', THREE_PASSES, PASSWORD, true],
  ['with the same parameters', SAME_AS_OURS, PASSWORD, false],
])(
  'a hash of another program %s verifies, and says whether it is of today',
  async (_name, phc, password, needsRehash) => {
    const { passwords } = open();
    expect(await passwords.verify(phc, password)).toEqual({ matches: true, needsRehash });
    expect(await passwords.verify(phc, 'another')).toEqual({ matches: false, needsRehash: false });
  },
);

test('one password typed as other code points is the same password', async () => {
  const { passwords } = open();
  const phc = await passwords.hash('\u212Bngstr\u00F6m units');
  expect((await passwords.verify(phc, '\u00C5ngstr\u00F6m units')).matches).toBe(true);
  expect((await passwords.verify(phc, 'A\u030Angstro\u0308m units')).matches).toBe(true);
  expect((await passwords.verify(phc, 'Angstrom units')).matches).toBe(false);
});

test.each([
  ['an account that does not exist', null],
  ['a hash of another kind', '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'],
  ['a broken hash', `${TODAY}AAAA`],
  ['a hash that asks for 4 TiB', SAME_AS_OURS.replace('19456', '4294967295')],
  ['a hash that asks for a million passes', SAME_AS_OURS.replace('t=2', 't=1000000')],
])(
  '%s takes the one verification that a wrong password takes, and never matches',
  async (_name, phc) => {
    const { passwords, done } = open();
    expect(await passwords.verify(SAME_AS_OURS, 'wrong password')).toEqual({
      matches: false,
      needsRehash: false,
    });
    expect(await passwords.verify(phc, PASSWORD)).toEqual({ matches: false, needsRehash: false });
    expect(done).toEqual(['verify', 'verify']);
  },
);

test.each([
  ['a megabyte', 'x'.repeat(2 ** 20)],
  ['half a character', `${PASSWORD}\uD800`],
  ['U+0000', `${PASSWORD}\u0000`],
])('%s is nobody’s password and costs no hash', async (_name, password) => {
  const { passwords, done, workers } = open();
  expect((await passwords.verify(SAME_AS_OURS, password)).matches).toBe(false);
  expect((await passwords.verify(null, password)).matches).toBe(false);
  await expect(passwords.hash(password)).rejects.toBeInstanceOf(InvalidInputError);
  expect(done).toEqual([]);
  expect(workers).toEqual([]);
});

test('beyond those under way and those who may wait, everyone is refused before the first hash is done', async () => {
  let overflows = 0;
  const { passwords, done, workers } = open({
    hashesAtOnce: 2,
    queueMax: 3,
    onOverflow: () => {
      overflows += 1;
    },
  });
  const taken = Array.from({ length: 5 }, () => passwords.verify(SAME_AS_OURS, PASSWORD));
  const refused = await Promise.allSettled(
    Array.from({ length: 100 }, () => passwords.verify(null, PASSWORD)),
  );
  expect(done).toEqual([]);
  expect(overflows).toBe(100);
  for (const outcome of refused) {
    expect(outcome).toMatchObject({ reason: { code: 'UNAVAILABLE', retryAfterSeconds: 1 } });
  }
  expect((await Promise.all(taken)).every(({ matches }) => matches)).toBe(true);
  expect(workers).toHaveLength(2);
});

test('work that is admitted has its place before it hashes, and what finds none is not begun', async () => {
  let overflows = 0;
  const onOverflow = () => {
    overflows += 1;
  };
  const { passwords, done } = open({ hashesAtOnce: 1, queueMax: 1, onOverflow });
  const lookUp = Promise.withResolvers<void>();
  const admitted = [0, 1].map(() =>
    passwords.admit(async () => {
      await lookUp.promise;
      return passwords.verify(SAME_AS_OURS, PASSWORD);
    }),
  );
  const third = vi.fn(async () => 'done');
  await expect(passwords.admit(third)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect({ calls: third.mock.calls, done, overflows }).toEqual({
    calls: [],
    done: [],
    overflows: 1,
  });
  lookUp.resolve();
  expect((await Promise.all(admitted)).every(({ matches }) => matches)).toBe(true);
  await expect(passwords.admit(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(passwords.admit(third)).resolves.toBe('done');
});

test('the longer the queue, the later one is told to come again', async () => {
  const { passwords } = open({ hashesAtOnce: 1, queueMax: 100 });
  const taken = Array.from({ length: 101 }, () => passwords.hash(PASSWORD));
  const refusal = passwords.hash(PASSWORD);
  await expect(refusal).rejects.toMatchObject({ retryAfterSeconds: 6 });
  await Promise.all([passwords.close(), Promise.allSettled(taken)]);
});

test('eight times as many as hash at once may wait where nothing else is said', async () => {
  const { passwords } = open({ hashesAtOnce: 2 });
  const asked = Array.from({ length: 19 }, () => passwords.verify(null, PASSWORD));
  const outcomes = await Promise.allSettled(asked);
  expect(outcomes.map(({ status }) => status)).toEqual([
    ...Array.from({ length: 18 }, () => 'fulfilled'),
    'rejected',
  ]);
});

test('a thread that ends in mid-hash is replaced, and its work is done by the next', async () => {
  const { passwords, done, workers } = open({ hashesAtOnce: 1 });
  await passwords.verify(null, PASSWORD);
  const slow = passwords.verify(REFERENCE, 'password');
  const next = passwords.verify(SAME_AS_OURS, PASSWORD);
  await workers[0]?.terminate();
  expect(await slow).toEqual({ matches: true, needsRehash: true });
  expect((await next).matches).toBe(true);
  expect(done).toEqual(['verify', 'verify', 'verify']);
  expect(workers).toHaveLength(2);
});

test('work that loses two threads is given up, and the threads after them serve the next', async () => {
  const { passwords, workers } = open({ hashesAtOnce: 1 });
  const end = (worker: Worker) => void worker.terminate();
  process.on('worker', end);
  endings.push(() => process.off('worker', end));
  const failure = await passwords.verify(SAME_AS_OURS, PASSWORD).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(UnavailableError);
  expect(workers).toHaveLength(2);
  process.off('worker', end);
  expect((await passwords.verify(SAME_AS_OURS, PASSWORD)).matches).toBe(true);
});

test('an idle thread that ends is replaced when there is work again', async () => {
  const { passwords, workers } = open({ hashesAtOnce: 1 });
  await passwords.verify(null, PASSWORD);
  await workers[0]?.terminate();
  expect((await passwords.verify(SAME_AS_OURS, PASSWORD)).matches).toBe(true);
  expect(workers).toHaveLength(2);
});

test('closing lets end what is under way, refuses what waits and what comes, and leaves no thread', async () => {
  const { passwords, workers } = open({ hashesAtOnce: 1 });
  const underWay = passwords.verify(SAME_AS_OURS, PASSWORD);
  const waiting = passwords.verify(SAME_AS_OURS, PASSWORD);
  const outcomes = Promise.allSettled([underWay, waiting]);
  await Promise.all([passwords.close(), passwords.close()]);
  expect(await outcomes).toMatchObject([
    { status: 'fulfilled', value: { matches: true } },
    { status: 'rejected', reason: { code: 'UNAVAILABLE' } },
  ]);
  await expect(passwords.hash(PASSWORD)).rejects.toBeInstanceOf(UnavailableError);
  expect(workers.map(({ threadId }) => threadId)).toEqual([-1]);
});

test('a thread that ends while closing does not keep it open', async () => {
  const { passwords, workers } = open({ hashesAtOnce: 1 });
  await passwords.verify(null, PASSWORD);
  const underWay = passwords.verify(REFERENCE, 'password').catch((error: unknown) => error);
  const closed = passwords.close();
  await workers[0]?.terminate();
  await closed;
  expect(await underWay).toBeInstanceOf(UnavailableError);
  expect(workers).toHaveLength(1);
});

test('closing what never hashed starts nothing', async () => {
  const { passwords, workers } = open();
  await passwords.close();
  expect(workers).toEqual([]);
});

test('no failure tells the password', async () => {
  const { passwords } = open({ hashesAtOnce: 1, queueMax: 0 });
  const end = (worker: Worker) => void worker.terminate();
  process.on('worker', end);
  endings.push(() => process.off('worker', end));
  const secret = 'canary-7f3a';
  const failures = await Promise.allSettled<unknown>([
    passwords.hash(secret),
    passwords.hash(secret),
    passwords.hash(`${secret}\u0000`),
  ]);
  await passwords.close();
  failures.push(...(await Promise.allSettled([passwords.verify(null, secret)])));
  expect(failures.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
  const told = inspect(failures, { depth: Number.POSITIVE_INFINITY, showHidden: true });
  expect(told).not.toContain(secret);
});

test.runIf(process.platform === 'linux')(
  'threads that hash yield to the one that serves',
  async () => {
    const { passwords } = open({ hashesAtOnce: 2 });
    const own = getPriority(process.pid);
    await Promise.all([passwords.hash(PASSWORD), passwords.hash(PASSWORD)]);
    const priorities = readdirSync('/proc/self/task').map((id) => getPriority(Number(id)));
    const lowered = Math.min(own + 19, constants.priority.PRIORITY_LOW);
    expect(priorities.filter((priority) => priority === lowered)).toHaveLength(2);
    expect(getPriority(process.pid)).toBe(own);
  },
);

test('a process waits for its hash, and idle threads do not keep it alive', () => {
  const script = `
    import { createPasswords } from '#auth/passwords.ts';
    const passwords = createPasswords({ hashesAtOnce: 2 });
    const phc = await passwords.hash('a password of this process');
    console.log(JSON.stringify(await passwords.verify(phc, 'a password of this process')));`;
  const said = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: ROOT,
    timeout: 20_000,
    encoding: 'utf8',
  });
  expect(JSON.parse(said)).toEqual({ matches: true, needsRehash: false });
});

/** `workers` are the threads that were started, `done` what they did, both since this call. */
function open(options: Partial<PasswordsOptions> = {}): {
  passwords: Passwords;
  workers: Worker[];
  done: string[];
} {
  const workers: Worker[] = [];
  const done: string[] = [];
  const remember = (worker: Worker) => void workers.push(worker);
  process.on('worker', remember);
  const passwords = createPasswords({
    hashesAtOnce: 2,
    onHash: (kind, seconds) => {
      expect(seconds).toBeGreaterThan(0);
      done.push(kind);
    },
    ...options,
  });
  endings.push(
    () => process.off('worker', remember),
    () => passwords.close(),
  );
  return { passwords, workers, done };
}
