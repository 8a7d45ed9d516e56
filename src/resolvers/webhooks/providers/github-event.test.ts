import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gitHubExamples } from '../../../../tests/support/github-examples.ts';
import { believedEventName, eventNamesShownBy } from './github-event.ts';
import { gitHubEventTime } from './github-time.ts';

const EXAMPLES = gitHubExamples();
const EVENTS = [...new Set(EXAMPLES.map(({ event }) => event))];

describe('the name of an event', () => {
  test('is believed beside each body that GitHub sends with it, and none beside any other', () => {
    expect(EXAMPLES.length).toBeGreaterThan(700);
    for (const { event, title, payload } of EXAMPLES) {
      expect([title, eventNamesShownBy(payload)]).toEqual([title, [event]]);
      expect([title, believedEventName(event, payload)]).toEqual([title, event]);
      const other = event === 'push' ? 'member' : 'push';
      expect([title, believedEventName(other, payload)]).toEqual([title, null]);
    }
  });

  test('is believed still where GitHub adds to a body', () => {
    const news = { enterprise: {}, installation: { id: 1 }, brand_new: { id: 1 }, reason: 'x' };
    for (const { event, title, payload } of EXAMPLES) {
      const name = believedEventName(event, { ...news, ...payload });
      expect([title, name]).toEqual([title, event]);
    }
  });

  test('of a rule that guards a deployment is not that of the deployment', () => {
    const body = {
      action: 'requested',
      environment: 'production',
      event: 'push',
      deployment_callback_url: 'https://api.github.com/repos/o/a/actions/runs/1/x',
      deployment: {},
      pull_requests: [],
      repository: {},
    };
    expect(eventNamesShownBy(body)).toEqual(['deployment_protection_rule']);
  });

  test('that nobody knows yet is believed, but not beside a body that is plainly of another', () => {
    const repository = { id: 1 };
    const fresh = { action: 'created', brand_new: {}, repository, organization: {} };
    expect(believedEventName('brand_new', fresh)).toBe('brand_new');
    for (const { event, payload } of EXAMPLES.filter(({ event }) => event !== 'watch')) {
      const isPlain = ['issues', 'push', 'ping', 'member', 'membership', 'release'].includes(event);
      if (isPlain) expect(believedEventName('brand_new', payload)).toBeNull();
    }
  });

  test.each([
    null,
    '',
    'PUSH',
    'push ',
    'pu sh',
    'x'.repeat(65),
    '__proto__x',
    'constructor',
    'toString',
    '\u0000',
    'ÿ',
  ])('%j is none of GitHub’s beside a push', (name) => {
    const push = EXAMPLES.find(({ event }) => event === 'push')?.payload;
    expect(believedEventName(name, push)).toBeNull();
  });

  test.each([[undefined], [null], [1], ['push'], [[]], [[{}]], [true]])(
    'is not believed beside the body %j',
    (payload) => {
      expect(believedEventName('push', payload)).toBeNull();
      expect(believedEventName('brand_new', payload)).toBeNull();
    },
  );

  test('needs each mark of its event in the form that it has', () => {
    const push = { ref: 'refs/heads/main', before: '0', after: '1', commits: [], repository: {} };
    expect(believedEventName('push', push)).toBe('push');
    for (const [key, wrong] of Object.entries({
      ref: 1,
      before: null,
      after: [],
      commits: {},
      repository: [],
    })) {
      expect(believedEventName('push', { ...push, [key]: wrong })).toBeNull();
      expect(believedEventName('push', { ...push, [key]: undefined })).toBeNull();
    }
    expect(believedEventName('push', Object.create(push))).toBeNull();
  });

  test('never throws, and is the claimed one or null, whatever comes', () => {
    const claimed = fc.oneof(fc.constantFrom(...EVENTS), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(claimed, fc.jsonValue(), fc.constantFrom(...EXAMPLES), (name, json, example) => {
        for (const payload of [json, { ...example.payload, repository: json, action: json }]) {
          expect([name, null]).toContain(believedEventName(name, payload));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('when it happened', () => {
  const timeOf = (event: string, payload: unknown) =>
    gitHubEventTime(event, payload)?.toISOString() ?? null;
  const PUSHED = { repository: { pushed_at: 1_557_933_644 } };

  test.each([
    ['push', PUSHED, '2019-05-15T15:20:44.000Z'],
    [
      'push',
      { head_commit: { timestamp: '2019-05-15T17:20:41+02:00' } },
      '2019-05-15T15:20:41.000Z',
    ],
    ['create', { repository: { pushed_at: '2019-05-15T15:20:41Z' } }, '2019-05-15T15:20:41.000Z'],
    ['installation', { installation: { updated_at: 1_525_109_899 } }, '2018-04-30T17:38:19.000Z'],
    ['star', { starred_at: '2019-05-15T15:20:40Z' }, '2019-05-15T15:20:40.000Z'],
    ['star', { starred_at: null }, null],
    ['issues', { action: 'deleted', issue: { updated_at: '2019-05-15T15:20:40Z' } }, null],
    ['watch', PUSHED, null],
    ['push', { repository: { pushed_at: 1e300 } }, null],
    ['push', { repository: { pushed_at: Number.NaN }, head_commit: [] }, null],
    ['push', { repository: { pushed_at: '2019-13-45T99:20:41Z' } }, null],
    ['push', null, null],
    ['__proto__', PUSHED, null],
    ['constructor', PUSHED, null],
  ])('of %s with %j is %s', (event, payload, time) => {
    expect(timeOf(event, payload)).toBe(time);
  });

  test('of an event whose name is not believed is not known', () => {
    expect(gitHubEventTime(null, PUSHED)).toBeNull();
  });

  test('is told by every push, pull request, issue, release and run', () => {
    for (const { event, payload, title } of EXAMPLES) {
      const tells = /^(push|pull_request|issues|release|workflow_run|workflow_job)$/.test(event);
      if (!tells || payload['action'] === 'deleted') continue;
      const time = gitHubEventTime(event, payload)?.getTime();
      expect([title, time]).toEqual([title, expect.any(Number)]);
      expect(time).toBeGreaterThan(Date.UTC(2017, 0));
      expect(time).toBeLessThan(Date.UTC(2026, 0));
    }
  });
});
