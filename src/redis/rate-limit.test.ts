import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startTestRedis, type TestRedis, testRedisUrl } from '../../tests/support/servers.ts';
import { createRedis, type RedisClient } from './client.ts';
import { createRateLimiter, type RateLimiter } from './rate-limit.ts';

const LIMITS = {
  'sign-in-network': { points: 5, perSeconds: 60 },
  'sign-in-login': { points: 5, perSeconds: 600 },
  'sign-up': { points: 1, perSeconds: 60 },
  short: { points: 1, perSeconds: 2 },
};
type Name = keyof typeof LIMITS;

const ROOT = path.resolve(import.meta.dirname, '../..');
const shared = testRedisUrl();
let redis: RedisClient;
let limiter: RateLimiter<Name>;

beforeAll(async () => {
  redis = await connect(shared);
  limiter = createRateLimiter(redis, LIMITS);
});
afterAll(() => redis.disconnect());

async function connect(server: TestRedis): Promise<RedisClient> {
  const client = createRedis({ ...server, onError: () => {} });
  await once(client, 'ready');
  return client;
}

/** A Redis of its own to stop, and as many clients of it, each standing for one process. */
async function startNodes(count: number) {
  const server = await startTestRedis();
  const keyPrefix = `${randomUUID()}:`;
  const clients = await Promise.all(
    Array.from({ length: count }, () => connect({ url: server.url, keyPrefix })),
  );
  onTestFinished(async () => {
    for (const client of clients) client.disconnect();
    await server.stop();
  });
  const whenAway = () => Promise.all(clients.map((client) => once(client, 'close')));
  return { server, clients, whenAway, limiters: clients.map((c) => createRateLimiter(c, LIMITS)) };
}

const network = (key: string) => ({ name: 'sign-in-network', key }) as const;
const login = (key: string) => ({ name: 'sign-in-login', key }) as const;
const signUp = (key: string) => ({ name: 'sign-up', key }) as const;

async function countGiven(answers: readonly Promise<boolean>[]): Promise<number> {
  return (await Promise.all(answers)).filter((isGiven) => isGiven).length;
}

/** How many of as many takes as there are points, and some more, are given. */
function countPoints(from: RateLimiter<Name>, wanted: { name: Name; key: string }) {
  return countGiven(Array.from({ length: 8 }, () => from.tryTake(wanted)));
}

test('what is beyond the limit is refused and told how long to wait', async () => {
  const key = randomUUID();
  for (let point = 1; point <= 5; point++) await limiter.take([network(key)]);
  await expect(limiter.take([network(key)])).rejects.toMatchObject({
    code: 'RATE_LIMITED',
    retryAfterSeconds: expect.toSatisfy((seconds: number) => seconds > 50 && seconds <= 60),
  });
});

test('each key and each limit has its own budget', async () => {
  const [one, other] = [randomUUID(), randomUUID()];
  expect(await countPoints(limiter, network(one))).toBe(5);
  expect(await countPoints(limiter, network(other))).toBe(5);
  expect(await countPoints(limiter, login(one))).toBe(5);
  expect(await countPoints(limiter, signUp(one))).toBe(1);
});

test('nothing wanted is given, and takes nothing', async () => {
  await (await limiter.take([])).giveBack();
});

test('a point given back can be taken again, at once, also after a refusal', async () => {
  const wanted = signUp(randomUUID());
  const taken = await limiter.take([wanted]);
  expect(await limiter.tryTake(wanted)).toBe(false);
  await taken.giveBack();
  expect(await limiter.tryTake(wanted)).toBe(true);
});

test('refused takes do not eat what is given back later', async () => {
  const wanted = signUp(randomUUID());
  const elsewhere = await connect(shared);
  onTestFinished(() => elsewhere.disconnect());
  const taken = await limiter.take([wanted]);
  const others = Array.from({ length: 50 }, () => createRateLimiter(elsewhere, LIMITS));
  expect(await countGiven(others.map((other) => other.tryTake(wanted)))).toBe(0);
  await taken.giveBack();
  expect(await createRateLimiter(elsewhere, LIMITS).tryTake(wanted)).toBe(true);
});

test('giving back twice gives back once, and never more than was taken', async () => {
  const key = randomUUID();
  const kept = await limiter.take([network(key)]);
  const returned = await limiter.take([network(key)]);
  await Promise.all([returned.giveBack(), returned.giveBack()]);
  await returned.giveBack();
  expect(await countPoints(limiter, network(key))).toBe(4);
  await kept.giveBack();
  expect(await countPoints(limiter, network(key))).toBe(1);
});

test('a refusal names the longest wait', async () => {
  const [key, account] = [randomUUID(), randomUUID()];
  await countPoints(limiter, network(key));
  await countPoints(limiter, login(account));
  const elsewhere = createRateLimiter(redis, LIMITS);
  for (const asked of [limiter, elsewhere]) {
    await expect(asked.take([network(key), login(account)])).rejects.toMatchObject({
      retryAfterSeconds: expect.toSatisfy((seconds: number) => seconds > 500 && seconds <= 600),
    });
  }
});

test('a refused take costs nothing of the other limits, and frees nothing of the spent one', async () => {
  const [attacker, victim] = [randomUUID(), randomUUID()];
  await countPoints(limiter, network(attacker));
  // Fresh limiters have no refusal to remember: each asks Redis.
  for (let attempt = 0; attempt < 20; attempt++) {
    const fresh = createRateLimiter(redis, LIMITS);
    await expect(fresh.take([network(attacker), login(victim)])).rejects.toThrow('Too many');
  }
  expect(await createRateLimiter(redis, LIMITS).tryTake(network(attacker))).toBe(false);
  expect(await countPoints(limiter, login(victim))).toBe(5);
});

test('a flood from a spent network does not hold the points of a login', async () => {
  const [attacker, victim] = [randomUUID(), randomUUID()];
  expect(await countPoints(limiter, network(attacker))).toBe(5);
  const flood = Array.from({ length: 300 }, () =>
    limiter.take([network(attacker), login(victim)]).then(
      () => true,
      () => false,
    ),
  );
  const honest = Array.from({ length: 5 }, () =>
    limiter.take([network(randomUUID()), login(victim)]).then(
      () => true,
      () => false,
    ),
  );
  expect(await countGiven(honest)).toBe(5);
  expect(await countGiven(flood)).toBe(0);
});

test('200 takes at once through two nodes are given exactly the limit', async () => {
  const other = await connect(shared);
  onTestFinished(() => other.disconnect());
  const limiters = [limiter, createRateLimiter(other, LIMITS)];
  const wanted = login(randomUUID());
  const answers = Array.from({ length: 100 }, () =>
    limiters.map((each) => each.tryTake(wanted)),
  ).flat();
  expect(await countGiven(answers)).toBe(5);
});

test('200 takes at once by two processes are given exactly the limit', async () => {
  const key = randomUUID();
  const script = `
    import { once } from 'node:events';
    import { createRedis } from '#redis/client.ts';
    import { createRateLimiter } from '#redis/rate-limit.ts';
    const redis = createRedis({ ...${JSON.stringify(shared)}, onError() {} });
    const limiter = createRateLimiter(redis, ${JSON.stringify(LIMITS)});
    await once(redis, 'ready');
    console.log('ready');
    await once(process.stdin, 'data');
    const takes = Array.from({ length: 100 }, () =>
      limiter.tryTake({ name: 'sign-in-login', key: '${key}' }));
    console.log((await Promise.all(takes)).filter(Boolean).length);
    process.exit();`;
  const processes = [1, 2].map(() => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: ROOT,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
  });
  for (const { lines } of processes) expect((await lines.next()).value).toBe('ready');
  for (const { child } of processes) child.stdin.write('go\n');
  const counts = await Promise.all(processes.map(({ lines }) => lines.next()));
  expect(counts.reduce((sum, { value }) => sum + Number(value), 0)).toBe(5);
});

test('a new window has all points, and what was taken in the old one adds none', async () => {
  const wanted = { name: 'short', key: randomUUID() } as const;
  const old = await limiter.take([wanted]);
  await expect.poll(() => limiter.tryTake(wanted), { timeout: 10_000 }).toBe(true);
  await old.giveBack();
  expect(await createRateLimiter(redis, LIMITS).tryTake(wanted)).toBe(false);
});

test('Redis sees no key in clear, and forgets every key with its window', async () => {
  const { clients, limiters } = await startNodes(1);
  const [client, asking] = [clients[0], limiters[0]];
  if (client === undefined || asking === undefined) throw new Error('One node was asked for.');
  const email = 'mina@example.com';
  const taken = await asking.take([login(email), network('203.0.113.7'), signUp(email)]);
  const keys = await client.keys('*');
  expect(keys).toHaveLength(3);
  for (const key of keys) {
    expect(key).toMatch(/^[0-9a-f-]{36}:limit:(sign-in-login|sign-in-network|sign-up):[\w-]{43}$/);
    const name = key.slice(key.indexOf(':') + 1);
    expect(await client.ttl(name)).toBeGreaterThan(0);
    expect(await client.ttl(name)).toBeLessThanOrEqual(600);
  }
  await taken.giveBack();
  expect(await client.keys('*')).toEqual([]);
});

test('with Redis stopped the limits hold in the process at once, and are shared again soon after', async () => {
  const { server, whenAway, limiters } = await startNodes(2);
  const [one, other] = limiters;
  if (one === undefined || other === undefined) throw new Error('Two nodes were asked for.');
  const before = await one.take([signUp('before')]);
  const away = whenAway();
  await server.stop();
  await away;

  const answers: boolean[] = [];
  for (let attempt = 1; attempt <= 7; attempt++) {
    const startedAt = performance.now();
    answers.push(await one.tryTake(login('during')));
    expect(performance.now() - startedAt).toBeLessThan(100);
  }
  expect(answers).toEqual([true, true, true, true, true, false, false]);
  expect(await countPoints(other, login('during'))).toBe(5);
  await before.giveBack();
  const during = await one.take([signUp('during')]);
  expect(await one.tryTake(signUp('during'))).toBe(false);
  await during.giveBack();
  expect(await countPoints(one, signUp('during'))).toBe(1);
  const late = await one.take([signUp('late')]);

  await server.restart();
  let round = 0;
  const isShared = async () => {
    round += 1;
    const wanted = signUp(`after ${round}`);
    return (await one.tryTake(wanted)) && !(await other.tryTake(wanted));
  };
  await expect.poll(isShared, { timeout: 5_000 }).toBe(true);

  // What was taken in the process is returned there, not to Redis, where it would be one too many.
  await late.giveBack();
  expect(await countPoints(other, signUp('late'))).toBe(1);
  expect(await countPoints(one, login('after'))).toBe(5);
  expect(await countPoints(other, login('after'))).toBe(0);
});

test('takes under way while Redis is killed are all answered, and none beyond both budgets', async () => {
  const { server, limiters } = await startNodes(1);
  const [only] = limiters;
  if (only === undefined) throw new Error('One node was asked for.');
  const takes = Array.from({ length: 50 }, () => only.tryTake(login('cut')));
  await server.kill();
  const more = Array.from({ length: 50 }, () => only.tryTake(login('cut')));
  const startedAt = performance.now();
  const given = await countGiven([...takes, ...more]);
  expect(given).toBeGreaterThanOrEqual(5);
  expect(given).toBeLessThanOrEqual(10);
  expect(performance.now() - startedAt).toBeLessThan(4_000);
});

test('a Redis that is connected and silent costs the command timeout, and the limits hold', async () => {
  const { server, limiters } = await startNodes(1);
  const [only] = limiters;
  if (only === undefined) throw new Error('One node was asked for.');
  process.kill(-server.pid, 'SIGSTOP');
  try {
    const startedAt = performance.now();
    expect(await countPoints(only, login('silent'))).toBe(5);
    expect(performance.now() - startedAt).toBeLessThan(4_000);
  } finally {
    process.kill(-server.pid, 'SIGCONT');
  }
  expect(await countPoints(only, login('awake'))).toBe(5);
});

test('a Redis that never was there leaves the limits holding', async () => {
  const { server, whenAway } = await startNodes(1);
  const away = whenAway();
  await server.stop();
  await away;
  const client = createRedis({ url: server.url, keyPrefix: 'never:', onError: () => {} });
  onTestFinished(() => client.disconnect());
  expect(await countPoints(createRateLimiter(client, LIMITS), login('never'))).toBe(5);
});
