import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { addUser, createInboxClient, storeWebhooks } from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addGrant, addSource } from '../support/webhooks.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru?.close());

async function createInbox() {
  const user = await addUser(naru);
  const sourceId = await addSource(naru.app, `s-${user.userId}`, { username: user.username });
  const store = async (...repositories: number[]) => {
    const ids = await storeWebhooks(
      naru,
      repositories.map((repository) => ({ sourceId, repository })),
    );
    return ids.map((id) => encodeGlobalId('WebhookMessage', id));
  };
  return { ...user, sourceId, store, inbox: createInboxClient(naru.url, user.token) };
}

const countRows = async (userId: string) =>
  (await naru.app.database.query('SELECT 1 FROM webhook_delivery WHERE user_id = $1', [userId]))
    .length;

test('NOW leaves nothing pending or leased, without a row for any message', async () => {
  const { inbox, store, userId } = await createInbox();
  await store(1, 1, 2, 3);
  const { deliveries } = await inbox.pull({ limit: 2 });
  const { inbox: counts } = await inbox.start('NOW');
  expect(counts).toMatchObject({ pending: 0, leased: 0, acknowledged: 4 });
  expect(await countRows(userId)).toBe(0);
  const receipts = deliveries.map(({ receipt }) => receipt);
  expect((await inbox.ack({ receipts })).refused).toMatchObject([
    { reason: 'ALREADY_ACKNOWLEDGED' },
    { reason: 'ALREADY_ACKNOWLEDGED' },
  ]);
  const [next = ''] = await store(1);
  expect((await inbox.pull()).deliveries.map(({ message }) => message.id)).toEqual([next]);
});

test('HISTORY makes everything pending again, from the first message on', async () => {
  const { inbox, store } = await createInbox();
  const ids = await store(1, 2, 1, 2);
  await inbox.ack({ messageIds: ids.slice(0, 3) });
  const held = await inbox.pull();
  await inbox.start('HISTORY');
  expect(await inbox.counts()).toMatchObject({ pending: 3, leased: 1, acknowledged: 0 });
  expect((await inbox.pull()).deliveries.map(({ message }) => message.id)).toEqual(ids.slice(0, 3));
  const receipts = held.deliveries.map(({ receipt }) => receipt);
  expect((await inbox.ack({ receipts })).acknowledged).toEqual([ids[3]]);
});

test('a receipt from before HISTORY is stale, not acknowledged', async () => {
  const { inbox, store } = await createInbox();
  await store(1);
  const { deliveries } = await inbox.pull();
  const receipts = deliveries.map(({ receipt }) => receipt);
  await inbox.ack({ receipts });
  await inbox.start('HISTORY');
  expect((await inbox.ack({ receipts })).refused).toMatchObject([{ reason: 'STALE' }]);
});

test('dead letters stay dead either way', async () => {
  const { inbox, store } = await createInbox();
  await store(1);
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const { deliveries } = await inbox.pull();
    await inbox.nack(deliveries.map(({ receipt }) => receipt));
  }
  for (const from of ['NOW', 'HISTORY', 'NOW'] as const) {
    expect((await inbox.start(from)).inbox).toMatchObject({ pending: 0, dead: 1 });
  }
});

test('NOW says nothing of a source that is granted later: its stored history comes', async () => {
  const { inbox, username } = await createInbox();
  const path = `later-${username}`;
  const sourceId = await addSource(naru.app, path, {});
  await storeWebhooks(naru, [{ sourceId }, { sourceId }]);
  await inbox.start('NOW');
  await addGrant(naru.app, path, { username });
  expect(await inbox.counts()).toMatchObject({ pending: 2, acknowledged: 0 });
});

test('what arrives while an inbox starts is pending or settled, and never lost', async () => {
  const { inbox, store } = await createInbox();
  await store(1);
  const arriving = (async () => {
    for (let count = 0; count < 20; count += 1) await store(1, 2);
  })();
  await Promise.all(Array.from({ length: 5 }, () => inbox.start('NOW')));
  await arriving;
  const { pending, acknowledged } = await inbox.counts();
  expect(pending + acknowledged).toBe(41);
  expect((await inbox.pull()).deliveries).toHaveLength(pending);
  const [next = ''] = await store(1);
  expect((await inbox.pull()).deliveries.map(({ message }) => message.id)).toEqual([next]);
});
