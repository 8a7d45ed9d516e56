// What one request can hold, keep waiting, or outlive.
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBareSocket, post, until } from '../support/graphql-client.ts';
import { createInboxClient } from '../support/inbox.ts';
import { postGitHubWebhook, startNaru, type TestNaru } from '../support/naru.ts';
import { dataOf, untilStored } from '../support/webhooks.ts';

let naru: TestNaru;
let token: string;

beforeAll(async () => {
  naru = await startNaru();
  token = await naru.tokenFor('alice');
});
afterAll(() => naru?.close());

test('bodies past 64 MiB in one operation are refused by name, and the others are answered', async () => {
  for (const n of [1, 2]) await postGitHubWebhook(naru.url, { n });
  await untilStored(naru, 2);
  const page = await post(naru.url, { query: '{ webhookMessages { nodes { id } } }' }, token);
  const { nodes } = dataOf(page.result).webhookMessages as { nodes: { id: string }[] };
  await naru.app.database.query('UPDATE webhook_message SET byte_size = $1', [40 * 2 ** 20]);
  const { result } = await post(
    naru.url,
    {
      query: 'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on WebhookMessage { rawBody } } }',
      variables: { ids: nodes.map(({ id }) => id) },
    },
    token,
  );
  expect(result.data).toEqual({ nodes: [{ rawBody: '{"n":1}' }, { rawBody: null }] });
  expect(result.errors?.map(({ extensions }) => extensions?.['code'])).toEqual([
    'PAYLOAD_TOO_LARGE',
  ]);
});

test('a token revoked earlier in a request makes no other later in it', async () => {
  const own = await naru.tokenFor('bob');
  const tokens = '{ viewer { personalAccessTokens { nodes { id } } } }';
  const { viewer } = dataOf((await post(naru.url, { query: tokens }, own)).result);
  const { result } = await post(
    naru.url,
    {
      query: `mutation ($id: ID!, $name: String!) {
        revokePersonalAccessToken(input: { id: $id }) { __typename }
        createPersonalAccessToken(input: { name: $name, scopes: [] }) { __typename }
        again: createPersonalAccessToken(input: { name: $name, scopes: ["viewer:read"] }) { __typename }
        pullWebhookMessages(input: {}) { __typename }
      }`,
      variables: { id: viewer.personalAccessTokens.nodes[0]?.id, name: 'heir' },
    },
    own,
  );
  expect(result.data).toMatchObject({
    revokePersonalAccessToken: { __typename: 'PersonalAccessTokenRevoked' },
    again: { __typename: 'UnauthenticatedError' },
    pullWebhookMessages: { __typename: 'UnauthenticatedError' },
  });
});

test('a refused upgrade is closed by the server, and an offer of HTTP/2 is just answered', async () => {
  const { port } = new URL(naru.url);
  const ask = async (path: string, protocol: string) => {
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
    let text = '';
    socket.on('data', (data: Buffer) => {
      text += data.toString();
    });
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: ${protocol}\r\n\r\n`,
    );
    return { socket, text: () => text };
  };
  const refused = await ask('/elsewhere', 'websocket');
  await once(refused.socket, 'end');
  expect(refused.text()).toMatch(/^HTTP\/1.1 404/);
  // Ours is still half open: what is written now meets a connection that is gone.
  refused.socket.on('error', () => {});
  refused.socket.write('anything');
  await until(() => {
    refused.socket.write('more');
    return refused.socket.destroyed;
  });

  const offered = await ask('/health', 'h2c');
  await until(() => offered.text().includes('"ok"'));
  expect(offered.text()).toMatch(/^HTTP\/1.1 200/);
  offered.socket.destroy();
});

test('who sends without reading is not read either, from the first message on', async () => {
  const socket = openBareSocket(naru.url);
  await once(socket.ws, 'open');
  socket.ws.pause();
  const ping = JSON.stringify({ type: 'ping', payload: { text: 'x'.repeat(200_000) } });
  for (let n = 0; n < 400; n += 1) socket.ws.send(ping);
  // Far more than the kernel holds: the rest stays with the sender, because the server stopped reading.
  let last = Number.NaN;
  let unchanged = 0;
  await until(() => {
    unchanged = socket.ws.bufferedAmount === last ? unchanged + 1 : 0;
    last = socket.ws.bufferedAmount;
    return unchanged > 40;
  });
  expect(last).toBeGreaterThan(40_000_000);
  socket.ws.terminate();
});

test('a stopping server answers who waits for a message, with nothing, well before the wait is over', async () => {
  const other = await startNaru();
  const client = createInboxClient(other.url, await other.tokenFor('alice'));
  const start = performance.now();
  const pulled = client.pull({ waitSeconds: 20 });
  await until(async () => other.app.webhookFeed.size > 0);
  await other.server.close();
  expect(await pulled).toMatchObject({ deliveries: [], hasMore: false });
  expect(performance.now() - start).toBeLessThan(10_000);
  await other.close();
});
