import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gitHubExamples } from '../../../tests/support/github-examples.ts';
import { type GitHubEventName, parseGitHubPayload } from './github-payload.ts';
import { GITHUB_SHAPES } from './github-shapes.ts';

const NAMES = Object.keys(GITHUB_SHAPES) as GitHubEventName[];
const EXAMPLES = gitHubExamples().filter((example) => Object.hasOwn(GITHUB_SHAPES, example.event));

test('every example of each event has its shape', () => {
  expect(new Set(EXAMPLES.map(({ event }) => event))).toEqual(new Set(NAMES));
  for (const { event, title, payload } of EXAMPLES) {
    expect([title, parseGitHubPayload(event as GitHubEventName, payload)]).toEqual([
      title,
      expect.objectContaining({ eventName: event }),
    ]);
  }
});

test('whatever comes in place of any part, it is read or null, and nothing is thrown', () => {
  const nasty = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(1e308, -1, 2 ** 53, 2 ** 31, 1.5, 'a\u0000b', [], {}, [[]], { __proto__: 1 }),
  );
  fc.assert(
    fc.property(fc.constantFrom(...EXAMPLES), fc.nat(), nasty, (example, pick, value) => {
      const payload = structuredClone(example.payload) as Record<string, unknown>;
      replaceAt(payload, pick, value);
      const read = parseGitHubPayload(example.event as GitHubEventName, payload);
      if (read !== null) expect(read.eventName).toBe(example.event);
    }),
    { numRuns: 5_000 },
  );
});

describe('a push', () => {
  const push = EXAMPLES.find(({ event, payload }) => event === 'push' && payload['head_commit']);
  const read = (change: object) => parseGitHubPayload('push', { ...push?.payload, ...change });

  const commit = { id: '', message: '' };
  test.each([
    ['a branch', { ref: ['refs/heads/main'] }],
    ['commits in a list', { commits: { 0: commit } }],
    ['commits that are some', { commits: [[]] }],
    ['a bounded number of commits', { commits: Array.from({ length: 5_001 }, () => commit) }],
    ['what it led to', { after: 1 }],
  ])('without %s is null', (_name, change) => {
    expect(read(change)).toBeNull();
  });

  test.each([
    [{ pusher: [] }, { pusher: null }],
    [{ head_commit: null }, { head_commit: null }],
    [{ compare: 7 }, { compare: null }],
    [{ forced: 'yes' }, { forced: null }],
    [{ ref: 'a\u0000b' }, { ref: 'a\u0000b' }],
  ])('of which a part is not of its kind lacks the part: %j', (change, expected) => {
    expect(read(change)).toMatchObject(expected);
  });

  test('keeps nothing that has no field', () => {
    expect(Object.keys(read({ secret: 'x' }) ?? {})).not.toContain('secret');
  });
});

test('numbers past 32 bits are told as text, and those past the safe ones not at all', () => {
  const member = (id: number) =>
    parseGitHubPayload('member', { action: 'added', member: { login: 'a', id } });
  expect(member(30_433_642)).toMatchObject({ member: { id: '30433642' } });
  expect(member(2 ** 40)).toMatchObject({ member: { id: '1099511627776' } });
  expect(member(2 ** 53)).toBeNull();
});

/** Puts the value in place of one of all the places, whichever `pick` says. */
function replaceAt(payload: Record<string, unknown>, pick: number, value: unknown): void {
  const places: (() => void)[] = [];
  const walk = (node: unknown) => {
    if (typeof node !== 'object' || node === null) return;
    const holder = node as Record<string, unknown>;
    for (const [key, child] of Object.entries(holder)) {
      places.push(() => {
        holder[key] = value;
      });
      walk(child);
    }
  };
  walk(payload);
  places[pick % places.length]?.();
}
