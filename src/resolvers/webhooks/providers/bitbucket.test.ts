import { expect, test } from 'vitest';
import { bitbucket } from './bitbucket.ts';

function read(eventKey: string | null, payload: unknown) {
  const header = (name: string) => (name === 'x-event-key' ? eventKey : null);
  return bitbucket.readFields({ header, payload, settings: {} });
}

test('Cloud and Data Center each have their own header for the delivery', () => {
  const idIn = (headers: Record<string, string>) =>
    bitbucket.deliveryId({ headers, settings: {}, payload: () => undefined });
  expect(idIn({ 'x-request-uuid': 'a', 'x-hook-uuid': 'b' })).toBe('a');
  expect(idIn({ 'x-request-id': 'c' })).toBe('c');
  expect(idIn({ 'x-hook-uuid': 'b' })).toBeNull();
});

// Shapes after support.atlassian.com/bitbucket-cloud/docs/event-payloads.
const cloud = {
  actor: { type: 'user', display_name: 'Emma', nickname: 'emmap1', uuid: '{a54f}' },
  repository: {
    type: 'repository',
    uuid: '{673a6070-3421-46c9-9d48-90745f7bfe8e}',
    full_name: 'team/repo.name',
    links: { html: { href: 'https://bitbucket.org/team/repo.name' } },
  },
};
const branch = (name: string) => ({ type: 'branch', name });
const pushOf = (...changes: readonly unknown[]) => ({ ...cloud, push: { changes } });

test("Cloud's push is read", () => {
  const payload = pushOf({ new: branch('main'), old: branch('main') });
  expect(read('repo:push', payload)).toEqual({
    eventName: 'repo:push',
    action: null,
    branch: 'main',
    sender: 'emmap1',
    repository: {
      providerId: '{673a6070-3421-46c9-9d48-90745f7bfe8e}',
      fullName: 'team/repo.name',
      previousName: null,
      origin: 'https://bitbucket.org',
    },
    occurredAt: null,
  });
});

test('a push is of a branch if it is of one: created, deleted or with tags', () => {
  const tag = { new: { type: 'tag', name: 'v1' }, old: null };
  expect(read(null, pushOf({ new: null, old: branch('gone') })).branch).toBe('gone');
  expect(read(null, pushOf(tag, { new: branch('new'), old: null })).branch).toBe('new');
  expect(read(null, pushOf(tag)).branch).toBeNull();
  expect(read(null, pushOf()).branch).toBeNull();
  const two = pushOf({ new: branch('a') }, { new: branch('b') });
  expect(read(null, two).branch).toBeNull();
});

test("Cloud's pull request goes to a branch and tells when", () => {
  const payload = {
    ...cloud,
    pullrequest: {
      destination: { branch: { name: 'main' } },
      source: { branch: { name: 'feature' } },
      updated_on: '2026-01-31T12:00:00.123456+00:00',
    },
  };
  expect(read('pullrequest:created', payload)).toMatchObject({
    eventName: 'pullrequest:created',
    branch: 'main',
    occurredAt: new Date('2026-01-31T12:00:00.123Z'),
  });
});

test('a repository that got a new name says the old one', () => {
  const changes = { full_name: { old: 'team/old', new: 'team/repo.name' } };
  expect(read('repo:updated', { ...cloud, changes }).repository?.previousName).toBe('team/old');
  const server = (slug: string) => ({ id: 84, slug, project: { key: 'PROJ' } });
  const payload = { eventKey: 'repo:modified', old: server('old'), new: server('new') };
  expect(read('repo:modified', payload).repository).toEqual({
    providerId: '84',
    fullName: 'PROJ/new',
    previousName: 'PROJ/old',
    origin: null,
  });
});

// Shapes after confluence.atlassian.com/bitbucketserver/event-payload-938025882.html.
const server = {
  eventKey: 'repo:refs_changed',
  date: '2017-09-19T09:45:32+1000',
  actor: { name: 'admin', displayName: 'Administrator', id: 1 },
  repository: {
    id: 84,
    slug: 'repository',
    project: { key: 'PROJ', id: 84 },
    links: { self: [{ href: 'https://git.example:7990/projects/PROJ/repos/repository/browse' }] },
  },
  changes: [{ ref: { id: 'refs/heads/main', displayId: 'main', type: 'BRANCH' }, type: 'UPDATE' }],
};

test("Data Center's push is read", () => {
  expect(read('repo:refs_changed', server)).toEqual({
    eventName: 'repo:refs_changed',
    action: null,
    branch: 'main',
    sender: 'admin',
    repository: {
      providerId: '84',
      fullName: 'PROJ/repository',
      previousName: null,
      origin: 'https://git.example:7990',
    },
    occurredAt: new Date('2017-09-18T23:45:32Z'),
  });
});

test("Data Center's pull request is about the repository that it goes to", () => {
  const ref = (displayId: string, id: number) => ({
    displayId,
    repository: { id, slug: `repository-${id}`, project: { key: '~USER' } },
  });
  const payload = {
    eventKey: 'pr:opened',
    pullRequest: { fromRef: ref('feature', 1), toRef: ref('main', 2) },
  };
  expect(read('pr:opened', payload)).toMatchObject({
    eventName: 'pr:opened',
    branch: 'main',
    repository: { providerId: '2', fullName: '~USER/repository-2' },
  });
});

test('a name that the signed body contradicts is not believed', () => {
  const push = pushOf({ new: branch('main') });
  for (const name of ['pullrequest:created', 'issue:created', 'repo:fork', 'pr:opened']) {
    expect(read(name, push).eventName, name).toBeNull();
  }
  expect(read('repo:push', { ...cloud, issue: {} }).eventName).toBeNull();
  expect(read('repo:fork', { ...cloud, fork: {} }).eventName).toBe('repo:fork');
  expect(read('pr:merged', server).eventName).toBeNull();
  expect(read('diagnostics:ping', { test: true }).eventName).toBe('diagnostics:ping');
  expect(read('repo', push).eventName).toBeNull();
  expect(read(null, push).eventName).toBeNull();
});
