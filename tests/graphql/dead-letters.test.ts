import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import {
  addUser,
  createInboxClient,
  type InboxClient,
  passTime,
  storeWebhooks,
} from '../support/inbox.ts';
import { mutate } from '../support/mutations.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addSource, readNode, removeGrant } from '../support/webhooks.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
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

/** Hands everything that is pending back until it is dead. */
async function kill(inbox: InboxClient, reason = 'broken'): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const { deliveries } = await inbox.pull();
    await inbox.nack(
      deliveries.map(({ receipt }) => receipt),
      { reason },
    );
  }
}

const standing = (token: string, id: string) =>
  readNode(naru.url, token, id, 'inboxState attempts deadReason');

async function countRows(userId: string): Promise<number> {
  return (
    await naru.app.database.query('SELECT 1 FROM webhook_delivery WHERE user_id = $1', [userId])
  ).length;
}

describe('retrying', () => {
  test('makes dead letters pending with all their attempts, and keeps the reason of their death', async () => {
    const { inbox, store, token } = await createInbox();
    const [id = '', other = ''] = await store('push', 'star');
    await kill(inbox);
    expect(await inbox.retry({ messageIds: [id] })).toEqual(
      expect.objectContaining({ count: 1, hasMore: false }),
    );
    expect(await standing(token, id)).toMatchObject({
      inboxState: 'PENDING',
      attempts: 0,
      deadReason: 'broken',
    });
    expect(await standing(token, other)).toMatchObject({ inboxState: 'DEAD' });
    const { deliveries } = await inbox.pull();
    expect(deliveries).toMatchObject([{ attempt: 1, message: { id } }]);
    await inbox.ack({ receipts: deliveries.map(({ receipt }) => receipt) });
    expect(await inbox.counts()).toMatchObject({ acknowledged: 1, dead: 1, pending: 0 });
  });

  test('by a filter takes what it lets through, and leaves all that is not dead as it is', async () => {
    const { inbox, store } = await createInbox();
    await store('push', 'star');
    await kill(inbox);
    const [leased = '', acknowledged = ''] = await store('push', 'push', 'push');
    await inbox.pull({ limit: 1 });
    await inbox.ack({ messageIds: [acknowledged] });
    expect((await inbox.retry({ filter: { eventNames: ['push'] } })).count).toBe(1);
    expect(await inbox.counts()).toMatchObject({
      pending: 2,
      leased: 1,
      acknowledged: 1,
      dead: 1,
    });
    expect((await inbox.retry({ messageIds: [leased, acknowledged] })).count).toBe(0);
    expect((await inbox.retry({ filter: {} })).count).toBe(1);
  });

  test('knows those whose last lease just ran out', async () => {
    const { inbox, store } = await createInbox();
    const [id = ''] = await store('push');
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await inbox.pull({ leaseSeconds: 10 });
      await passTime(naru, 11);
    }
    expect(await inbox.counts()).toMatchObject({ dead: 1 });
    expect((await inbox.retry({ messageIds: [id] })).count).toBe(1);
    expect((await inbox.pull()).deliveries).toMatchObject([{ attempt: 1 }]);
  });

  test('counts once for an idempotency key, also when the letters have died again', async () => {
    const { inbox, store } = await createInbox();
    await store('push');
    await kill(inbox);
    const input = { filter: {}, idempotencyKey: 'again' };
    expect((await inbox.retry(input)).count).toBe(1);
    await kill(inbox);
    expect((await inbox.retry(input)).count).toBe(1);
    expect(await inbox.counts()).toMatchObject({ dead: 1, pending: 0 });
  });

  test('of what is revoked does nothing', async () => {
    const { inbox, store, path, username } = await createInbox();
    const [id = ''] = await store('push');
    await kill(inbox);
    await removeGrant(naru.app, path, username);
    expect((await inbox.retry({ messageIds: [id] })).count).toBe(0);
    expect((await inbox.discard([id])).refused).toMatchObject([{ reason: 'NOT_FOUND' }]);
  });
});

describe('discarding', () => {
  test('settles dead letters for good, with the reason, and only a replay brings them back', async () => {
    const { inbox, store, token, userId } = await createInbox();
    const [id = ''] = await store('push');
    await kill(inbox);
    expect((await inbox.discard([id], 'the shop is closed')).discarded).toEqual([id]);
    expect(await inbox.counts()).toMatchObject({ dead: 0, discarded: 1, redelivered: 0 });
    expect(await standing(token, id)).toMatchObject({
      inboxState: 'DISCARDED',
      deadReason: 'the shop is closed',
    });
    // What is settled after it moves the floor over it, and the row of the discarded one stays.
    const [next = ''] = await store('push');
    await inbox.ack({ messageIds: [next] });
    expect(await countRows(userId)).toBe(1);
    expect((await inbox.pull()).deliveries).toEqual([]);
    expect((await inbox.retry({ filter: {} })).count).toBe(0);
    expect((await inbox.replay({ messageIds: [id] })).count).toBe(1);
    expect((await inbox.pull()).deliveries).toMatchObject([{ attempt: 1, message: { id } }]);
  });

  test('refuses what is no dead letter, each by itself', async () => {
    const { inbox, store } = await createInbox();
    const [dead = ''] = await store('push');
    await kill(inbox);
    const [pending = '', acknowledged = ''] = await store('push', 'push');
    await inbox.ack({ messageIds: [acknowledged] });
    const unknown = encodeGlobalId('WebhookMessage', newId());
    const { discarded, refused } = await inbox.discard([
      pending,
      dead,
      acknowledged,
      unknown,
      dead,
    ]);
    expect(discarded).toEqual([dead]);
    expect(refused).toEqual([
      { receipt: null, messageId: pending, reason: 'NOT_DEAD' },
      { receipt: null, messageId: acknowledged, reason: 'NOT_DEAD' },
      { receipt: null, messageId: unknown, reason: 'NOT_FOUND' },
    ]);
    expect((await inbox.discard([dead])).refused).toMatchObject([{ reason: 'DISCARDED' }]);
  });

  test('makes the receipts of what it discarded say so', async () => {
    const { inbox, store } = await createInbox();
    const [id = ''] = await store('push');
    for (let attempt = 0; attempt < 4; attempt += 1) {
      const { deliveries } = await inbox.pull();
      await inbox.nack(deliveries.map(({ receipt }) => receipt));
    }
    const { deliveries } = await inbox.pull({ leaseSeconds: 10 });
    const receipts = deliveries.map(({ receipt }) => receipt);
    await passTime(naru, 11);
    // Its last lease has run out and nobody has pulled since.
    expect((await inbox.discard([id])).discarded).toEqual([id]);
    expect((await inbox.ack({ receipts })).refused).toMatchObject([{ reason: 'DISCARDED' }]);
  });

  test.each([
    ['', 'input.reason'],
    [' ', 'input.reason'],
    ['x'.repeat(1_001), 'input.reason'],
    ['\u0000', 'input.reason'],
  ])('takes no reason like %j', async (reason, field) => {
    const { token } = await createInbox();
    const messageIds = [encodeGlobalId('WebhookMessage', newId())];
    const input = { messageIds, reason };
    expect(await mutate(naru.url, 'discardWebhookDeadLetters', input, { token })).toMatchObject({
      code: 'INVALID_INPUT',
      field,
    });
  });
});
