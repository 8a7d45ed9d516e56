import { hash, randomBytes } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import type { GitHubConfig } from '#config.ts';
import { UnavailableError } from '#lib/errors.ts';
import {
  type GitHubStandIn,
  type StandInOptions,
  startGitHub,
} from '../../tests/support/github.ts';
import { createGitHub, type GitHub } from './github.ts';
import { createGuard } from './guard.ts';

const PUBLIC_URL = 'https://naru.test';
const redirectUri = `${PUBLIC_URL}/auth/github/callback`;
const ANN = { id: 7, login: 'Ann', name: 'Ann Lee' };

let standIn: GitHubStandIn;
afterEach(async () => {
  await standIn.close();
  expect(standIn.faults).toEqual([]);
});

async function start(options: Partial<StandInOptions> = {}): Promise<GitHub> {
  standIn = await startGitHub({ publicUrl: PUBLIC_URL, ...options });
  standIn.put(ANN);
  return connect({});
}

function connect(changes: Partial<GitHubConfig>, guard = createGuard()): GitHub {
  const { settings } = standIn;
  const config: GitHubConfig = {
    url: settings['GITHUB_URL'] ?? '',
    apiUrl: settings['GITHUB_API_URL'] ?? '',
    client: {
      id: settings['GITHUB_CLIENT_ID'] ?? '',
      secret: settings['GITHUB_CLIENT_SECRET'] ?? '',
    },
    clientType: settings['GITHUB_CLIENT_TYPE'] === 'app' ? 'app' : 'oauth',
    ...changes,
  };
  const github = createGitHub(config, { guard, timeoutMs: 500 });
  if (github === null) throw new Error('There is a client');
  return github;
}

/** A person agrees: what came back, and what the exchange has to show. */
async function agree(github: GitHub, answer: 'agree' | 'deny' = 'agree') {
  const state = randomBytes(32).toString('base64url');
  const verifier = randomBytes(32).toString('base64url');
  const codeChallenge = hash('sha256', verifier, 'base64url');
  const url = github.authorizeUrl({
    state,
    codeChallenge,
    redirectUri,
    wantsPrivateRepositories: false,
  });
  const back = await standIn.authorize(url, ANN.id, answer);
  return { callback: back.searchParams, expected: { state, verifier, redirectUri } };
}

async function tokensOf(github: GitHub) {
  const { callback, expected } = await agree(github);
  const tokens = await github.exchangeCode(callback, expected);
  if (typeof tokens === 'string') throw new Error(tokens);
  return tokens;
}

test('an OAuth App’s token lives until it is revoked', async () => {
  const github = await start();
  const tokens = await tokensOf(github);
  expect(tokens).toEqual({
    accessToken: expect.stringMatching(/^gho_/),
    expiresInSeconds: null,
    refreshToken: null,
    refreshExpiresInSeconds: null,
    showsPrivate: false,
  });
  expect(await github.getUser(tokens.accessToken)).toEqual({
    githubId: 7n,
    login: 'Ann',
    name: 'Ann Lee',
    avatarUrl: 'https://avatars.test/u/7',
  });
});

test('a GitHub App’s token is refreshed once, and the one before it is dead', async () => {
  const github = await start({ clientType: 'app', enterprise: true });
  const first = await tokensOf(github);
  expect(first).toMatchObject({ expiresInSeconds: 28_800, refreshExpiresInSeconds: 15_897_600 });
  const second = await github.refreshTokens(first.refreshToken ?? '');
  expect(second).toMatchObject({ accessToken: expect.stringMatching(/^ghu_/) });
  expect(await github.refreshTokens(first.refreshToken ?? '')).toBe('REFUSED');
  expect(await github.getUser(first.accessToken)).toBe('REFUSED');
});

test('a person who says no is told apart from a code that does not count', async () => {
  const github = await start();
  const denied = await agree(github, 'deny');
  expect(await github.exchangeCode(denied.callback, denied.expected)).toBe('DENIED');
  const agreed = await agree(github);
  agreed.callback.set('code', 'code0');
  expect(await github.exchangeCode(agreed.callback, agreed.expected)).toBe('REFUSED');
});

test('a code counts once', async () => {
  const github = await start();
  const { callback, expected } = await agree(github);
  expect(await github.exchangeCode(callback, expected)).toHaveProperty('accessToken');
  expect(await github.exchangeCode(callback, expected)).toBe('REFUSED');
});

test.each(['state', 'code', 'iss'])('two values of %s are none', async (name) => {
  const github = await start();
  const { callback, expected } = await agree(github);
  callback.append(name, callback.get(name) ?? '');
  expect(await github.exchangeCode(callback, expected)).toBe('REFUSED');
});

test('what another authorization server says of itself is refused, and saying nothing is not', async () => {
  const github = await start();
  const mixedUp = await agree(github);
  mixedUp.callback.set('iss', 'https://evil.example');
  expect(await github.exchangeCode(mixedUp.callback, mixedUp.expected)).toBe('REFUSED');
  const older = await agree(github);
  older.callback.delete('iss');
  expect(await github.exchangeCode(older.callback, older.expected)).toHaveProperty('accessToken');
});

test('an address counts when it is the primary one and GitHub has verified it', async () => {
  const github = await start();
  const { accessToken } = await tokensOf(github);
  expect(await github.getVerifiedEmail(accessToken)).toBeNull();
  const primary = { email: 'ann@example.com', primary: true };
  const other = { email: 'other@example.com', primary: false, verified: true };
  standIn.put({ ...ANN, emails: [other, { ...primary, verified: false }] });
  expect(await github.getVerifiedEmail(accessToken)).toBeNull();
  standIn.put({ ...ANN, emails: [other, { ...primary, verified: true }] });
  expect(await github.getVerifiedEmail(accessToken)).toBe('ann@example.com');
});

test('revoking a token leaves the others, revoking the grant leaves none, and twice is once', async () => {
  const github = await start();
  const [first, second, third] = [
    await tokensOf(github),
    await tokensOf(github),
    await tokensOf(github),
  ];
  await github.revokeToken(first.accessToken);
  await github.revokeToken(first.accessToken);
  expect(standIn.liveTokens(ANN.id)).toEqual([second.accessToken, third.accessToken]);
  await github.revokeGrant(second.accessToken);
  expect(standIn.liveTokens(ANN.id)).toEqual([]);
});

test.each(['error', 'redirect', 'flood', 'silence', 'limit', 'nonsense'] as const)(
  '%s from GitHub is UNAVAILABLE, with nothing secret in it',
  async (kind) => {
    const github = await start({ clientType: 'app' });
    const tokens = await tokensOf(github);
    const agreed = await agree(github);
    standIn.trouble = { path: '', kind };
    const attempts = [
      github.exchangeCode(agreed.callback, agreed.expected),
      github.refreshTokens(tokens.refreshToken ?? ''),
      github.getUser(tokens.accessToken),
      github.revokeToken(tokens.accessToken),
    ];
    for (const attempt of await Promise.allSettled(attempts)) {
      if (attempt.status === 'fulfilled') throw new Error('It should not have come to an answer');
      expect(attempt.reason).toBeInstanceOf(UnavailableError);
      expectNoSecret(attempt.reason);
    }
  },
);

test('a limit says how long to wait', async () => {
  const github = await start();
  const { accessToken } = await tokensOf(github);
  standIn.trouble = { path: '/user', kind: 'limit' };
  await expect(github.getUser(accessToken)).rejects.toMatchObject({ retryAfterSeconds: 7 });
});

test('a GitHub that is away is UNAVAILABLE', async () => {
  const github = await start();
  const { accessToken } = await tokensOf(github);
  await standIn.close();
  await expect(github.getUser(accessToken)).rejects.toBeInstanceOf(UnavailableError);
});

test('a GitHub that is not where it may be called is UNAVAILABLE', async () => {
  await start();
  const guard = createGuard({ resolve: async () => [{ address: '169.254.169.254', family: 4 }] });
  const github = connect({ apiUrl: 'https://api.github.test' }, guard);
  await expect(github.getUser('gho_any')).rejects.toBeInstanceOf(UnavailableError);
  expect(standIn.calls).toEqual([]);
});

test('a GitHub that fails five times in a row is not asked a sixth time', async () => {
  const github = await start();
  standIn.trouble = { path: '/user', kind: 'error' };
  for (let count = 0; count < 5; count += 1) {
    await expect(github.getUser('gho_any')).rejects.toBeInstanceOf(UnavailableError);
  }
  await expect(github.getUser('gho_any')).rejects.toMatchObject({ retryAfterSeconds: 10 });
  expect(standIn.calls).toHaveLength(5);
});

test('a client that GitHub does not know is our fault and costs nobody their link', async () => {
  await start({ clientType: 'app' });
  const { refreshToken } = await tokensOf(connect({}));
  const github = connect({ client: { id: 'Iv1.naru', secret: 'mistyped' } });
  await expect(github.refreshTokens(refreshToken ?? '')).rejects.toBeInstanceOf(UnavailableError);
  expect(standIn.faults.splice(0)).toEqual(['the client did not prove itself']);
});

function expectNoSecret(error: unknown): void {
  const told: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    told.push(String(at), at.stack ?? '', JSON.stringify(at));
  }
  for (const secret of standIn.secrets) expect(told.join('\n')).not.toContain(secret);
}

test.each([
  ['oauth', false, 'read:user user:email'],
  ['oauth', true, 'read:user user:email repo'],
  // Its permissions are its own settings.
  ['app', true, null],
] as const)(
  'an %s client that wants private repositories: %s, asks for %s',
  async (type, wants, scope) => {
    const config = {
      url: 'https://github.test',
      apiUrl: 'https://api.github.test',
      client: { id: 'i', secret: 's' },
      clientType: type,
    };
    const url = createGitHub(config)?.authorizeUrl({
      state: 's',
      codeChallenge: 'c',
      redirectUri,
      wantsPrivateRepositories: wants,
    });
    expect(new URL(url ?? '').searchParams.get('scope')).toBe(scope);
  },
);
