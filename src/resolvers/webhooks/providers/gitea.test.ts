import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { gitea } from './gitea.ts';

const SECRET = 'a secret';

function judge(headers: Readonly<Record<string, string>>, body: string) {
  return gitea.verify?.({
    headers,
    rawHeaders: Object.entries(headers).flat(),
    url: 'https://naru.example/webhook/gitea',
    body: new TextEncoder().encode(body),
    secrets: [SECRET],
    settings: {},
    toleranceSeconds: 300,
    now: new Date(),
  });
}

function read(headers: Readonly<Record<string, string>>, payload: unknown) {
  const header = (name: string) => headers[name] ?? null;
  return gitea.readFields({ header, payload, settings: {} });
}

const FORM = 'application/x-www-form-urlencoded';
const digestOf = (text: string) => createHmac('sha256', SECRET).update(text).digest('hex');

describe('a form', () => {
  const json = '{"ref":"refs/heads/a+b c","name":"감자"}';
  const form = new URLSearchParams({ payload: json }).toString();
  const headers = {
    'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
    'x-gitea-signature': digestOf(json),
  };

  // gitea: services/webhook/deliver.go signs PayloadContent, and then puts it into a form.
  test('is signed over its field, as Gitea does it', () => {
    expect(judge(headers, form)).toBeNull();
    expect(judge(headers, form.replace('ref', 'fer'))).toBe('SIGNATURE_MISMATCH');
    expect(judge(headers, '')).toBe('SIGNATURE_MISMATCH');
    expect(judge({ ...headers, 'content-type': 'application/json' }, form)).toBe(
      'SIGNATURE_MISMATCH',
    );
  });

  test('is judged by the first field of that name, which is the one that is read', () => {
    expect(judge(headers, `payload=%7B%7D&${form}`)).toBe('SIGNATURE_MISMATCH');
    expect(judge(headers, `${form}&payload=%7B%7D`)).toBeNull();
  });

  test('that is not UTF-8 is not guessed at', () => {
    const verdict = gitea.verify?.({
      headers,
      rawHeaders: ['x-gitea-signature', digestOf('\ufffd')],
      url: 'https://naru.example/webhook/gitea',
      body: Uint8Array.of(...new TextEncoder().encode('payload='), 0xff),
      secrets: [SECRET],
      settings: {},
      toleranceSeconds: 300,
      now: new Date(),
    });
    expect(verdict).toBe('SIGNATURE_MISMATCH');
  });
});

test("Forgejo's own header is judged before those that it sends for company", () => {
  const right = digestOf('{}');
  const wrong = digestOf('{ }');
  const both = (forgejo: string, other: string) => ({
    'x-gitea-signature': other,
    'x-gogs-signature': other,
    'x-forgejo-signature': forgejo,
  });
  expect(judge(both(right, wrong), '{}')).toBeNull();
  expect(judge(both(wrong, right), '{}')).toBe('SIGNATURE_MISMATCH');
  expect(judge(both('', right), '{}')).toBe('SIGNATURE_MALFORMED');
});

test('a hook without a secret, which sends an empty signature, is not believed', () => {
  expect(judge({ 'x-gitea-signature': '', 'x-hub-signature-256': 'sha256=' }, '{}')).toBe(
    'SIGNATURE_MALFORMED',
  );
});

test('the delivery is known by the id that all three send', () => {
  const idIn = (headers: Record<string, string>) =>
    gitea.deliveryId({ headers, settings: {}, payload: () => undefined });
  expect(idIn({ 'x-gogs-delivery': 'a' })).toBe('a');
  expect(idIn({ 'x-gogs-delivery': 'a', 'x-gitea-delivery': 'b' })).toBe('b');
  expect(idIn({})).toBeNull();
});

const repository = {
  id: 140,
  name: 'dotted.name',
  full_name: 'gitea/dotted.name',
  html_url: 'http://localhost:3000/gitea/dotted.name',
};

test('a push is read', () => {
  const payload = {
    ref: 'refs/heads/develop',
    before: '28e1879d029cb852e4844d9c718537df08844e03',
    after: 'bffeb74224043ba2feb48d137756c8a9331c449a',
    commits: [],
    repository,
    pusher: { login: 'pusher' },
    sender: { id: 1, login: 'gitea', username: 'gitea' },
  };
  expect(read({ 'x-gitea-event': 'push' }, payload)).toEqual({
    eventName: 'push',
    action: null,
    branch: 'develop',
    sender: 'gitea',
    repository: {
      providerId: '140',
      fullName: 'gitea/dotted.name',
      previousName: null,
      origin: 'http://localhost:3000',
    },
    occurredAt: null,
  });
});

test('a pull request is read', () => {
  const payload = {
    action: 'opened',
    number: 1,
    pull_request: { base: { ref: 'main' }, updated_at: '2026-01-31T12:00:00+09:00' },
    repository,
    sender: { username: 'only-a-username' },
  };
  expect(read({ 'x-forgejo-event': 'pull_request' }, payload)).toMatchObject({
    eventName: 'pull_request',
    action: 'opened',
    branch: 'main',
    sender: 'only-a-username',
    occurredAt: new Date('2026-01-31T03:00:00Z'),
  });
});

test('a tag is no branch, a created branch is one', () => {
  expect(read({}, { ref: 'refs/tags/v1' }).branch).toBeNull();
  expect(read({}, { ref: 'v1', ref_type: 'tag' }).branch).toBeNull();
  expect(read({}, { ref: 'feature/a', ref_type: 'branch' }).branch).toBe('feature/a');
});

test('a name that the signed body does not have the shape of is not believed', () => {
  const issue = { action: 'opened', issue: { id: 1 } };
  expect(read({ 'x-gitea-event': 'issues' }, issue).eventName).toBe('issues');
  for (const name of ['push', 'pull_request', 'delete', 'release', 'issue_comment']) {
    const fields = read({ 'x-gitea-event': name }, issue);
    expect(fields.eventName, name).toBeNull();
    expect(fields.action).toBe('opened');
  }
  expect(read({ 'x-gitea-event': 'Weird Name' }, issue).eventName).toBeNull();
});

test('an event whose name is empty goes by its type', () => {
  const headers = { 'x-gitea-event': '', 'x-gitea-event-type': 'package' };
  expect(read(headers, { package: {} }).eventName).toBe('package');
});

test('a form over 1 MiB is refused before it is read, whatever it is signed with', () => {
  const payload = JSON.stringify({ text: 'a'.repeat(2 ** 20) });
  const form = { 'content-type': FORM, 'x-gitea-signature': digestOf(payload) };
  expect(judge(form, `payload=${payload}`)).toBe('SIGNATURE_MALFORMED');
  const json = { 'content-type': 'application/json', 'x-gitea-signature': digestOf(payload) };
  expect(judge(json, payload)).toBeNull();
});
