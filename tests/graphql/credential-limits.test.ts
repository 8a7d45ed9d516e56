// How often credentials may be tried, counted in hashes: what an attacker pays for is what is hashed.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { CREDENTIAL_LIMITS } from '#resolvers/users/credential-limits.ts';
import type { EmbeddedServer } from '../../embedded/server.ts';
import { SEED_PASSWORD } from '../../prisma/seed.ts';
import { post, until } from '../support/graphql-client.ts';
import {
  BEHIND_PROXY,
  connectTo,
  countHashes,
  countWaiting,
  GOOD_PASSWORD,
  mailedToken,
  mutate,
  operationOf,
} from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { startTestPostgres, startTestRedis } from '../support/servers.ts';

const PER_LOGIN = CREDENTIAL_LIMITS['sign-in-login-network'].points;
const PER_NETWORK = CREDENTIAL_LIMITS['sign-in-network'].points;
const EVERYWHERE = CREDENTIAL_LIMITS['sign-in-login'].points;
/** At once: as many as wait in line for a hash without being sent away. */
const AT_ONCE = 8;

let naru: TestNaru;
const undo: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  naru = await startNaru({ settings: BEHIND_PROXY, runsJobs: false });
});
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});
afterAll(() => naru?.close());

async function start(overrides: Parameters<typeof startNaru>[0]): Promise<TestNaru> {
  const own = await startNaru({ runsJobs: false, ...overrides });
  undo.push(() => own.close());
  return own;
}

const from = (address: string) => ({ 'x-forwarded-for': address });

interface Attempt {
  readonly login?: string;
  readonly password?: string;
  readonly from?: string;
}

/** The code of its failure; `SignedIn` otherwise. */
async function attempt(
  { login = 'nobody', password = 'not the password', from: address = '192.0.2.1' }: Attempt,
  { url }: Pick<TestNaru, 'url'> = naru,
): Promise<string> {
  const input = { login, password, transport: 'TOKENS' };
  const answer = await mutate(url, 'signIn', input, { headers: from(address) });
  return answer.code ?? answer.__typename;
}

/** The outcomes of so many, some at once, with how often each. */
async function attempts(
  count: number,
  attemptOf: (at: number) => Attempt,
  door?: Pick<TestNaru, 'url'>,
): Promise<Record<string, number>> {
  const outcomes: Record<string, number> = {};
  for (let at = 0; at < count; at += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - at) }, (_, next) =>
      attempt(attemptOf(at + next), door),
    );
    for (const outcome of await Promise.all(some)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  return outcomes;
}

async function hashesOf(work: () => Promise<unknown>, { app } = naru): Promise<number> {
  const before = await countHashes(app);
  await work();
  return (await countHashes(app)) - before;
}

const signIns = (count: number) => {
  const fields = Array.from(
    { length: count },
    (_, at) => `a${at}: signIn(input: $input) { __typename ... on Error { code } }`,
  );
  return {
    query: `mutation ($input: SignInInput!) { ${fields.join(' ')} }`,
    variables: { input: { login: 'alice', password: 'not the password', transport: 'TOKENS' } },
  };
};

describe('one request', () => {
  test('with 1,000 sign-ins is refused before anything is hashed', async () => {
    const hashes = await hashesOf(async () => {
      const { result } = await post(naru.url, signIns(1_000), null, from('192.0.2.10'));
      expect(result.data).toBeUndefined();
      expect(result.errors?.[0]?.extensions.code).toBe('LIMIT_EXCEEDED');
    });
    expect(hashes).toBe(0);
  });

  test('with 50 sign-ins hashes once and uses up one attempt', async () => {
    const hashes = await hashesOf(async () => {
      const { result } = await post(naru.url, signIns(50), null, from('192.0.2.11'));
      const codes = Object.values(result.data as Record<string, { code: string }>).map(
        ({ code }) => code,
      );
      expect(codes.filter((code) => code === 'INVALID_CREDENTIALS')).toHaveLength(1);
      expect(codes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(49);
    });
    expect(hashes).toBe(1);
    const outcomes = await attempts(PER_LOGIN, () => ({ login: 'alice', from: '192.0.2.11' }));
    expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_LOGIN - 1, RATE_LIMITED: 1 });
  });

  test('with 50 sign-ins within 50 fragments, or of 50 accounts, hashes once, too', async () => {
    const fragments = Array.from(
      { length: 25 },
      (_, at) => `... on Mutation { f${at}: signIn(input: $input) { __typename } }`,
    );
    const { variables } = signIns(1);
    const query = `mutation ($input: SignInInput!) { ${fragments.join(' ')} }`;
    const one = () => post(naru.url, { query, variables }, null, from('192.0.2.12'));
    expect(await hashesOf(one)).toBe(1);
    const fields = Array.from(
      { length: 50 },
      (_, at) =>
        `a${at}: signIn(input: { login: "u${at}", password: "not the password", transport: TOKENS }) { __typename }`,
    );
    const all = () =>
      post(naru.url, { query: `mutation { ${fields.join(' ')} }` }, null, from('192.0.2.13'));
    expect(await hashesOf(all)).toBe(1);
  });

  test('with every field that hashes hashes once', async () => {
    const fields = [
      ['signIn', { login: 'alice', password: 'not the password', transport: 'TOKENS' }],
      [
        'signUp',
        { email: 'x@mail.example', username: 'xxx', displayName: 'X', password: GOOD_PASSWORD },
      ],
      ['verifyEmail', { token: `naru_ott_${'A'.repeat(43)}`, password: GOOD_PASSWORD }],
      ['resetPassword', { token: `naru_ott_${'A'.repeat(43)}`, newPassword: GOOD_PASSWORD }],
    ] as const;
    const names = fields.map(([name]) => `${name[0]?.toUpperCase()}${name.slice(1)}Input`);
    const query = `mutation (${names.map((name, at) => `$i${at}: ${name}!`).join(' ')}) {
      ${fields.map(([name], at) => `${name}(input: $i${at}) { __typename }`).join(' ')} }`;
    const variables = Object.fromEntries(fields.map(([, input], at) => [`i${at}`, input]));
    const hashes = await hashesOf(async () => {
      const { result } = await post(naru.url, { query, variables }, null, from('192.0.2.14'));
      expect(result.data.signUp.__typename).toBe('RateLimitedError');
      expect(result.data.resetPassword.__typename).toBe('RateLimitedError');
    });
    expect(hashes).toBe(1);
  });

  test('that is a list of requests is none', async () => {
    const list = Array.from({ length: 20 }, () => signIns(1));
    const hashes = await hashesOf(async () => {
      expect((await post(naru.url, list, null, from('192.0.2.15'))).status).toBe(400);
    });
    expect(hashes).toBe(0);
  });
});

describe('one login', () => {
  test('is tried ten times from one network, 200 at once or not', async () => {
    const hashes = await hashesOf(async () => {
      const all = Array.from({ length: 200 }, () => attempt({ login: 'bob', from: '192.0.2.20' }));
      const refused = (await Promise.all(all)).filter((outcome) => outcome === 'RATE_LIMITED');
      expect(refused).toHaveLength(200 - PER_LOGIN);
    });
    expect(hashes).toBe(PER_LOGIN);
  });

  test('is one however it is written', async () => {
    const spellings = ['oscar', 'OSCAR', ' oscar ', 'ｏｓｃａｒ', 'Oscar'];
    const outcomes = await attempts(20, (at) => ({
      login: spellings[at % spellings.length] ?? '',
      from: '192.0.2.21',
    }));
    expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 20 - PER_LOGIN });
  });

  test('does not tell that a username and an address belong together', async () => {
    await attempts(PER_LOGIN, () => ({ login: 'audrey', from: '192.0.2.26' }));
    await attempts(PER_LOGIN, () => ({ login: 'ghost', from: '192.0.2.27' }));
    const [hers, nobodys] = [
      await attempt({ login: 'audrey@example.com', from: '192.0.2.26' }),
      await attempt({ login: 'ghost@example.com', from: '192.0.2.27' }),
    ];
    expect([hers, nobodys]).toEqual(['INVALID_CREDENTIALS', 'INVALID_CREDENTIALS']);
  });

  test('refused in one network uses nothing up for the others', async () => {
    const outcomes = await attempts(120, () => ({ login: 'oscar', from: '192.0.2.28' }));
    expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 120 - PER_LOGIN });
    expect(await attempt({ login: 'oscar', from: '192.0.2.29' })).toBe('INVALID_CREDENTIALS');
  });

  test('that is no text an account could have is limited alike', async () => {
    const odd = ['\u0000', '\ud800', 'x'.repeat(100_000), 'a\u0000b'];
    const outcomes = await attempts(20, (at) => ({ login: odd[at % 4] ?? '', from: '192.0.2.22' }));
    expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 20 - PER_LOGIN });
  });

  test('and the right password is refused, too, while the limit lasts: it would be a probe', async () => {
    await attempts(PER_LOGIN, () => ({ login: 'audrey', from: '192.0.2.23' }));
    const right = { login: 'audrey', password: SEED_PASSWORD };
    expect(await attempt({ ...right, from: '192.0.2.23' })).toBe('RATE_LIMITED');
    expect(await attempt({ ...right, from: '192.0.2.24' })).toBe('SignedIn');
  });

  test('is not used up by signing in', async () => {
    const right = { login: 'alice', password: SEED_PASSWORD, from: '192.0.2.25' };
    expect(await attempts(3 * PER_LOGIN, () => right)).toEqual({ SignedIn: 3 * PER_LOGIN });
    const wrong = await attempts(PER_LOGIN + 1, () => ({ login: 'alice', from: '192.0.2.25' }));
    expect(wrong).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 1 });
  });

  test('tried 1,000 times from elsewhere is hashed 100 times, and its owner is not locked out', async () => {
    const home = '198.51.100.7';
    const right = { login: 'admin', password: SEED_PASSWORD };
    expect(await attempt({ ...right, from: home })).toBe('SignedIn');
    const hashes = await hashesOf(async () => {
      const outcomes = await attempts(1_000, (at) => ({
        login: 'admin',
        from: `203.0.${at >> 8}.${at & 255}`,
      }));
      expect(outcomes).toEqual({
        INVALID_CREDENTIALS: EVERYWHERE,
        RATE_LIMITED: 1_000 - EVERYWHERE,
      });
    });
    expect(hashes).toBe(EVERYWHERE);
    expect(await attempt({ ...right, from: home })).toBe('SignedIn');
    expect(await attempt({ login: 'admin', from: home })).toBe('INVALID_CREDENTIALS');
    // From a network that it never signed in from, its owner has to wait like everybody.
    expect(await attempt({ ...right, from: '198.51.100.99' })).toBe('RATE_LIMITED');
  }, 120_000);
});

describe('one network', () => {
  test('that tries stolen passwords on many accounts has 100 attempts in all', async () => {
    const hashes = await hashesOf(async () => {
      const outcomes = await attempts(PER_NETWORK + 50, (at) => ({
        login: `stuffed${at}`,
        from: '192.0.2.30',
      }));
      expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_NETWORK, RATE_LIMITED: 50 });
    });
    expect(hashes).toBe(PER_NETWORK);
    expect(await attempt({ login: 'another', from: '192.0.2.31' })).toBe('INVALID_CREDENTIALS');
  }, 120_000);

  test('is an IPv6 /64, whichever of its addresses is used', async () => {
    const rotating = await attempts(3 * PER_LOGIN, (at) => ({
      login: 'rotating',
      from: `2001:db8:0:1:${at}:${at}::${at}`,
    }));
    expect(rotating).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 2 * PER_LOGIN });
    expect(await attempt({ login: 'rotating', from: '2001:db8:0:2::1' })).toBe(
      'INVALID_CREDENTIALS',
    );
  });

  test('is the same IPv4 address within IPv6', async () => {
    const spellings = ['192.0.2.40', '::ffff:192.0.2.40', '::FFFF:c000:0228'];
    const outcomes = await attempts(3 * PER_LOGIN, (at) => ({
      login: 'mapped',
      from: spellings[at % spellings.length] ?? '',
    }));
    expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 2 * PER_LOGIN });
  });

  test('is what the trusted proxy saw, not what its client says', async () => {
    const outcomes = await attempts(3 * PER_LOGIN, (at) => ({
      login: 'spoofed',
      from: `10.9.9.${at}, 192.0.2.41`,
    }));
    expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 2 * PER_LOGIN });
  });

  test('that is no address is one with all that are none', async () => {
    const outcomes = await attempts(3 * PER_LOGIN, (at) => ({ login: 'odd', from: `odd-${at}` }));
    expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 2 * PER_LOGIN });
  });

  test('is that of the connection where no proxy is trusted', async () => {
    const bare = await start({});
    const outcomes = await attempts(
      3 * PER_LOGIN,
      (at) => ({ login: 'alice', from: `10.9.8.${at}` }),
      bare,
    );
    expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 2 * PER_LOGIN });
    // Nor is another header of the kind believed.
    const input = { login: 'alice', password: SEED_PASSWORD, transport: 'TOKENS' };
    for (const name of ['x-real-ip', 'forwarded', 'cf-connecting-ip', 'true-client-ip']) {
      const headers = { [name]: name === 'forwarded' ? 'for=192.0.2.60' : '192.0.2.60' };
      const answer = await mutate(bare.url, 'signIn', input, { headers });
      expect(answer.code, name).toBe('RATE_LIMITED');
    }
  });

  test.each([
    ['as the proxy says', BEHIND_PROXY, false],
    ['as the connection says where no proxy is trusted', {}, true],
  ])('is the same over a socket: %s', async (_name, settings, isShared) => {
    const own = await start({ settings });
    const token = await own.tokenFor('bob');
    const run = async (address: string) => {
      const ws = new WebSocket(`${own.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
        headers: from(address),
      });
      const frames: { type: string; payload?: { data: { signIn: { code: string } } } }[] = [];
      ws.on('message', (data: Buffer) => frames.push(JSON.parse(String(data))));
      await new Promise((resolve) => ws.once('open', resolve));
      const payload = { authorization: `Bearer ${token}` };
      ws.send(JSON.stringify({ type: 'connection_init', payload }));
      await until(() => frames.length === 1);
      const input = { login: 'alice', password: 'not the password', transport: 'TOKENS' };
      ws.send(
        JSON.stringify({ type: 'subscribe', id: '1', payload: operationOf('signIn', input) }),
      );
      await until(() => frames.length >= 2);
      ws.terminate();
      return frames[1]?.payload?.data.signIn.code;
    };
    for (let tried = 0; tried < PER_LOGIN; tried += 1) {
      await attempt({ login: 'alice', from: '192.0.2.50' }, own);
    }
    expect(await run('192.0.2.50')).toBe('RATE_LIMITED');
    expect(await run('192.0.2.51')).toBe(isShared ? 'RATE_LIMITED' : 'INVALID_CREDENTIALS');
  });

  test('asks for 20 accounts and 20 mails an hour', async () => {
    const codes = async (field: string, inputOf: (at: number) => Record<string, unknown>) => {
      const outcomes: Record<string, number> = {};
      for (let at = 0; at < 22; at += 1) {
        const headers = from('192.0.2.61');
        const { __typename: name } = await mutate(naru.url, field, inputOf(at), { headers });
        outcomes[name] = (outcomes[name] ?? 0) + 1;
      }
      return outcomes;
    };
    const signUps = await codes('signUp', (at) => ({
      email: `many${at}@mail.example`,
      username: `many${at}`,
      displayName: 'Many',
      password: GOOD_PASSWORD,
    }));
    expect(signUps).toEqual({ SignUpAccepted: 20, RateLimitedError: 2 });
    const resets = await codes('requestPasswordReset', (at) => ({ email: `m${at}@mail.example` }));
    expect(resets).toEqual({ PasswordResetRequested: 20, RateLimitedError: 2 });
  });
});

describe('without Redis', () => {
  async function startOnPrivateRedis(): Promise<{ own: TestNaru; redis: EmbeddedServer }> {
    const redis = await startTestRedis();
    undo.push(() => redis.stop());
    const own = await start({ settings: { ...BEHIND_PROXY, REDIS_URL: redis.url } });
    return { own, redis };
  }

  test('sign-ins are limited all the same, sessions go on, and it comes back by itself', async () => {
    const { own, redis } = await startOnPrivateRedis();
    const session = await mutate(
      own.url,
      'signIn',
      { login: 'alice', password: SEED_PASSWORD, transport: 'TOKENS' },
      { selection: 'accessToken refreshToken' },
    );
    const script = await own.tokenFor('bob');
    await redis.kill();
    await until(() => own.app.redis.status !== 'ready');
    const outcomes = await attempts(
      3 * PER_LOGIN,
      () => ({ login: 'alice', from: '192.0.2.70' }),
      own,
    );
    expect(outcomes).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: 2 * PER_LOGIN });
    const query = { query: '{ viewer { username } }' };
    expect((await post(own.url, query, session.accessToken)).result.data.viewer.username).toBe(
      'alice',
    );
    expect((await post(own.url, query, script)).result.data.viewer.username).toBe('bob');
    const { refreshToken } = session;
    expect((await mutate(own.url, 'refreshSession', { refreshToken })).__typename).toBe(
      'SessionRefreshed',
    );
    const right = { login: 'bob', password: SEED_PASSWORD, from: '192.0.2.71' };
    expect(await attempt(right, own)).toBe('SignedIn');
    await redis.restart();
    await until(() => own.app.redis.status === 'ready');
    expect(await attempt({ ...right, login: 'alice', from: '192.0.2.72' }, own)).toBe('SignedIn');
    const shared = await attempts(
      2 * PER_LOGIN,
      () => ({ login: 'alice', from: '192.0.2.73' }),
      own,
    );
    expect(shared).toEqual({ INVALID_CREDENTIALS: PER_LOGIN, RATE_LIMITED: PER_LOGIN });
  });
});

describe('without PostgreSQL', () => {
  async function startOnPrivatePostgres(
    settings: Readonly<Record<string, string>> = {},
  ): Promise<{ own: TestNaru; postgres: EmbeddedServer }> {
    const postgres = await startTestPostgres();
    undo.push(() => postgres.stop());
    const database = { url: postgres.url, drop: async () => {} };
    const own = await start({ database, settings: { ...BEHIND_PROXY, ...settings } });
    return { own, postgres };
  }

  test('everything says UNAVAILABLE in its own words, and no attempt is counted', async () => {
    const { own, postgres } = await startOnPrivatePostgres();
    const { accessToken } = await mutate(
      own.url,
      'signIn',
      { login: 'alice', password: SEED_PASSWORD, transport: 'TOKENS' },
      { selection: 'accessToken' },
    );
    await postgres.kill();
    const place = { headers: from('192.0.2.80') };
    const token = `naru_ott_${'A'.repeat(43)}`;
    const guests: Record<string, Record<string, unknown>> = {
      signIn: { login: 'alice', password: SEED_PASSWORD, transport: 'TOKENS' },
      signUp: {
        email: 'x@mail.example',
        username: 'xxx',
        displayName: 'X',
        password: GOOD_PASSWORD,
      },
      verifyEmail: { token, password: GOOD_PASSWORD },
      resetPassword: { token, newPassword: GOOD_PASSWORD },
      requestPasswordReset: { email: 'alice@example.com' },
      refreshSession: { refreshToken: `naru_rt_${'A'.repeat(43)}` },
    };
    for (const [field, input] of Object.entries(guests)) {
      const answer = await mutate(own.url, field, input, place);
      expect(answer, field).toMatchObject({ __typename: 'UnavailableError', code: 'UNAVAILABLE' });
    }
    const answer = await post(own.url, { query: '{ viewer { id } }' }, accessToken);
    expect(answer.status).toBe(503);
    expect(answer.result.errors?.[0]?.extensions.code).toBe('UNAVAILABLE');
    // More than the limit.
    for (let tried = 0; tried < 3 * PER_LOGIN; tried += 1) {
      expect(await attempt({ login: 'alice', from: '192.0.2.80' }, own)).toBe('UNAVAILABLE');
    }
    for (let tried = 0; tried < CREDENTIAL_LIMITS['one-time-network'].points; tried += 1) {
      await mutate(own.url, 'resetPassword', guests['resetPassword'] ?? null, place);
    }
    await postgres.restart();
    await until(async () => {
      const right = { login: 'alice', password: SEED_PASSWORD, from: '192.0.2.80' };
      return (await attempt(right, own)) === 'SignedIn';
    });
    const reset = await mutate(own.url, 'resetPassword', guests['resetPassword'] ?? null, place);
    expect(reset.code).toBe('INVALID_CREDENTIALS');
  });

  test('that dies in the middle of making an account leaves none', async () => {
    const { own, postgres } = await startOnPrivatePostgres({ PASSWORD_HASHES_AT_ONCE: '2' });
    const person = {
      email: 'half@mail.example',
      username: 'half-made',
      displayName: 'Half',
      password: GOOD_PASSWORD,
    };
    await mutate(own.url, 'signUp', person);
    const token = await mailedToken(own, person.email);
    const client = await connectTo(own.database);
    undo.push(() => client.end().catch(() => {}));
    // The account's row is there, and its password's is not.
    await client.query('BEGIN');
    await client.query('LOCK TABLE password');
    const finish = () => mutate(own.url, 'verifyEmail', { token, password: GOOD_PASSWORD });
    const answer = finish();
    await until(async () => (await countWaiting(client)) === 1);
    await postgres.kill();
    expect(await answer).toMatchObject({ code: 'UNAVAILABLE' });
    await postgres.restart();
    await until(() =>
      own.app.prisma.user.count().then(
        () => true,
        () => false,
      ),
    );
    expect(await own.app.prisma.user.count({ where: { username: person.username } })).toBe(0);
    // The token was not used up by it.
    expect((await finish()).__typename).toBe('EmailVerified');
  });
});
