import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { watchInbox } from '#resolvers/webhooks/inbox/live-status.ts';
import { openSocket } from '../support/graphql-client.ts';
import {
  addUser,
  type Counts,
  contextFor,
  createInboxClient,
  passTime,
  storeWebhooks,
} from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addSource, removeGrant } from '../support/webhooks.ts';

let naru: TestNaru;
const closers: (() => void)[] = [];
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
});
afterAll(() => naru?.close());

async function createInbox() {
  const user = await addUser(naru);
  const path = `s-${user.userId}`;
  const sourceId = await addSource(naru.app, path, { username: user.username });
  const store = async (...events: string[]) => {
    const ids = await storeWebhooks(
      naru,
      events.map((event) => ({ sourceId, event })),
    );
    return ids.map((id) => encodeGlobalId('WebhookMessage', id));
  };
  return { ...user, path, sourceId, store, inbox: createInboxClient(naru.url, user.token) };
}

/** Counts as they come; each waits for the next that is told. */
async function follow(token: string, filter?: object) {
  const socket = await openSocket(naru.url, token);
  closers.push(() => socket.ws.close());
  const query = `subscription($filter: WebhookMessageFilter) { webhookInboxChanged(filter: $filter) {
    pending leased acknowledged dead discarded redelivered } }`;
  socket.subscribe('counts', { query, variables: { filter } });
  return {
    socket,
    async next(): Promise<Counts> {
      const { type, payload } = await socket.next('counts');
      if (type !== 'next' || payload.errors) throw new Error(JSON.stringify(payload));
      return payload.data.webhookInboxChanged;
    },
    /** The first that is told with these; what was told on the way there came at its own second. */
    async until(wanted: Partial<Counts>): Promise<void> {
      for (;;) {
        const counts = await this.next();
        const isThere = Object.entries(wanted).every(
          ([name, value]) => counts[name as keyof Counts] === value,
        );
        if (isThere) return;
      }
    },
  };
}

test('the counts come at once, and again when a message arrives, is leased and is settled', async () => {
  const { inbox, store, token } = await createInbox();
  await store('push');
  const counts = await follow(token);
  expect(await counts.next()).toMatchObject({ pending: 1, leased: 0, acknowledged: 0 });
  await store('push');
  await counts.until({ pending: 2 });
  const { deliveries } = await inbox.pull();
  await counts.until({ pending: 0, leased: 2 });
  await inbox.ack({ receipts: deliveries.map(({ receipt }) => receipt) });
  await counts.until({ leased: 0, acknowledged: 2 });
  await inbox.start('HISTORY');
  await counts.until({ pending: 2 });
}, 20_000);

test('with a filter only what it lets through is counted', async () => {
  const { store, token } = await createInbox();
  const counts = await follow(token, { eventNames: ['star'] });
  expect(await counts.next()).toMatchObject({ pending: 0 });
  await store('push', 'star', 'push');
  expect(await counts.next()).toMatchObject({ pending: 1 });
});

test('what happens to others is not told, and what is the same is not told again', async () => {
  const mine = await createInbox();
  const other = await createInbox();
  const counts = await follow(mine.token);
  expect(await counts.next()).toMatchObject({ pending: 0 });
  await other.store('push', 'push');
  await other.inbox.pull();
  await mine.inbox.pull();
  await mine.store('push');
  expect(await counts.next()).toMatchObject({ pending: 1 });
});

test('a lease that runs out is told although nobody does anything', async () => {
  const { inbox, store, token } = await createInbox();
  await store('push');
  await inbox.pull({ leaseSeconds: 600 });
  const counts = await follow(token);
  expect(await counts.next()).toMatchObject({ pending: 0, leased: 1 });
  await passTime(naru, 601);
  expect(await counts.next()).toMatchObject({ pending: 1, leased: 0 });
}, 30_000);

test('a grant that is withdrawn takes its messages out of the counts', async () => {
  const { store, token, path, username } = await createInbox();
  await store('push');
  const counts = await follow(token);
  expect(await counts.next()).toMatchObject({ pending: 1 });
  await removeGrant(naru.app, path, username);
  expect(await counts.next()).toMatchObject({ pending: 0 });
}, 30_000);

test('what is done on another node is told on this one', async () => {
  const { store, token } = await createInbox();
  await store('push');
  const counts = await follow(token);
  expect(await counts.next()).toMatchObject({ pending: 1 });
  const other = await startNaru({ database: naru.database, runsJobs: false });
  try {
    await createInboxClient(other.url, token).pull();
    await counts.until({ pending: 0, leased: 1 });
  } finally {
    await other.close();
  }
});

test('the stream ends with the token that began it', async () => {
  const { token, userId } = await createInbox();
  const counts = await follow(token);
  await counts.next();
  await naru.app.database.query(
    'UPDATE personal_access_token SET revoked_at = naru_now() WHERE user_id = $1',
    [userId],
  );
  expect((await counts.socket.closed).code).toBe(4401);
});

test('who leaves while waiting is let go at once', async () => {
  const { token } = await createInbox();
  const stream = await watchInbox(await contextFor(naru, token), {});
  expect((await stream.next()).value).toMatchObject({ pending: 0 });
  const waiting = stream.next();
  await stream.return();
  expect(await waiting).toEqual({ done: true, value: undefined });
  expect(await stream.next()).toEqual({ done: true, value: undefined });
});
