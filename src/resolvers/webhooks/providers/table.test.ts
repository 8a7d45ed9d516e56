import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { storableText } from '#lib/storable-text.ts';
import type { WebhookFields } from './provider.ts';
import { PROVIDERS } from './table.ts';

const AGAIN = Symbol('again');
const LISTED = Symbol('listed');

// Every name that some adapter looks for, so that random bodies get anywhere at all.
const NAMES = [
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', 'then'],
  ...['accountId', 'action', 'actor', 'admin_graphql_api_id', 'after', 'author', 'base', 'before'],
  ...['branch', 'build_status', 'changes', 'comment', 'commits', 'created', 'created_at', 'data'],
  ...['date', 'destination', 'displayId', 'event', 'eventKey', 'event_name', 'from', 'full_name'],
  ...['head_branch', 'head_commit', 'href', 'html', 'html_url', 'id', 'issue', 'key', 'links'],
  ...['login', 'name', 'new', 'nickname', 'object_attributes', 'object_kind', 'old', 'owner'],
  ...['path_with_namespace', 'project', 'project_id', 'pullRequest', 'pull_request', 'pullrequest'],
  ...[
    'push',
    'ref',
    'ref_type',
    'release',
    'repository',
    'self',
    'sender',
    'slug',
    'status',
    'tag',
  ],
  ...[
    'timestamp',
    'toRef',
    'type',
    'updated_at',
    'updated_on',
    'user',
    'user_username',
    'username',
  ],
  ...['uuid', 'web_url', 'webhookEvent', 'workflow_run', 'worklog'],
];

const leaf = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -1, 1e300, Number.MAX_SAFE_INTEGER + 2, 15, '', [], {}),
  fc.constantFrom('refs/heads/', 'refs/heads/a\u0000b', '\ud800', 'x'.repeat(2_000), 'branch'),
  fc.constantFrom('9999-99-99T99:99:99Z', '2026-01-31T00:00:00Z', 'http://[', 'https://a.b/c'),
  fc.constantFrom('push', 'pipeline', 'build', 'repo:push', 'gid://shopify/Order/1', 'BRANCH'),
  fc.string({ unit: 'binary' }),
);

// What each name leads to: a leaf, the whole again or a list of it. So every path leads somewhere, however
// deep; a tree of random names would have hardly any path that an adapter follows.
const body = fc
  .array(fc.oneof(leaf, fc.constantFrom(AGAIN, LISTED)), {
    minLength: NAMES.length,
    maxLength: NAMES.length,
  })
  .map((values) => {
    const whole: Record<string, unknown> = {};
    for (const [index, name] of NAMES.entries()) {
      const value = values[index];
      const found = value === AGAIN ? whole : value === LISTED ? [whole, {}, 1] : value;
      // As JSON.parse does it: `__proto__` is a property like any other.
      Object.defineProperty(whole, name, { value: found, enumerable: true, configurable: true });
    }
    return whole;
  });

const headerText = fc.option(
  fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('push', 'Push Hook', 'repo:push', 'orders/paid'),
  ),
);

function expectStorable({ occurredAt, repository, ...texts }: WebhookFields) {
  const {
    providerId = null,
    fullName = null,
    previousName = null,
    origin = null,
  } = repository ?? {};
  for (const text of [...Object.values(texts), providerId, fullName, previousName, origin]) {
    if (text !== null) expect(storableText(text)).toBe(text);
  }
  if (repository !== null) expect(repository.providerId).not.toBe('');
  if (occurredAt !== null) expect(occurredAt.toISOString()).toMatch(/^\d{4}-/);
}

describe.each(Object.entries(PROVIDERS))('%s', (_name, adapter) => {
  test('reads whatever body there is without a fault, and only what can be stored', () => {
    fc.assert(
      fc.property(fc.oneof(body, leaf), headerText, (payload, text) => {
        const headers = { 'x-forgejo-event': text ?? undefined, 'webhook-id': text ?? undefined };
        expectStorable(adapter.readFields({ header: () => text, payload, settings: {} }));
        const id = adapter.deliveryId({ headers, settings: {}, payload: () => payload });
        expect(id === null || typeof id === 'string').toBe(true);
        adapter.answerChallenge?.(() => payload);
      }),
      { numRuns: 1_000 },
    );
  });

  test('takes nothing from what an object inherits', () => {
    const payload = Object.create({ action: 'inherited', sender: { login: 'inherited' } });
    const fields = adapter.readFields({ header: () => null, payload, settings: {} });
    expect(JSON.stringify(fields)).not.toContain('inherited');
  });
});
