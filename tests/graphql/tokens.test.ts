import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEventStream, openSocket, post, until } from '../support/graphql-client.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';

let naru: TestNaru;
let alice: string;

beforeAll(async () => {
  naru = await startNaru();
  alice = await naru.tokenFor('alice');
});
afterAll(() => naru?.close());

const CREATE = `mutation Create($input: CreatePersonalAccessTokenInput!) {
  createPersonalAccessToken(input: $input) {
    __typename
    ... on PersonalAccessTokenCreated {
      token
      personalAccessToken { id name scopes createdAt expiresAt lastUsedAt revokedAt }
    }
    ... on Error { code message }
    ... on InvalidInputError { field }
  }
}`;
const REVOKE = `mutation Revoke($id: ID!) {
  revokePersonalAccessToken(input: { id: $id }) {
    __typename
    ... on PersonalAccessTokenRevoked { personalAccessToken { id revokedAt } }
    ... on Error { code message } ... on InvalidInputError { field }
  }
}`;
const WHO = '{ viewer { id username } }';
const LIVE = 'subscription { webhookMessageReceived { __typename } }';

async function create(token: string | null, input: Record<string, unknown>) {
  const { result } = await post(naru.url, { query: CREATE, variables: { input } }, token);
  return result.data.createPersonalAccessToken;
}

async function revoke(token: string | null, id: string) {
  const { result } = await post(naru.url, { query: REVOKE, variables: { id } }, token);
  return result.data.revokePersonalAccessToken;
}

describe('the life of a personal access token', () => {
  test('it is shown once, works until it is revoked, and is refused by the very next call', async () => {
    const created = await create(alice, {
      name: '  ci  ',
      scopes: ['viewer:read', 'webhooks:read', 'viewer:read'],
      expiresInDays: 30,
    });
    expect(created.token).toMatch(/^naru_pat_[\w-]{43}$/);
    expect(created.personalAccessToken).toMatchObject({
      name: 'ci',
      scopes: ['viewer:read', 'webhooks:read'],
      lastUsedAt: null,
      revokedAt: null,
    });
    const { createdAt, expiresAt, id } = created.personalAccessToken;
    const days = (Date.parse(expiresAt) - Date.parse(createdAt)) / 86_400_000;
    expect(days).toBeCloseTo(30, 3);

    const used = await post(naru.url, { query: WHO }, created.token);
    expect(used.result.data.viewer.username).toBe('alice');
    const listed = await post(
      naru.url,
      { query: '{ viewer { personalAccessTokens(last: 1) { nodes { id lastUsedAt } } } }' },
      alice,
    );
    expect(listed.result.data.viewer.personalAccessTokens.nodes).toEqual([
      { id, lastUsedAt: expect.any(String) },
    ]);
    const rows = await naru.app.database.query<{ count: string }>(
      'SELECT count(*) FROM personal_access_token t WHERE t::text LIKE $1',
      [`%${created.token}%`],
    );
    expect(rows).toEqual([{ count: '0' }]);

    const first = await revoke(alice, id);
    expect(first).toMatchObject({ __typename: 'PersonalAccessTokenRevoked' });
    const refused = await post(naru.url, { query: WHO }, created.token);
    expect(refused.status).toBe(401);
    expect(await revoke(alice, id)).toEqual(first);
  });

  test('it may revoke itself', async () => {
    const { token, personalAccessToken } = await create(alice, {
      name: 'self',
      scopes: ['tokens:write'],
      expiresInDays: 1,
    });
    expect(await revoke(token, personalAccessToken.id)).toMatchObject({
      __typename: 'PersonalAccessTokenRevoked',
    });
    expect((await post(naru.url, { query: WHO }, token)).status).toBe(401);
  });

  test('it expires by the clock of the database', async () => {
    const token = await naru.tokenFor('alice');
    await naru.app.database.query(
      "UPDATE personal_access_token SET expires_at = naru_now() WHERE name = 'command line' AND created_at = (SELECT max(created_at) FROM personal_access_token)",
    );
    expect((await post(naru.url, { query: WHO }, token)).status).toBe(401);
  });

  test('somebody else’s token is not found', async () => {
    const bob = await naru.tokenFor('bob');
    const { personalAccessToken } = await create(bob, { name: 'b', scopes: ['viewer:read'] });
    const admin = await naru.tokenFor('admin');
    for (const other of [alice, admin]) {
      expect(await revoke(other, personalAccessToken.id)).toMatchObject({
        __typename: 'NotFoundError',
        code: 'NOT_FOUND',
      });
    }
    expect((await post(naru.url, { query: WHO }, bob)).status).toBe(200);
  });

  test('an account holds at most 100 that are live', async () => {
    const oscar = await naru.tokenFor('oscar');
    const input = { name: 'many', scopes: ['viewer:read'] };
    const made = [];
    for (let n = 0; n < 99; n++) made.push(await create(oscar, input));
    expect(await create(oscar, input)).toMatchObject({
      __typename: 'ConflictError',
      code: 'CONFLICT',
    });
    await revoke(oscar, made[0].personalAccessToken.id);
    expect(await create(oscar, input)).toMatchObject({ __typename: 'PersonalAccessTokenCreated' });
  });
});

describe('errors that a mutation declares come as its result', () => {
  test.each([
    ['an empty name', { name: ' ', scopes: ['viewer:read'] }, 'input.name'],
    ['a name of 101 characters', { name: 'x'.repeat(101), scopes: ['viewer:read'] }, 'input.name'],
    ['no scopes', { name: 'x', scopes: [] }, 'input.scopes'],
    ['an unknown scope', { name: 'x', scopes: ['all'] }, 'input.scopes.0'],
    ['a scope called constructor', { name: 'x', scopes: ['constructor'] }, 'input.scopes.0'],
    ['no days', { name: 'x', scopes: ['viewer:read'], expiresInDays: 0 }, 'input.expiresInDays'],
    ['367 days', { name: 'x', scopes: ['viewer:read'], expiresInDays: 367 }, 'input.expiresInDays'],
    ['U+0000 in the name', { name: 'a\u0000b', scopes: ['viewer:read'] }, 'input.name'],
    ['half a surrogate pair', { name: 'a\ud800', scopes: ['viewer:read'] }, 'input.name'],
  ])('%s is an InvalidInputError that names the field', async (_what, input, field) => {
    expect(await create(alice, input)).toMatchObject({
      __typename: 'InvalidInputError',
      code: 'INVALID_INPUT',
      field,
    });
  });

  test('a guest gets an UnauthenticatedError', async () => {
    expect(await create(null, { name: 'x', scopes: ['viewer:read'] })).toMatchObject({
      __typename: 'UnauthenticatedError',
      code: 'UNAUTHENTICATED',
    });
    expect(await revoke(null, 'x')).toMatchObject({
      code: expect.stringMatching(/^(INVALID_INPUT|UNAUTHENTICATED)$/),
    });
  });

  test('a token without the scope, or with a narrower one, gets a ForbiddenError', async () => {
    const reader = await naru.tokenFor('alice', ['viewer:read']);
    const input = { name: 'x', scopes: ['viewer:read'] };
    expect(await create(reader, input)).toMatchObject({ __typename: 'ForbiddenError' });
    const writer = await naru.tokenFor('alice', ['tokens:write', 'viewer:read']);
    expect(await create(writer, { ...input, scopes: ['webhooks:read'] })).toMatchObject({
      __typename: 'ForbiddenError',
      code: 'FORBIDDEN',
    });
    expect(await create(writer, input)).toMatchObject({ __typename: 'PersonalAccessTokenCreated' });
  });

  test('a malformed id is an InvalidInputError', async () => {
    expect(await revoke(alice, 'no id')).toMatchObject({ __typename: 'InvalidInputError' });
  });

  test('an id of another type is INVALID_INPUT, with the field', async () => {
    const { result } = await post(naru.url, { query: WHO }, alice);
    const variables = { id: result.data.viewer.id };
    const answer = await post(naru.url, { query: REVOKE, variables }, alice);
    expect(answer.result.data).toMatchObject({
      revokePersonalAccessToken: { code: 'INVALID_INPUT', field: 'input.id' },
    });
  });
});

describe('who a request acts for', () => {
  test.each([
    ['unknown', `Bearer naru_pat_${'A'.repeat(43)}`],
    ['misshapen', 'Bearer paste-a-token-here'],
    ['of another scheme', 'Basic YWxpY2U6eA=='],
    ['empty', 'Bearer '],
  ])('a token that is %s is 401 UNAUTHENTICATED, never a guest', async (_what, authorization) => {
    for (const accept of ['application/json', 'text/event-stream']) {
      const answer = await post(naru.url, { query: '{ serverInfo { version } }' }, null, {
        authorization,
        accept,
      });
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(answer.result.errors).toMatchObject([
        { extensions: { code: 'UNAUTHENTICATED', requestId: answer.headers.get('x-request-id') } },
      ]);
    }
  });

  test('a guest may ask what is open, and is told to sign in for the rest', async () => {
    const open = await post(naru.url, { query: '{ serverInfo { version } viewer { id } }' });
    expect(open.result).toEqual({ data: { serverInfo: expect.anything(), viewer: null } });
    const closed = await post(naru.url, { query: '{ webhookMessages { nodes { id } } }' });
    expect(closed.result).toMatchObject({
      errors: [{ path: ['webhookMessages'], extensions: { code: 'UNAUTHENTICATED' } }],
      data: null,
    });
  });

  test('a token does only what its scopes say', async () => {
    const query = '{ viewer { username } }';
    const feed = '{ webhookMessages { nodes { id } } }';
    const none = await naru.tokenFor('alice', ['operations:read']);
    const viewer = await naru.tokenFor('alice', ['viewer:read']);
    const webhooks = await naru.tokenFor('alice', ['webhooks:read']);
    const codes = async (token: string, asked: string) =>
      (await post(naru.url, { query: asked }, token)).result.errors?.map(
        ({ extensions }) => extensions.code,
      ) ?? [];
    expect(await codes(none, query)).toEqual(['FORBIDDEN']);
    expect(await codes(none, feed)).toEqual(['FORBIDDEN']);
    expect(await codes(viewer, query)).toEqual([]);
    expect(await codes(viewer, feed)).toEqual(['FORBIDDEN']);
    expect(await codes(webhooks, query)).toEqual(['FORBIDDEN']);
    expect(await codes(webhooks, feed)).toEqual([]);
    const stream = await openEventStream(naru.url, { query: LIVE }, viewer);
    expect(await stream.next()).toMatchObject({ errors: [{ extensions: { code: 'FORBIDDEN' } }] });
  });
});

describe('node and nodes answer only what the viewer may see', () => {
  const NODES = 'query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }';
  const NODE = 'query ($id: ID!) { node(id: $id) { __typename id } }';

  async function ids() {
    const one = { query: '{ viewer { id personalAccessTokens(first: 1) { nodes { id } } } }' };
    const { result } = await post(naru.url, one, alice);
    const { id, personalAccessTokens } = result.data.viewer;
    const accepted = await postGitHubWebhook(naru.url, { ref: 'refs/heads/main' });
    const { id: message } = (await accepted.json()) as { id: string };
    const read = {
      query: 'query ($id: ID!) { node(id: $id) { ... on WebhookMessage { source { id } } } }',
    };
    let source: string | undefined;
    await until(async () => {
      const answer = await post(naru.url, { ...read, variables: { id: message } }, alice);
      source = answer.result.data.node?.source.id;
      return source !== undefined;
    });
    return { user: id, token: personalAccessTokens.nodes[0].id, message, source };
  }

  test('by grant, by role and by owner', async () => {
    const all = await ids();
    const asked = Object.values(all);
    const seenBy = async (token: string | null) => {
      const { result } = await post(naru.url, { query: NODES, variables: { ids: asked } }, token);
      const seen = result.data.nodes.map((node: { id: string } | null) => node?.id ?? null);
      for (const [index, id] of asked.entries()) {
        const single = await post(naru.url, { query: NODE, variables: { id } }, token);
        expect(single.result).toEqual({ data: { node: result.data.nodes[index] } });
        expect([null, id]).toContain(seen[index]);
      }
      return Object.keys(all).filter((_name, index) => seen[index] !== null);
    };
    expect(await seenBy(alice)).toEqual(['user', 'token', 'message', 'source']);
    expect(await seenBy(await naru.tokenFor('bob'))).toEqual([]);
    expect(await seenBy(await naru.tokenFor('audrey'))).toEqual(['user']);
    // Who makes sources knows them all, and reads none of their messages by that.
    expect(await seenBy(await naru.tokenFor('admin'))).toEqual(['user', 'source']);
    expect(await seenBy(null)).toEqual([]);
  });
});

describe('a token revoked in the middle of a subscription ends it with UNAUTHENTICATED', () => {
  async function revokeNewest() {
    await naru.app.database.query(
      'UPDATE personal_access_token SET revoked_at = naru_now() WHERE created_at = (SELECT max(created_at) FROM personal_access_token)',
    );
  }

  test('over graphql-ws, and the socket takes no new operation', async () => {
    const socket = await openSocket(naru.url, await naru.tokenFor('alice'));
    socket.subscribe('1', { query: LIVE });
    expect(await socket.next('1')).toMatchObject({ type: 'next' });
    await revokeNewest();
    await postGitHubWebhook(naru.url, {});
    expect(await socket.next('1')).toMatchObject({
      type: 'error',
      payload: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
    socket.subscribe('2', { query: WHO });
    expect(await socket.closed).toMatchObject({ code: 4401 });
    await until(() => naru.app.webhookFeed.size === 0);
  });

  test('over server-sent events', async () => {
    const stream = await openEventStream(naru.url, { query: LIVE }, await naru.tokenFor('alice'));
    expect(await stream.next()).toMatchObject({ data: expect.anything() });
    await revokeNewest();
    await postGitHubWebhook(naru.url, {});
    expect(await stream.next()).toMatchObject({
      errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
    expect(await stream.next()).toBeNull();
    await until(() => naru.app.webhookFeed.size === 0);
  });
});
