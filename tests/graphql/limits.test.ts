import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS, type LimitName } from '#server/limits.ts';
import {
  get,
  type Operation,
  openEventStream,
  openSocket,
  post,
  type Result,
} from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';

let naru: TestNaru;
let token: string;

beforeAll(async () => {
  naru = await startNaru();
  token = await naru.tokenFor('alice');
});
afterAll(() => naru?.close());

/** One answer to one operation, over every way there is to send one. */
const TRANSPORTS: Readonly<Record<string, (operation: Operation) => Promise<Result>>> = {
  'a JSON POST': async (operation) => {
    const answer = await post(naru.url, operation, token);
    expect(answer.status).toBe(200);
    return answer.result;
  },
  'a POST for the response type of GraphQL': async (operation) => {
    const accept = 'application/graphql-response+json';
    const answer = await post(naru.url, operation, token, { accept });
    expect(answer.status).toBe('data' in answer.result ? 200 : 400);
    return answer.result;
  },
  'a GET': async (operation) => (await get(naru.url, operation, token)).result,
  'server-sent events': async (operation) => {
    const stream = await openEventStream(naru.url, operation, token);
    const result = await stream.next();
    stream.leave();
    return result ?? {};
  },
  'graphql-ws': async (operation) => {
    const socket = await openSocket(naru.url, token);
    const result = await socket.run(operation);
    socket.ws.close();
    return result;
  },
};

const times = (count: number, text: string) => Array.from({ length: count }, () => text).join(' ');
const nest = (count: number, open: string, inmost: string) =>
  `${open.repeat(count)}${inmost}${'}'.repeat(count)}`;
const version = '{ serverInfo { version } }';

function deepList(depth: number): unknown {
  return depth === 0 ? 1 : [deepList(depth - 1)];
}

interface Case {
  readonly limit: LimitName;
  /** With this much of it; the limit itself is kept, one more is not. */
  readonly operation: (amount: number) => Operation;
  readonly tooLongForUrl?: true;
}

const CASES: readonly Case[] = [
  {
    limit: 'tokens',
    operation: (amount) => ({ query: `{ nodes(ids: [${times(amount - 12, '1')}]) { id } }` }),
  },
  {
    limit: 'depth',
    operation: (amount) => ({ query: `{ ${nest(amount - 1, 'viewer {', 'id')} }` }),
  },
  {
    limit: 'depth',
    operation: (amount) => ({
      query: `{ ...Root } fragment Root on Query { ${nest(amount - 1, 'viewer {', 'id')} }`,
    }),
  },
  {
    limit: 'introspectionDepth',
    operation: (amount) => ({
      query: `{ __type(name: "Query") { ${nest(amount - 2, 'ofType {', 'name')} } }`,
    }),
  },
  {
    limit: 'aliases',
    operation: (amount) => ({
      query: `{ serverInfo { ${Array.from({ length: amount }, (_, n) => `a${n}: version`).join(' ')} } }`,
    }),
  },
  {
    limit: 'aliases',
    operation: (amount) => ({
      query: `{ serverInfo { ${times(amount, '...V')} } } fragment V on ServerInfo { version }`,
    }),
  },
  {
    limit: 'directives',
    operation: (amount) => ({
      query: `{ serverInfo { ${times(amount, 'version @include(if: true)')} } }`,
    }),
  },
  {
    limit: 'directives',
    operation: (amount) => ({ query: `query ${times(amount, '@include(if: true)')} ${version}` }),
  },
  {
    limit: 'fields',
    // 50 times a fragment and 99 fields
    operation: (amount) => ({
      query: `{ ${times(50, '...F')} ${times(amount - LIMITS.fields, '__typename')} }
        fragment F on Query { ${times(49, 'serverInfo { version }')} __typename }`,
    }),
  },
  {
    limit: 'repeats',
    operation: (amount) => ({ query: `{ serverInfo { ${times(amount, 'version')} } }` }),
  },
  {
    limit: 'repeats',
    operation: (amount) => ({ query: `{ ${times(amount, version.slice(1, -1))} }` }),
  },
  {
    limit: 'repeats',
    operation: (amount) => ({
      query: `{ serverInfo { version ...V ... on ServerInfo { version } } }
        fragment V on ServerInfo { ${times(amount - 2, 'version')} }`,
    }),
  },
  {
    limit: 'variableCharacters',
    operation: (amount) => ({ query: version, variables: { v: 'x'.repeat(amount - 1) } }),
    tooLongForUrl: true,
  },
  {
    limit: 'variableCharacters',
    operation: (amount) => ({ query: version, variables: { ['x'.repeat(amount)]: 1 } }),
    tooLongForUrl: true,
  },
  {
    limit: 'variableDepth',
    operation: (amount) => ({ query: version, variables: { v: deepList(amount) } }),
  },
  {
    limit: 'variableNodes',
    operation: (amount) => ({ query: version, variables: { v: Array(amount - 2).fill(0) } }),
  },
  {
    limit: 'cost',
    // viewer and the connection 1 each, and each of its items, of which none is free
    operation: (amount) => ({
      query: `query Cost($first: Int) { ${Array.from(
        { length: 50 },
        (_, n) => `a${n}: webhookMessages(first: $first) { nodes { id } }`,
      ).join(' ')} }`,
      variables: { first: amount > LIMITS.cost ? 100 : 1 },
    }),
  },
];

describe.each(Object.entries(TRANSPORTS))('over %s', (transport, send) => {
  test.each(CASES.filter((c) => transport !== 'a GET' || !c.tooLongForUrl))(
    'the limit $limit is kept, and one more is refused by name',
    async ({ limit, operation }) => {
      const maximum = LIMITS[limit];
      const kept = await send(operation(maximum));
      expect(kept.errors?.map(({ extensions }) => extensions.code) ?? []).not.toContain(
        'LIMIT_EXCEEDED',
      );
      const refused = await send(operation(maximum + 1));
      expect(refused.data).toBeUndefined();
      expect(refused.errors).toMatchObject([
        { extensions: { code: 'LIMIT_EXCEEDED', limit, maximum } },
      ]);
    },
  );
});

test.each(['subscription', 'mutation'])('a %s keeps the same limits', async (kind) => {
  const query = `${kind} { ${nest(LIMITS.depth, 'viewer {', 'id')} }`;
  for (const [transport, send] of Object.entries(TRANSPORTS)) {
    if (kind === 'mutation' && transport === 'a GET') continue;
    const { errors } = await send({ query });
    expect(errors).toMatchObject([{ extensions: { code: 'LIMIT_EXCEEDED', limit: 'depth' } }]);
  }
});

test('a request over the limit of bytes is refused with 413 that names it', async () => {
  const fits = JSON.stringify({ query: version, padding: '' });
  const kept = await post(naru.url, {
    query: version,
    padding: 'x'.repeat(LIMITS.requestBytes - fits.length),
  });
  expect(kept).toMatchObject({ status: 200, result: { data: { serverInfo: {} } } });
  for (const accept of ['application/json', 'text/event-stream']) {
    const refused = await post(
      naru.url,
      { query: version, padding: 'x'.repeat(LIMITS.requestBytes - fits.length + 1) },
      token,
      { accept },
    );
    expect(refused.status).toBe(413);
    expect(refused.result.errors).toMatchObject([
      { message: expect.stringContaining('262144'), extensions: { code: 'PAYLOAD_TOO_LARGE' } },
    ]);
  }
});

test('a message over the limit of bytes closes the socket with 1009', async () => {
  const socket = await openSocket(naru.url, token);
  socket.subscribe('1', { query: version, variables: { v: 'x'.repeat(LIMITS.requestBytes) } });
  expect(await socket.closed).toMatchObject({ code: 1009 });
});

test('one operation more than a socket takes is refused, and the others go on', async () => {
  const socket = await openSocket(naru.url, token);
  const query = 'subscription { webhookMessageReceived { __typename } }';
  for (let n = 0; n < LIMITS.operationsPerSocket; n++) socket.subscribe(`s${n}`, { query });
  for (let n = 0; n < LIMITS.operationsPerSocket; n++) {
    expect(await socket.next(`s${n}`)).toMatchObject({ type: 'next' });
  }
  socket.subscribe('more', { query });
  expect(await socket.next('more')).toMatchObject({
    type: 'error',
    payload: [{ extensions: { code: 'LIMIT_EXCEEDED', limit: 'operationsPerSocket' } }],
  });
  socket.send({ id: 's0', type: 'complete' });
  socket.subscribe('now', { query });
  expect(await socket.next('now')).toMatchObject({ type: 'next' });
  socket.ws.close();
});
