import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GITHUB_BODIES } from '../support/github-bodies.ts';
import { openEventStream, openSocket } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  addGrant,
  addSource,
  postRaw,
  postSigned,
  readAll,
  removeGrant,
  untilStored,
  type WebhookWatch,
  watchWebhooks,
} from '../support/webhooks.ts';

let naru: TestNaru;
let alice: string;
let bob: string;
const watches: WebhookWatch[] = [];

beforeEach(async () => {
  naru = await startNaru();
  await addSource(naru.app, 'open');
  [alice, bob] = [await naru.tokenFor('alice'), await naru.tokenFor('bob')];
});
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
  await naru.close();
});

async function watch(token: string, variables: Parameters<typeof watchWebhooks>[2] = {}) {
  const opened = await watchWebhooks(naru.url, token, variables);
  watches.push(opened);
  return opened;
}

/** Posts to `open` and says which message it became. */
async function send(body: string): Promise<string> {
  const { status, json } = await postRaw(naru.url, { path: '/webhook/open', body });
  expect(status).toBe(202);
  return json.id;
}

const nextId = async (opened: WebhookWatch) => (await opened.nextMessage()).id;

describe('the stream', () => {
  test('carries what is granted to its viewer and nothing else', async () => {
    await addSource(naru.app, 'bobs', { username: 'bob' });
    const [hers, his] = [await watch(alice), await watch(bob)];
    const first = await send('1');
    const between = await postRaw(naru.url, { path: '/webhook/bobs', body: '2' });
    const last = await send('3');
    expect([await nextId(hers), await nextId(hers)]).toEqual([first, last]);
    expect(await nextId(his)).toBe(between.json.id);
  });

  test('carries what is granted to a role of its viewer', async () => {
    await addSource(naru.app, 'audited', { role: 'AUDITOR' });
    const [audrey, hers] = [await watch(await naru.tokenFor('audrey')), await watch(alice)];
    const audited = await postRaw(naru.url, { path: '/webhook/audited', body: '1' });
    const open = await send('2');
    expect(await nextId(audrey)).toBe(audited.json.id);
    expect(await nextId(hers)).toBe(open);
  });

  test('shows a viewer what comes after a grant, and after `after` what came before it', async () => {
    const his = await watch(bob);
    const before = await send('before');
    await untilStored(naru, 1);
    // His stream has passed what he might not see before the grant is made.
    const hers = await watch(alice, { after: his.startCursor });
    expect(await nextId(hers)).toBe(before);
    await addSource(naru.app, 'bobs', { username: 'bob' });
    const mark = await postRaw(naru.url, { path: '/webhook/bobs', body: 'mark' });
    expect(await nextId(his)).toBe(mark.json.id);
    await addGrant(naru.app, 'open', { username: 'bob' });
    const after = await send('after');
    expect(await nextId(his)).toBe(after);
    const again = await watch(bob, { after: his.startCursor });
    expect([await nextId(again), await nextId(again), await nextId(again)]).toEqual([
      before,
      mark.json.id,
      after,
    ]);
  });

  test('is cut by a revocation from the next message on, and goes on', async () => {
    const hers = await watch(alice);
    const seen = await send('seen');
    expect(await nextId(hers)).toBe(seen);
    await removeGrant(naru.app, 'open', 'alice');
    await send('not for alice any more');
    const signed = await postSigned(naru.url, '{}');
    expect(await nextId(hers)).toBe(signed.json.id);
    // Nor is what she saw before handed out again.
    const again = await watch(alice, { after: hers.startCursor });
    expect(await nextId(again)).toBe(signed.json.id);
    expect(await readAll(naru.url, alice)).toEqual([{ id: signed.json.id }]);
  });

  test('ends for a token that is revoked, at the next message', async () => {
    const hers = await watch(alice);
    await naru.app.prisma.personalAccessToken.updateMany({
      where: { user: { username: 'alice' } },
      data: { revokedAt: new Date() },
    });
    await send('1');
    await expect(hers.next()).rejects.toThrow('UNAUTHENTICATED');
  });

  test('replays after a cursor and goes on live, in order, without a seam', async () => {
    const sent = [];
    const first = await watch(alice);
    for (let index = 0; index < 30; index += 1) sent.push(await send(`${index}`));
    await untilStored(naru, 30);
    const arriving = (async () => {
      for (let index = 30; index < 60; index += 1) sent.push(await send(`${index}`));
    })();
    const second = await watch(alice, { after: first.startCursor });
    const seen = [];
    for (let index = 0; index < 60; index += 1) seen.push(await nextId(second));
    await arriving;
    expect(seen).toEqual(sent);
  });

  test('resumes after any of its items and repeats none', async () => {
    const hers = await watch(alice);
    const sent = [];
    for (let index = 0; index < 10; index += 1) sent.push(await send(`${index}`));
    const cursors = [];
    for (let index = 0; index < 10; index += 1) cursors.push((await hers.next()).cursor);
    for (const at of [0, 4, 8]) {
      const resumed = await watch(alice, { after: cursors[at] ?? '' });
      expect(await nextId(resumed)).toBe(sent[at + 1]);
    }
  });

  test('carries only what its filter lets through, replayed and live alike', async () => {
    const start = await watch(alice);
    const post = async (event: 'push' | 'star', branch: string) => {
      const body = JSON.stringify({ ...GITHUB_BODIES[event], ref: `refs/heads/${branch}` });
      return (await postSigned(naru.url, body, { 'x-github-event': event })).json.id as string;
    };
    const filter = { sources: ['github'], eventNames: ['push'], branches: ['main'] };
    const live = await watch(alice, { filter });
    const wanted = [];
    for (let round = 0; round < 3; round += 1) {
      await post('push', 'dev');
      await post('star', 'main');
      await send('unsigned');
      wanted.push(await post('push', 'main'));
    }
    const replayed = await watch(alice, { filter, after: start.startCursor });
    for (const opened of [live, replayed]) {
      expect([await nextId(opened), await nextId(opened), await nextId(opened)]).toEqual(wanted);
    }
  });

  test('is refused without the scope, without a token, and with a cursor that was not given out', async () => {
    const narrow = await naru.tokenFor('alice', ['viewer:read']);
    await expect(watchWebhooks(naru.url, narrow)).rejects.toThrow('FORBIDDEN');
    await expect(watchWebhooks(naru.url, alice, { after: 'nonsense' })).rejects.toThrow(
      'CURSOR_INVALID',
    );
    const filter = { eventNames: ['\u0000'] };
    await expect(watchWebhooks(naru.url, alice, { filter })).rejects.toThrow('INVALID_INPUT');
  });

  test('is the same over server-sent events', async () => {
    const query = `subscription($after: Cursor) { webhookMessageReceived(after: $after) {
      ... on StreamItem { cursor } ... on WebhookMessageReceived { message { id rawBody } } } }`;
    const events = await openEventStream(naru.url, { query }, alice);
    expect((await events.next())?.data.webhookMessageReceived).toEqual({
      cursor: expect.any(String),
    });
    const id = await send('over SSE');
    expect((await events.next())?.data.webhookMessageReceived.message).toEqual({
      id,
      rawBody: 'over SSE',
    });
    events.leave();
  });
});

describe('a token without `webhooks:read`', () => {
  test('reads no message, source or repository by any way', async () => {
    const body = JSON.stringify({ repository: { id: 1, full_name: 'a/b' } });
    await postSigned(naru.url, body);
    await untilStored(naru, 1);
    const [message] = await readAll(naru.url, alice, 'id source { id } repository { id }');
    const ids = [message.id, message.source.id, message.repository.id];
    const narrow = await openSocket(naru.url, await naru.tokenFor('alice', ['viewer:read']));
    const wide = await openSocket(naru.url, alice);
    const query = 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }';
    const nodes = ids.map((id) => ({ id }));
    expect((await wide.run({ query, variables: { ids } })).data?.nodes).toEqual(nodes);
    expect((await narrow.run({ query, variables: { ids } })).data?.nodes).toEqual([
      null,
      null,
      null,
    ]);
    const list = await narrow.run({ query: '{ webhookMessages { nodes { id } } }' });
    expect(list.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
    narrow.ws.close();
    wide.ws.close();
  });
});
