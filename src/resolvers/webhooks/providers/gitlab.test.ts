import { createHmac } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { gitlab } from './gitlab.ts';

const NOW = new Date('2026-01-31T12:00:00Z');
const SECRET_TOKEN = 'a plain secret';
// As GitLab wants it: whsec_ and the base64 of 32 bytes.
const SIGNING_TOKEN = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

function judge(headers: Readonly<Record<string, string>>, body: string, ...secrets: string[]) {
  return gitlab.verify?.({
    headers,
    rawHeaders: Object.entries(headers).flat(),
    url: 'https://naru.example/webhook/gitlab',
    body: new TextEncoder().encode(body),
    secrets,
    settings: {},
    toleranceSeconds: 300,
    now: NOW,
  });
}

describe('a secret token', () => {
  const headers = { 'x-gitlab-token': SECRET_TOKEN };

  test('is compared as it is, with each secret', () => {
    expect(judge(headers, '{}', SECRET_TOKEN)).toBeNull();
    expect(judge(headers, '{}', 'new', SECRET_TOKEN)).toBeNull();
    expect(judge(headers, '{}', 'other')).toBe('SIGNATURE_MISMATCH');
    expect(judge(headers, '{}', `${SECRET_TOKEN}s`, 'a plain')).toBe('SIGNATURE_MISMATCH');
  });

  test('is missing or malformed where there is none, or two', () => {
    expect(judge({}, '{}', SECRET_TOKEN)).toBe('SIGNATURE_MISSING');
    expect(judge({ 'x-gitlab-token': '' }, '{}', SECRET_TOKEN)).toBe('SIGNATURE_MALFORMED');
    const twice = { 'x-gitlab-token': SECRET_TOKEN, 'X-Gitlab-Token': SECRET_TOKEN };
    expect(judge(twice, '{}', SECRET_TOKEN)).toBe('SIGNATURE_MALFORMED');
  });
});

describe('a signature', () => {
  const id = '908a6d9e-45fd-46c8-97e6-c4f350f219dd';
  const body = '{"object_kind":"push"}';
  const signed = (at = NOW, token = SIGNING_TOKEN) => ({
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': new Webhook(token).sign(id, at, body),
  });

  test('is what the library that GitLab points to makes', () => {
    expect(judge(signed(), body, SIGNING_TOKEN)).toBeNull();
    expect(judge(signed(), body, 'a token', SIGNING_TOKEN)).toBeNull();
    // gitlab-org/gitlab!230944: base64 of HMAC-SHA256 over `{webhook-id}.{timestamp}.{body}`.
    const digest = createHmac('sha256', Buffer.alloc(32, 7))
      .update(`${id}.${NOW.getTime() / 1_000}.${body}`)
      .digest('base64');
    expect(signed()['webhook-signature']).toBe(`v1,${digest}`);
  });

  test('covers the id, the time and the body', () => {
    expect(judge(signed(), `${body} `, SIGNING_TOKEN)).toBe('SIGNATURE_MISMATCH');
    for (const [name, value] of [
      ['webhook-id', id.replace('9', '8')],
      ['webhook-timestamp', String(NOW.getTime() / 1_000 + 1)],
    ] as const) {
      expect(judge({ ...signed(), [name]: value }, body, SIGNING_TOKEN)).toBe('SIGNATURE_MISMATCH');
    }
    const other = `whsec_${Buffer.alloc(32, 8).toString('base64')}`;
    expect(judge(signed(), body, other)).toBe('SIGNATURE_MISMATCH');
  });

  test('lasts as long as the tolerance', () => {
    const at = (seconds: number) => signed(new Date(NOW.getTime() + seconds * 1_000));
    expect(judge(at(-300), body, SIGNING_TOKEN)).toBeNull();
    expect(judge(at(300), body, SIGNING_TOKEN)).toBeNull();
    expect(judge(at(-301), body, SIGNING_TOKEN)).toBe('TIMESTAMP_TOO_OLD');
    expect(judge(at(301), body, SIGNING_TOKEN)).toBe('TIMESTAMP_IN_FUTURE');
  });

  test('that is bad is not made good by a token that is right', () => {
    const headers = { ...signed(), 'x-gitlab-token': SECRET_TOKEN };
    expect(judge(headers, 'forged', SECRET_TOKEN, SIGNING_TOKEN)).toBe('SIGNATURE_MISMATCH');
    const empty = { ...headers, 'webhook-signature': '' };
    expect(judge(empty, body, SECRET_TOKEN, SIGNING_TOKEN)).toBe('SIGNATURE_MALFORMED');
    const token = { 'x-gitlab-token': 'wrong' };
    expect(judge({ ...signed(), ...token }, body, SECRET_TOKEN, SIGNING_TOKEN)).toBeNull();
  });

  test('that came twice, or is partly there, is not judged', () => {
    const twice = { ...signed(), 'Webhook-Signature': signed()['webhook-signature'] };
    expect(judge(twice, body, SIGNING_TOKEN)).toBe('SIGNATURE_MALFORMED');
    const { 'webhook-timestamp': _, ...partial } = signed();
    expect(judge(partial, body, SIGNING_TOKEN)).toBe('SIGNATURE_MISSING');
  });

  test('is not tried with secrets that are no signing tokens', () => {
    // Else a secret token that happens to be base64 would sign, and it is in every log on the way.
    const token = Buffer.alloc(32, 7).toString('base64');
    expect(judge(signed(NOW, token), body, token)).toBe('NO_SECRET');
  });
});

test('a secret that is made serves as both kinds of token, and none is taken that neither could be', () => {
  const secret = gitlab.generateSecret?.() ?? '';
  const findFault = (text: string) => gitlab.findSecretFault?.(text) ?? null;
  expect(Buffer.from(secret.replace(/^whsec_/, ''), 'base64')).toHaveLength(32);
  expect(findFault(secret)).toBeNull();
  expect(findFault('x')).toBeNull();
  expect(findFault('a plain secret')).toBeNull();
  expect(findFault('x'.repeat(1_024))).toBeNull();
  for (const bad of [
    '',
    ' x',
    'x ',
    'x\n',
    '감자',
    'x'.repeat(1_025),
    'whsec_',
    'whsec_c2hvcnQ=',
  ]) {
    expect(findFault(bad), bad).not.toBeNull();
  }
});

test('the delivery is known by what a retry repeats, never by what several hooks share', () => {
  const idIn = (headers: Record<string, string>) =>
    gitlab.deliveryId({ headers, settings: {}, payload: () => undefined });
  const shared = { 'x-gitlab-event-uuid': 'shared' };
  const once = { ...shared, 'x-gitlab-webhook-uuid': 'once' };
  expect(idIn({ ...once, 'idempotency-key': 'key', 'webhook-id': 'signed' })).toBe('signed');
  expect(idIn({ ...once, 'idempotency-key': 'key' })).toBe('key');
  expect(idIn(once)).toBe('once');
  expect(idIn(shared)).toBeNull();
});

function read(event: string | null, payload: unknown) {
  const header = (name: string) => (name === 'x-gitlab-event' ? event : null);
  return gitlab.readFields({ header, payload, settings: {} });
}

// Shapes after docs.gitlab.com/user/project/integrations/webhook_events.
const project = {
  id: 15,
  web_url: 'http://example.com:8080/mike/dia.spora',
  path_with_namespace: 'mike/dia.spora',
};
const user = { id: 1, name: 'Administrator', username: 'root' };

test('a push is read', () => {
  const payload = {
    object_kind: 'push',
    event_name: 'push',
    before: '95790bf8',
    after: 'da156088',
    ref: 'refs/heads/feature/a',
    user_username: 'jsmith',
    project_id: 15,
    project,
    commits: [{ timestamp: '2012-01-03T23:36:29+02:00' }],
  };
  expect(read('Push Hook', payload)).toEqual({
    eventName: 'Push Hook',
    action: null,
    branch: 'feature/a',
    sender: 'jsmith',
    repository: {
      providerId: '15',
      fullName: 'mike/dia.spora',
      previousName: null,
      origin: 'http://example.com:8080',
    },
    occurredAt: null,
  });
  const tag = { ...payload, object_kind: 'tag_push', ref: 'refs/tags/v1.0.0' };
  expect(read('Tag Push Hook', tag)).toMatchObject({ eventName: 'Tag Push Hook', branch: null });
});

test('a merge request and what is said of it are of the branch that it goes to', () => {
  const request = { source_branch: 'ms-viewport', target_branch: 'master' };
  const payload = {
    object_kind: 'merge_request',
    event_type: 'merge_request',
    user,
    project,
    object_attributes: { ...request, action: 'open', updated_at: '2013-12-03T17:23:34Z' },
  };
  expect(read('Merge Request Hook', payload)).toMatchObject({
    eventName: 'Merge Request Hook',
    action: 'open',
    branch: 'master',
    sender: 'root',
    occurredAt: new Date('2013-12-03T17:23:34Z'),
  });
  const note = { object_kind: 'note', user, object_attributes: {}, merge_request: request };
  expect(read('Confidential Note Hook', note)).toMatchObject({
    eventName: 'Confidential Note Hook',
    branch: 'master',
  });
});

test('a pipeline, a job and a deployment are by their status and when it came', () => {
  const attributes = {
    ref: 'main',
    tag: false,
    status: 'success',
    created_at: '2016-08-12 15:23:28 UTC',
    finished_at: '2016-08-12 15:26:29 UTC',
  };
  const pipeline = { object_kind: 'pipeline', object_attributes: attributes };
  expect(read('Pipeline Hook', pipeline)).toMatchObject({
    eventName: 'Pipeline Hook',
    action: 'success',
    branch: 'main',
    occurredAt: new Date('2016-08-12T15:26:29Z'),
  });
  const job = {
    object_kind: 'build',
    ref: 'v1',
    tag: true,
    build_status: 'created',
    build_created_at: '2021-02-23T02:41:37.886Z',
    build_started_at: null,
  };
  expect(read('Job Hook', job)).toMatchObject({
    eventName: 'Job Hook',
    action: 'created',
    branch: null,
    occurredAt: new Date('2021-02-23T02:41:37.886Z'),
  });
  const deployment = {
    object_kind: 'deployment',
    status: 'success',
    status_changed_at: '2021-04-28 21:50:00 +0200',
  };
  expect(read('Deployment Hook', deployment)).toMatchObject({
    eventName: 'Deployment Hook',
    action: 'success',
    occurredAt: new Date('2021-04-28T19:50:00Z'),
  });
});

test('a time without a zone is none', () => {
  const object_attributes = { updated_at: '2016-08-12 15:23:28' };
  expect(read(null, { object_attributes }).occurredAt).toBeNull();
});

test('hooks of groups and of a whole instance are told apart by the name in the body', () => {
  const member = { event_name: 'user_add_to_group', user_username: 'added', group_id: 100 };
  expect(read('Member Hook', member)).toMatchObject({
    eventName: 'Member Hook',
    action: 'user_add_to_group',
    sender: null,
    repository: null,
  });
  const renamed = {
    event_name: 'project_rename',
    project_id: 74,
    path_with_namespace: 'jsmith/underscore',
    old_path_with_namespace: 'jsmith/overscore',
  };
  expect(read('System Hook', renamed)).toMatchObject({
    eventName: 'System Hook',
    action: 'project_rename',
    repository: {
      providerId: '74',
      fullName: 'jsmith/underscore',
      previousName: 'jsmith/overscore',
      origin: null,
    },
  });
});

test('a name that the body contradicts, or that nothing in the body speaks for, is not believed', () => {
  const push = { object_kind: 'push', event_name: 'push' };
  for (const name of ['Issue Hook', 'Member Hook', 'push', 'Hook', ' Hook', 'Push Hook Hook']) {
    expect(read(name, push).eventName, name).toBeNull();
  }
  expect(read('Push Hook', {}).eventName).toBeNull();
  expect(read('System Hook', {}).eventName).toBeNull();
  expect(read('Push Hook', undefined).eventName).toBeNull();
  expect(read(null, push).eventName).toBeNull();
  expect(read('Issue Hook', { object_kind: 'work_item' }).eventName).toBe('Issue Hook');
  expect(read('Feature Flag Hook', { object_kind: 'feature_flag' }).eventName).not.toBeNull();
});
