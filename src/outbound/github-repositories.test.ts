import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnavailableError } from '#lib/errors.ts';
import { type GitHubStandIn, startGitHub } from '../../tests/support/github.ts';
import { createGitHub, type GitHub } from './github.ts';
import { createGuard } from './guard.ts';

const ANN = 7;

let standIn: GitHubStandIn;
let github: GitHub;
let token: string;

beforeEach(async () => {
  // As an Enterprise Server, which differs in its addresses only.
  standIn = await startGitHub({ publicUrl: 'https://naru.test', enterprise: true });
  standIn.put({ id: ANN, login: 'ann' });
  token = standIn.giveTokens(ANN).accessToken;
  const { settings } = standIn;
  const created = createGitHub(
    {
      url: settings['GITHUB_URL'] ?? '',
      apiUrl: settings['GITHUB_API_URL'] ?? '',
      client: {
        id: settings['GITHUB_CLIENT_ID'] ?? '',
        secret: settings['GITHUB_CLIENT_SECRET'] ?? '',
      },
      clientType: 'oauth',
    },
    { guard: createGuard(), timeoutMs: 500 },
  );
  if (created === null) throw new Error('There is a client');
  github = created;
});
afterEach(async () => {
  await standIn.close();
  expect(standIn.faults).toEqual([]);
});

function put(id: number, isPrivate = true): void {
  standIn.repositories.put({ id, fullName: `acme/${id}`, ownerId: 5, isPrivate });
}

function putGranted(count: number): void {
  for (let id = 101; id <= 100 + count; id += 1) {
    put(id);
    standIn.repositories.grant(id, ANN);
  }
}

test('a page names each repository and its owner by number, and says whether there is another', async () => {
  putGranted(101);
  put(1);
  const first = await github.listRepositories(token, { page: 1, etag: null });
  const second = await github.listRepositories(token, { page: 2, etag: null });
  expect(first).toMatchObject({ etag: expect.stringMatching(/^W\//), hasNext: true });
  expect(second).toEqual({
    repositories: [{ id: 201n, fullName: 'acme/201', ownerId: 5n, isPrivate: true }],
    etag: expect.stringMatching(/^W\//),
    hasNext: false,
  });
});

test('a page that is what it was says so, and one that is not comes anew', async () => {
  putGranted(2);
  const first = await github.listRepositories(token, { page: 1, etag: null });
  if (typeof first === 'string') throw new Error(first);
  expect(await github.listRepositories(token, { page: 1, etag: first.etag })).toBe('SAME');
  standIn.repositories.revoke(101, ANN);
  const changed = await github.listRepositories(token, { page: 1, etag: first.etag });
  expect(changed).toMatchObject({ repositories: [{ id: 102n }] });
});

test('a full page has another behind it, whether or not GitHub links to it', async () => {
  putGranted(100);
  const full = await github.listRepositories(token, { page: 1, etag: null });
  const empty = await github.listRepositories(token, { page: 2, etag: null });
  expect([full, empty]).toMatchObject([{ hasNext: true }, { hasNext: false, repositories: [] }]);
});

test('one repository is there for whom it is open to or shared with, and absent for others', async () => {
  put(1);
  put(2, false);
  put(3);
  standIn.repositories.grant(3, ANN);
  expect(await github.getRepository(token, 1n)).toBeNull();
  expect(await github.getRepository(token, 2n)).toMatchObject({ id: 2n, isPrivate: false });
  expect(await github.getRepository(token, 3n)).toMatchObject({ id: 3n, isPrivate: true });
  expect(await github.getRepository(token, 4n)).toBeNull();
});

test('a token that counts no longer is REFUSED', async () => {
  standIn.revokeAll(ANN);
  expect(await github.listRepositories(token, { page: 1, etag: null })).toBe('REFUSED');
  expect(await github.getRepository(token, 1n)).toBe('REFUSED');
});

test.each([
  ['retry-after', 90, 90],
  ['reset', 90, 90],
  // What says nothing of a time, and what says too much.
  ['words', 90, 60],
  ['reset', 90_000, 3_600],
] as const)('a limit told by %s for %i s is waited out for %i s', async (told, seconds, waits) => {
  put(1, false);
  standIn.repositories.limit = { seconds, told };
  const asked = [
    github.listRepositories(token, { page: 1, etag: null }),
    github.getRepository(token, 1n),
  ];
  for (const attempt of await Promise.allSettled(asked)) {
    if (attempt.status === 'fulfilled') throw new Error('It should not have come to an answer');
    expect(attempt.reason).toBeInstanceOf(UnavailableError);
    const { retryAfterSeconds } = attempt.reason as UnavailableError;
    expect(Math.abs(retryAfterSeconds - waits)).toBeLessThanOrEqual(1);
  }
});

test.each(['error', 'redirect', 'silence', 'nonsense'] as const)(
  '%s from GitHub is UNAVAILABLE, and no answer',
  async (kind) => {
    put(1, false);
    standIn.trouble = { path: '', kind };
    const asked = [
      github.listRepositories(token, { page: 1, etag: 'W/"x"' }),
      github.getRepository(token, 1n),
    ];
    for (const attempt of await Promise.allSettled(asked)) {
      if (attempt.status === 'fulfilled') throw new Error('It should not have come to an answer');
      expect(attempt.reason).toBeInstanceOf(UnavailableError);
      expect(String(attempt.reason)).not.toContain(token);
    }
  },
);
