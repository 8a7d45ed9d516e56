import { expect, test } from 'vitest';
import { jira } from './jira.ts';

const read = (payload: unknown) => jira.readFields({ header: () => null, payload, settings: {} });

test('a change of an issue is read', () => {
  const payload = {
    timestamp: 1_536_083_559_131,
    webhookEvent: 'jira:issue_updated',
    issue_event_type_name: 'issue_assigned',
    user: { accountId: '557058:c9eb', displayName: 'Admin', name: 'admin' },
    issue: { id: '25201', key: 'PROJ-154' },
  };
  expect(read(payload)).toEqual({
    eventName: 'jira:issue_updated',
    action: 'issue_assigned',
    branch: null,
    sender: '557058:c9eb',
    repository: null,
    occurredAt: new Date('2018-09-04T17:52:39.131Z'),
  });
});

test('a comment or a worklog is by its last author, on Data Center by name', () => {
  const author = { accountId: 'first' };
  const updateAuthor = { accountId: 'last' };
  expect(read({ comment: { author, updateAuthor } }).sender).toBe('last');
  expect(read({ comment: { author } }).sender).toBe('first');
  expect(read({ worklog: { author } }).sender).toBe('first');
  expect(read({ user: { name: 'paul' } }).sender).toBe('paul');
});

test('a time that is none is null', () => {
  for (const timestamp of ['1536083559131', Number.NaN, 1e300, -1e300, null, undefined]) {
    expect(read({ timestamp }).occurredAt).toBeNull();
  }
});

test('the delivery is known by the identifier that its retries repeat', () => {
  const headers = { 'x-atlassian-webhook-identifier': 'a', 'x-atlassian-webhook-retry': '2' };
  expect(jira.deliveryId({ headers, settings: {}, payload: () => undefined })).toBe('a');
});
