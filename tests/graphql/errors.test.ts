import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GITHUB_BODIES } from '../support/github-bodies.ts';
import { openSocket, post, until } from '../support/graphql-client.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';
import { startTestPostgres } from '../support/servers.ts';

let naru: TestNaru;
let token: string;
let lines: Record<string, unknown>[];

beforeEach(async () => {
  lines = [];
  naru = await startNaru({ logTo: (line) => lines.push(line) });
  token = await naru.tokenFor('alice');
  await postGitHubWebhook(naru.url, GITHUB_BODIES.push);
  await until(async () => {
    const { result } = await post(
      naru.url,
      { query: '{ webhookMessages { nodes { id } } }' },
      token,
    );
    return result.data.webhookMessages.nodes.length === 1;
  });
  lines.length = 0;
});
afterEach(() => naru?.close());

const faults = () => lines.filter(({ level }) => level === 'error' || level === 'warn');

describe('what is our own fault', () => {
  // A read that fails, as it does when somebody tampers with the tables.
  const breakBodies = () =>
    naru.app.database.query('ALTER TABLE webhook_body RENAME COLUMN data TO lost');

  test('is told as one masked error with the request id, and logged once with its cause', async () => {
    await breakBodies();
    const query = '{ webhookMessages { nodes { eventName payload } } }';
    for (let n = 0; n < 5; n++) {
      lines.length = 0;
      const answer = await post(naru.url, { query }, token, { 'x-request-id': `ask-${n}` });
      expect(answer.status).toBe(200);
      expect(answer.result).toEqual({
        errors: [
          {
            message: 'Unexpected error',
            locations: [{ line: 1, column: 39 }],
            path: ['webhookMessages', 'nodes', 0, 'payload'],
            extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: `ask-${n}` },
          },
        ],
        data: { webhookMessages: { nodes: [{ eventName: 'push', payload: null }] } },
      });
      expect(faults()).toMatchObject([
        {
          level: 'error',
          requestId: `ask-${n}`,
          err: { message: expect.stringContaining('data') },
          path: ['webhookMessages', 'nodes', 0, 'payload'],
        },
      ]);
    }
    expect(JSON.stringify(lines)).not.toContain(token);
  });

  test('is told the same over graphql-ws', async () => {
    await breakBodies();
    const socket = await openSocket(naru.url, token);
    const query = '{ webhookMessages { nodes { payload } } }';
    const { errors } = await socket.run({ query });
    expect(errors).toMatchObject([
      { message: 'Unexpected error', extensions: { code: 'INTERNAL_SERVER_ERROR' } },
    ]);
    expect(faults()).toMatchObject([{ requestId: errors?.[0]?.extensions['requestId'] }]);
    socket.ws.close();
  });

  test('of a value that its type forbids empties what cannot be without it, compiled or not', async () => {
    await naru.app.database.query(
      `UPDATE webhook_message SET headers = '[{"name":"a","value":"b"},{"name":null,"value":"c"}]'`,
    );
    const query = `query Headers {
  webhookMessages {
    nodes { eventName headers {
      name
    } }
  }
  serverInfo { version }
}`;
    const texts = new Set<string>();
    for (let n = 0; n < 5; n++) {
      const answer = await post(naru.url, { query }, token, { 'x-request-id': 'same' });
      texts.add(answer.text);
      expect(answer.result).toEqual({
        errors: [
          {
            message: 'Unexpected error',
            locations: [{ line: 4, column: 7 }],
            path: ['webhookMessages', 'nodes', 0, 'headers', 1, 'name'],
            extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: 'same' },
          },
        ],
        data: null,
      });
    }
    expect([...texts]).toHaveLength(1);
    expect(faults()).toHaveLength(5);
    for (const line of faults()) {
      expect(line).toMatchObject({ err: { message: expect.stringContaining('non-nullable') } });
    }
  });
});

test('an error of ours, of the domain, is told with its code and place and is not logged', async () => {
  const { result } = await post(
    naru.url,
    { query: '{ serverInfo { version } messages: webhookMessages(after: "x") { nodes { id } } }' },
    token,
  );
  expect(result).toEqual({
    errors: [
      {
        message: expect.any(String),
        locations: [{ line: 1, column: 26 }],
        path: ['messages'],
        extensions: { code: 'CURSOR_INVALID' },
      },
    ],
    data: null,
  });
  expect(faults()).toEqual([]);
});

test('compiled operations answer byte for byte what interpreted ones do', async () => {
  const message = `id path method headers { name value } contentType payload rawBody(encoding: BASE64) byteSize
    deliveryId eventName action branch sender verification receivedAt cursor __typename`;
  const queries = [
    '{ __typename viewer { ...U roles createdAt } } fragment U on User { id username displayName }',
    `{ webhookMessages(first: 5) { edges { cursor node { ${message} } } pageInfo { hasNextPage startCursor } followCursor } }`,
    `query ($n: Int = 3, $e: BodyEncoding!) { webhookMessages(last: $n) { nodes { rawBody(encoding: $e) source { id path provider } repository { id } } } }`,
    `query ($n: Int, $skip: Boolean = false) { webhookMessages(last: $n) @skip(if: $skip) { nodes { id } } viewer @include(if: $skip) { id } }`,
    `query ($from: DateTime) { webhookMessages(filter: { receivedFrom: $from, eventNames: [] }) { nodes { id } } }`,
    '{ viewer { personalAccessTokens(first: 1) { nodes { ... on Node { id } name scopes expiresAt } } } }',
    '{ __schema { types { name kind fields { name args { name defaultValue } } } } }',
    'query ($missing: ID!) { node(id: $missing) { id } }',
    'query ($n: Int = 5) { webhookMessages(first: $n) { nodes { id } } }',
  ];
  const variants = [
    {},
    { n: 2, e: 'UTF8', from: '2020-01-01T00:00:00Z' },
    { n: null, skip: true, e: 'BASE64' },
    { n: -1, e: 'X', from: 'never' },
  ];
  for (const query of queries) {
    for (const variables of variants) {
      // A comment makes a document that is not known yet, with the same lines and columns.
      const fresh = `${query} #${JSON.stringify(variables)}`;
      const texts = new Set<string>();
      for (let n = 0; n < 5; n++) {
        const answer = await post(naru.url, { query: fresh, variables }, token, {
          'x-request-id': 'same',
        });
        texts.add(`${answer.status} ${answer.text}`);
      }
      expect([...texts]).toHaveLength(1);
    }
  }
});

test('PostgreSQL away is 503 for whoever brings a token, and a guest is served', async () => {
  const postgres = await startTestPostgres();
  const alone = await startNaru({
    database: { url: postgres.url, drop: async () => {} },
    logTo: (line) => lines.push(line),
  });
  try {
    const mine = await alone.tokenFor('alice');
    await postgres.stop();
    const answer = await post(alone.url, { query: '{ viewer { id } }' }, mine);
    expect(answer).toMatchObject({
      status: 503,
      result: { errors: [{ extensions: { code: 'UNAVAILABLE' } }] },
    });
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        requestId: answer.headers.get('x-request-id'),
        err: expect.anything(),
      }),
    );
    // A code that a stock client comes back from.
    await expect(openSocket(alone.url, mine)).rejects.toThrow('1013');
    expect((await post(alone.url, { query: '{ serverInfo { version } }' })).status).toBe(200);
  } finally {
    await alone.close();
    await postgres.stop();
  }
});
