import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { addUser, createInboxClient, type StoredWebhook, storeWebhooks } from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addSource, removeGrant } from '../support/webhooks.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru?.close());

async function createInbox() {
  const user = await addUser(naru);
  const path = `s-${user.userId}`;
  const sourceId = await addSource(naru.app, path, { username: user.username });
  const store = async (...webhooks: Omit<StoredWebhook, 'sourceId'>[]) => {
    const all = webhooks.map((webhook) => ({ sourceId, ...webhook }));
    return (await storeWebhooks(naru, all)).map((id) => encodeGlobalId('WebhookMessage', id));
  };
  return { ...user, path, sourceId, store, inbox: createInboxClient(naru.url, user.token) };
}

test('a time range is replayed from its first moment on and without its last', async () => {
  const { inbox, store } = await createInbox();
  const times = ['10:00', '10:01', '10:02', '10:03'].map((at) => `2026-01-01T${at}:00.000Z`);
  const ids = await store(...times.map((time) => ({ receivedAt: new Date(time) })));
  await inbox.start('NOW');
  const filter = { receivedFrom: times[1], receivedTo: times[3] };
  expect((await inbox.replay({ filter })).count).toBe(2);
  expect((await inbox.pull()).deliveries.map(({ message }) => message.id)).toEqual(ids.slice(1, 3));
  expect(await inbox.counts()).toMatchObject({ leased: 2, acknowledged: 2 });
});

test('everything is what may be seen at that moment', async () => {
  const { inbox, store, path, username } = await createInbox();
  const mine = await createInbox();
  await store({}, {});
  await mine.store({});
  await inbox.start('NOW');
  await mine.inbox.start('NOW');
  await removeGrant(naru.app, path, username);
  expect((await inbox.replay({ filter: {} })).count).toBe(0);
  expect((await mine.inbox.replay({ filter: {} })).count).toBe(1);
});

test('everything that a viewer may see is replayed ten thousand at a time', async () => {
  const { inbox, sourceId } = await createInbox();
  // Rows of the projector's own shape, so that the test does not wait for ten thousand bodies.
  await naru.app.database.query(
    `WITH feed AS (
       UPDATE feed SET last_position = last_position + 10500 WHERE name = 'webhooks' AND key = ''
       RETURNING last_position - 10500 AS before
     ), lane AS (
       INSERT INTO webhook_lane (id, source_id, last_sequence) VALUES ($1, $1, 10500)
     )
     INSERT INTO webhook_message (id, position, source_id, lane_id, lane_sequence, verification,
       path, method, headers, byte_size, received_at)
     SELECT gen_random_uuid(), feed.before + n, $1, $1, n, 'UNSIGNED', '/', 'POST', '[]', 0, naru_now()
     FROM feed, generate_series(1, 10500) n`,
    [sourceId],
  );
  await inbox.start('NOW');
  expect(await inbox.counts()).toMatchObject({ pending: 0, acknowledged: 10_000 });
  const counts = [];
  for (let hasMore = true; hasMore; ) {
    const replayed = await inbox.replay({ filter: {} });
    counts.push(replayed.count);
    hasMore = replayed.hasMore;
  }
  expect(counts).toEqual([10_000, 500]);
  expect((await inbox.replay({ filter: {} })).count).toBe(0);
});
