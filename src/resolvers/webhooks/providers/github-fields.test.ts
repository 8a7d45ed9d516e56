import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gitHubExamples } from '../../../../tests/support/github-examples.ts';
import { github } from './github.ts';

const EXAMPLES = gitHubExamples();

function read(payload: unknown, event: string | null = 'push') {
  return github.readFields({
    header: (name) => (name === 'x-github-event' ? event : null),
    payload,
    settings: {},
  });
}

test('every example tells its event, its action, who caused it, and where its repository lives', () => {
  for (const { event, title, payload } of EXAMPLES) {
    // biome-ignore lint/suspicious/noExplicitAny: other people's JSON
    const { action = null, sender, repository } = payload as Readonly<Record<string, any>>;
    const fields = read(payload, event);
    expect([title, fields]).toMatchObject([
      title,
      { eventName: event, action, sender: sender?.login ?? null },
    ]);
    if (repository === undefined) expect([title, fields.repository]).toEqual([title, null]);
    else {
      expect([title, fields.repository]).toMatchObject([
        title,
        {
          providerId: String(repository.id),
          fullName: repository.full_name,
          origin: new URL(repository.html_url).origin,
        },
      ]);
    }
  }
});

describe('the name that a repository had before', () => {
  const repository = { id: 1, full_name: 'octo/cat' };
  const previousName = (changes: unknown) =>
    read({ action: 'x', changes, repository }, 'repository').repository?.previousName;

  test.each([
    ['a new name', { repository: { name: { from: 'dog' } } }, 'octo/dog'],
    ['a new owner', { owner: { from: { user: { login: 'tom' } } } }, 'tom/cat'],
    ['a new organization', { owner: { from: { organization: { login: 'org' } } } }, 'org/cat'],
    ['another description', { description: { from: 'dog' } }, null],
    ['a list', [{ repository: { name: { from: 'dog' } } }], null],
    ['a name that is none', { repository: { name: { from: ['dog'] } } }, null],
    ['nothing', undefined, null],
  ])('is told by %s', (_name, changes, expected) => {
    expect(previousName(changes)).toBe(expected);
  });
});

test.each([
  ['https://github.com/octo/cat', 'https://github.com'],
  ['https://ghe.example.com:8443/octo/cat', 'https://ghe.example.com:8443'],
  ['https://github.com@evil.example.com/octo/cat', 'https://evil.example.com'],
  ['javascript:alert(1)', null],
  ['github.com/octo/cat', null],
  ['', null],
  [7, null],
])('a repository at %j lives at %j', (html_url, origin) => {
  const repository = { id: 1, full_name: 'octo/cat', html_url };
  expect(read({ repository }).repository?.origin).toBe(origin);
});

test('whatever comes, fields are read or null, and nothing is thrown', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...EXAMPLES),
      fc.jsonValue(),
      fc.string(),
      (example, json, name) => {
        for (const key of Object.keys(example.payload)) {
          const fields = read({ ...example.payload, [key]: json }, name);
          expect([null, name]).toContain(fields.eventName);
          expect(fields.occurredAt?.getTime()).not.toBeNaN();
        }
        expect(() => read(json, name)).not.toThrow();
      },
    ),
    { numRuns: 1_000 },
  );
});
