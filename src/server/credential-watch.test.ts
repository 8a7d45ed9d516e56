import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Credential } from '#auth/credential.ts';
import type { Viewer } from '#auth/viewer.ts';
import { UnauthenticatedError, UnavailableError } from '#lib/errors.ts';
import { createLog } from '#log.ts';
import { createCredentialWatch } from './credential-watch.ts';

/** Longer than from one look to the next; less than what was promised. */
const SOON_MS = 500;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const cookie = (hash: string): Credential => ({ kind: 'cookie', hash });

function openWatch() {
  const failing = new Map<string, Error>();
  const asked: string[] = [];
  const keyOf = (credential: Credential) =>
    credential.kind === 'access' ? credential.sessionId : credential.hash;
  const authenticate = async (credential: Credential) => {
    const error = failing.get(keyOf(credential));
    if (error !== undefined) throw error;
    return {} as Viewer;
  };
  const findEnded = async (credentials: readonly Credential[]) => {
    asked.push(...credentials.map(keyOf));
    const failed = credentials.filter((credential) => failing.has(keyOf(credential)));
    const outage = failed.map((credential) => failing.get(keyOf(credential)));
    for (const error of outage) if (!(error instanceof UnauthenticatedError)) throw error;
    return failed;
  };
  const watch = createCredentialWatch({ authenticate, findEnded, log: createLog('silent') });
  const refused: string[] = [];
  return {
    failing,
    asked,
    refused,
    close: () => watch.close(),
    watch: (credential: Credential | null, name: string) =>
      watch.watch(credential, () => refused.push(name)),
  };
}

const revoked = new UnauthenticatedError('The session has ended: sign in again');

test('whoever is behind a credential that no longer counts is told within half a second, once', async () => {
  const { watch, failing, refused } = openWatch();
  watch(cookie('a'), 'first');
  watch(cookie('a'), 'second');
  watch(cookie('b'), 'another');
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(refused).toEqual([]);
  failing.set('a', revoked);
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(refused).toEqual(['first', 'second']);
  await vi.advanceTimersByTimeAsync(10 * SOON_MS);
  expect(refused).toEqual(['first', 'second']);
});

test('a credential is asked for once however many share it, and two access tokens of a session apart', async () => {
  const { watch, asked } = openWatch();
  const access = (minute: number): Credential => ({
    kind: 'access',
    sessionId: 's',
    expiresAt: new Date(minute * 60_000),
  });
  for (let index = 0; index < 10; index += 1) watch(cookie('a'), String(index));
  watch(access(1), 'old');
  watch(access(2), 'new');
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(asked.sort()).toEqual(['a', 's', 's']);
});

test('an outage closes nothing, and what was revoked meanwhile is closed after it', async () => {
  const { watch, failing, refused } = openWatch();
  watch(cookie('a'), 'first');
  failing.set('a', new UnavailableError('PostgreSQL cannot answer now'));
  await vi.advanceTimersByTimeAsync(100 * SOON_MS);
  expect(refused).toEqual([]);
  failing.set('a', new TypeError('a mistake'));
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(refused).toEqual([]);
  failing.set('a', revoked);
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(refused).toEqual(['first']);
});

test('what only looked ended, or cannot be asked for just then, stays open', async () => {
  const refused: string[] = [];
  let answer: () => Promise<Viewer> = async () => ({}) as Viewer;
  const watch = createCredentialWatch({
    log: createLog('silent'),
    findEnded: async (credentials) => [...credentials],
    authenticate: () => answer(),
  });
  watch.watch(cookie('a'), () => refused.push('a'));
  await vi.advanceTimersByTimeAsync(SOON_MS);
  answer = () => Promise.reject(new UnavailableError('PostgreSQL cannot answer now'));
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(refused).toEqual([]);
  answer = () => Promise.reject(revoked);
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(refused).toEqual(['a']);
});

test('guests are not watched', () => {
  const { watch } = openWatch();
  watch(null, 'guest')();
  expect(vi.getTimerCount()).toBe(0);
});

test('nothing is kept of what has left: nobody is asked for and no timer runs', async () => {
  const { watch, asked } = openWatch();
  const stops = Array.from({ length: 100 }, (_, index) => watch(cookie(String(index % 7)), 'x'));
  await vi.advanceTimersByTimeAsync(SOON_MS);
  for (const stop of stops) stop();
  // Twice is once.
  for (const stop of stops) stop();
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(3 * SOON_MS);
  expect(asked.length).toBe(before);
  expect(vi.getTimerCount()).toBe(0);
});

test('one of two that leaves takes nothing from the other', async () => {
  const { watch, failing, refused } = openWatch();
  watch(cookie('a'), 'first')();
  const leave = watch(cookie('a'), 'second');
  watch(cookie('a'), 'third');
  leave();
  failing.set('a', revoked);
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(refused).toEqual(['third']);
  expect(vi.getTimerCount()).toBe(0);
});

test('who left while the credential was looked at is told nothing', async () => {
  let answer = () => {};
  const refused: string[] = [];
  const watch = createCredentialWatch({
    log: createLog('silent'),
    findEnded: async (credentials) => [...credentials],
    authenticate: () =>
      new Promise((_resolve, reject) => {
        answer = () => reject(revoked);
      }),
  });
  const leave = watch.watch(cookie('a'), () => refused.push('left'));
  watch.watch(cookie('a'), () => refused.push('stayed'));
  await vi.advanceTimersByTimeAsync(SOON_MS);
  leave();
  answer();
  await vi.advanceTimersByTimeAsync(0);
  expect(refused).toEqual(['stayed']);
});

test('after nothing was left it begins again with the next', async () => {
  const { watch, failing, refused } = openWatch();
  watch(cookie('a'), 'first')();
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(vi.getTimerCount()).toBe(0);
  failing.set('a', revoked);
  watch(cookie('a'), 'second');
  await vi.advanceTimersByTimeAsync(SOON_MS);
  expect(refused).toEqual(['second']);
});

test('closed, it tells nobody anything and keeps no timer', async () => {
  const { watch, close, failing, refused } = openWatch();
  watch(cookie('a'), 'first');
  failing.set('a', revoked);
  close();
  await vi.advanceTimersByTimeAsync(3 * SOON_MS);
  expect(refused).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
