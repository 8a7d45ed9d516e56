// What GitHub's webhooks are made of, as typed fields: who reads them, and what of them.
import { randomUUID } from 'node:crypto';
import { type GraphQLOutputType, getNamedType, isObjectType, isUnionType } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSchema } from '#schema/index.ts';
import { type GitHubExample, gitHubExamples } from '../support/github-examples.ts';
import { openSocket, post } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  addGrant,
  addSource,
  dataOf,
  postRaw,
  postSigned,
  readNode,
  removeGrant,
  signatureOf,
  untilStored,
} from '../support/webhooks.ts';

const union = createSchema().getType('GitHubPayload');
if (!isUnionType(union)) throw new Error('GitHubPayload is no union');
const TYPES = union.getTypes();

/** Everything that the type has, however deep, with the types of unions told apart. */
function everythingOf(type: GraphQLOutputType): string {
  const named = getNamedType(type);
  if (!isObjectType(named)) return '';
  const fields = Object.values(named.getFields()).map(
    (field) => `${field.name} ${everythingOf(field.type)}`,
  );
  return `{ __typename ${fields.join(' ')} }`;
}

let naru: TestNaru;
let alice: string;
let stored = 0;

beforeAll(async () => {
  naru = await startNaru();
  alice = await naru.tokenFor('alice');
});
afterAll(() => naru.close());

async function send(
  payload: unknown,
  event = 'push',
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
  const answer = await postSigned(naru.url, body, { 'x-github-event': event, ...headers });
  expect(answer.status).toBe(202);
  await untilNext();
  return answer.json.id;
}

/** Resolves when one message more than before is readable. */
function untilNext(): Promise<void> {
  stored += 1;
  return untilStored(naru, stored);
}

const PUSH = {
  ref: 'refs/heads/main',
  before: '1'.repeat(40),
  after: '2'.repeat(40),
  commits: [{ id: '2'.repeat(40), message: 'Fix', author: { name: 'Octo' }, added: ['a.txt'] }],
  repository: { id: 77, full_name: 'octo/cat', pushed_at: 1_767_268_800 },
  sender: { login: 'octo' },
};

const TYPE = '__typename payloadOf { __typename ... on GitHubPush { ref } }';

describe('every example of @octokit/webhooks-examples', () => {
  const examples = gitHubExamples(['api.github.com', 'ghes-35']);

  test.each(TYPES.map(({ name }) => name))('%s is read with all its fields', async (name) => {
    const type = TYPES.find((one) => one.name === name);
    if (type === undefined) throw new Error('no type');
    let seen = 0;
    for (const example of examples.filter(({ event }) => typeNameOf(event) === name)) {
      const id = await send(example.payload, example.event);
      const selection = `payloadOf { ... on ${name} ${everythingOf(type)} }`;
      const { payloadOf } = await readNode(naru.url, alice, id, selection);
      expect([example.title, payloadOf.__typename]).toEqual([example.title, name]);
      seen += 1;
    }
    expect(seen).toBeGreaterThan(0);
  });

  test('of other events has none, and no error', async () => {
    const others = new Map<string, GitHubExample>();
    for (const example of examples) {
      const isTyped = TYPES.some(({ name }) => name === typeNameOf(example.event));
      if (!isTyped) others.set(example.event, example);
    }
    expect(others.size).toBeGreaterThan(30);
    for (const { event, payload } of others.values()) {
      const id = await send(payload, event);
      const node = await readNode(naru.url, alice, id, 'eventName payloadOf { __typename }');
      expect(node).toMatchObject({ eventName: event, payloadOf: null });
    }
  });
});

test('a push is read by its fields, live as on a page', async () => {
  const fields = `eventName occurredAt verificationFailure payloadOf { ... on GitHubPush {
    ref headCommit { id } commits { id message author { name email } added timestamp } } }`;
  const socket = await openSocket(naru.url, alice);
  const query = `subscription { webhookMessageReceived {
    ... on WebhookMessageReceived { message { id ${fields} } } } }`;
  socket.subscribe('live', { query });
  await socket.next('live');
  const id = await send(PUSH);
  const expected = {
    id,
    eventName: 'push',
    occurredAt: '2026-01-01T12:00:00.000Z',
    verificationFailure: null,
    payloadOf: {
      ref: 'refs/heads/main',
      headCommit: null,
      commits: [
        {
          id: '2'.repeat(40),
          message: 'Fix',
          author: { name: 'Octo', email: null },
          added: ['a.txt'],
          timestamp: null,
        },
      ],
    },
  };
  expect(await readNode(naru.url, alice, id, fields)).toEqual(expected);
  for (;;) {
    const { payload } = await socket.next('live');
    const { message } = payload.data.webhookMessageReceived;
    if (message === undefined) continue;
    expect(message).toEqual(expected);
    break;
  }
  socket.ws.close();
  await socket.closed;
});

test('a form-encoded body is read like any other', async () => {
  const body = `payload=${encodeURIComponent(JSON.stringify(PUSH))}`;
  const id = await send(body, 'push', {
    'content-type': 'application/x-www-form-urlencoded',
    'x-hub-signature-256': signatureOf(body),
  });
  expect(await readNode(naru.url, alice, id, TYPE)).toMatchObject({
    payloadOf: { __typename: 'GitHubPush', ref: 'refs/heads/main' },
  });
});

describe('a body without fields of its own', () => {
  test.each([
    ['of another event than the header says', PUSH, 'issues', null],
    ['whose ref is a list', { ...PUSH, ref: ['refs/heads/main'] }, 'push', null],
    ['whose commits are numbers', { ...PUSH, commits: [1e300] }, 'push', 'push'],
    ['that is no JSON', '{"ref":', 'push', null],
    ['that is a list', [PUSH], 'push', null],
    [
      'with a number past all bounds',
      { action: 'opened', number: 1e300, pull_request: {}, repository: PUSH.repository },
      'pull_request',
      'pull_request',
    ],
  ])('%s is kept, and read as null without an error', async (_name, body, event, eventName) => {
    const id = await send(body, event);
    expect(await readNode(naru.url, alice, id, `eventName ${TYPE}`)).toMatchObject({
      eventName,
      payloadOf: null,
    });
  });

  test('with NUL in a text is read with it', async () => {
    const id = await send({ ...PUSH, ref: 'refs/heads/a\u0000b' });
    expect(await readNode(naru.url, alice, id, `branch ${TYPE}`)).toMatchObject({
      branch: 'ab',
      payloadOf: { ref: 'refs/heads/a\u0000b' },
    });
  });
});

describe('fields are read by', () => {
  const read = async (token: string, id: string) =>
    (await readNode(naru.url, token, id, TYPE))?.payloadOf ?? null;

  test('those who may read the message, for as long as they may', async () => {
    const id = await send(PUSH);
    const bob = await naru.tokenFor('bob');
    const narrow = await naru.tokenFor('alice', ['viewer:read']);
    expect(await read(bob, id)).toBeNull();
    expect(await read(narrow, id)).toBeNull();
    await addGrant(naru.app, 'github', { username: 'bob' });
    expect(await read(bob, id)).toMatchObject({ ref: 'refs/heads/main' });
    await removeGrant(naru.app, 'github', 'bob');
    expect(await read(bob, id)).toBeNull();
  });

  test('nobody where nobody vouches for the body, or another provider sent it', async () => {
    const body = JSON.stringify(PUSH);
    const headers = { 'content-type': 'application/json', 'x-github-event': 'push' };
    await addSource(naru.app, 'open');
    const open = await postRaw(naru.url, { path: '/webhook/open', body, headers });
    await untilNext();
    expect(await readNode(naru.url, alice, open.json.id, TYPE)).toMatchObject({ payloadOf: null });

    const { id: sourceId } = await naru.app.prisma.webhookSource.findFirstOrThrow({
      where: { path: 'github' },
    });
    await naru.app.prisma.webhookSource.update({
      where: { id: sourceId },
      data: { verificationMode: 'MONITOR' },
    });
    await naru.app.webhookSources.refresh();
    const forged = await postSigned(naru.url, body, {
      'x-hub-signature-256': `sha256=${'0'.repeat(64)}`,
      'x-github-delivery': randomUUID(),
    });
    expect(forged.status).toBe(202);
    await untilNext();
    const oscar = await naru.tokenFor('oscar');
    const fields = `eventName verificationFailure repository { id } ${TYPE}`;
    expect(await readNode(naru.url, oscar, forged.json.id, fields)).toMatchObject({
      eventName: 'push',
      verificationFailure: 'SIGNATURE_MISMATCH',
      repository: null,
      payloadOf: null,
    });
    expect(await readNode(naru.url, alice, forged.json.id, fields)).toBeNull();
  });
});

test('a document that asks for a body in several ways has it read and judged once', async () => {
  const id = await send(PUSH);
  const query = `query($id: ID!) { node(id: $id) { ... on WebhookMessage {
    payloadOf { ... on GitHubPush { ref } } again: payloadOf { ... on GitHubPush { after } } payload } } }`;
  const statements: string[] = [];
  const { database } = naru.app;
  const queried = database.query.bind(database);
  Object.assign(database, {
    query: (text: string, values?: readonly unknown[], name?: string) => {
      statements.push(name ?? '');
      return queried(text, values, name);
    },
  });
  const { result } = await post(naru.url, { query, variables: { id } }, alice);
  Object.assign(database, { query: queried });
  expect(dataOf(result).node).toMatchObject({
    payloadOf: { ref: PUSH.ref },
    again: { after: PUSH.after },
  });
  expect(statements.filter((name) => name === 'read-webhook-bodies')).toHaveLength(1);
});

test('a repository tells the names that it had before', async () => {
  const changes = { repository: { name: { from: 'dog' } } };
  const repository = { id: 4_242, full_name: 'octo/cat' };
  const id = await send({ action: 'renamed', changes, repository }, 'repository');
  const fields = 'repository { fullName previousNames }';
  expect(await readNode(naru.url, alice, id, fields)).toMatchObject({
    repository: { fullName: 'octo/cat', previousNames: ['octo/dog'] },
  });
});

/** `pull_request` is read as `GitHubPullRequest`. */
function typeNameOf(event: string): string {
  const name = event.replace(/(^|_)([a-z])/g, (_match, _start, letter: string) =>
    letter.toUpperCase(),
  );
  return event === 'repository' ? 'GitHubRepositoryEvent' : `GitHub${name}`;
}
