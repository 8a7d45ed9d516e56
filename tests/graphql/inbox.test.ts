import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { pullMessages } from '#resolvers/webhooks/inbox/pull.ts';
import { post } from '../support/graphql-client.ts';
import {
  ACK,
  addUser,
  contextFor,
  createInboxClient,
  EXTEND,
  type InboxClient,
  NACK,
  PULL,
  passTime,
  REPLAY,
  type StoredWebhook,
  storeWebhooks,
} from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addGrant, addSource, dataOf, removeGrant } from '../support/webhooks.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru.close());

const idOf = (id: string) => encodeGlobalId('WebhookMessage', id);

/** A user with a source of their own. */
async function createInbox() {
  const user = await addUser(naru);
  const path = `s-${user.userId}`;
  const sourceId = await addSource(naru.app, path, { username: user.username });
  const store = async (...webhooks: Omit<StoredWebhook, 'sourceId'>[]) =>
    (
      await storeWebhooks(
        naru,
        webhooks.map((webhook) => ({ sourceId, ...webhook })),
      )
    ).map(idOf);
  return { ...user, path, sourceId, store, inbox: createInboxClient(naru.url, user.token) };
}

const idsOf = ({ deliveries }: Awaited<ReturnType<InboxClient['pull']>>) =>
  deliveries.map(({ message }) => message.id);
const receiptsOf = ({ deliveries }: { deliveries: readonly { receipt: string }[] }) =>
  deliveries.map(({ receipt }) => receipt);

describe('pulling', () => {
  test('goes through all repositories in the order of arrival, and leases each message once', async () => {
    const { inbox, store } = await createInbox();
    const ids = await store({ repository: 2 }, {}, { repository: 1 }, { repository: 2 }, {});
    const first = await inbox.pull({ limit: 3 });
    expect([idsOf(first), first.hasMore]).toEqual([ids.slice(0, 3), true]);
    const second = await inbox.pull({ limit: 3 });
    expect([idsOf(second), second.hasMore]).toEqual([ids.slice(3), false]);
    expect(idsOf(await inbox.pull())).toEqual([]);
    expect(await inbox.counts()).toMatchObject({ pending: 0, leased: 5, oldestPendingAt: null });
  });

  test('finds the oldest among more repositories than it may lease messages', async () => {
    const { inbox, store } = await createInbox();
    const order = Array.from({ length: 60 }, (_, index) => ({ repository: (index * 7) % 23 }));
    const ids = await store(...order);
    const pulled: string[] = [];
    for (let hasMore = true; hasMore; ) {
      const page = await inbox.pull({ limit: 4 });
      pulled.push(...idsOf(page));
      hasMore = page.hasMore;
    }
    expect(pulled).toEqual(ids);
  });

  test('with a filter leaves the rest pending', async () => {
    const { inbox, store, path } = await createInbox();
    const ids = await store({ event: 'push' }, { event: 'star' }, { event: 'push' });
    expect(idsOf(await inbox.pull({ filter: { eventNames: ['star'] } }))).toEqual([ids[1]]);
    expect(idsOf(await inbox.pull({ filter: { sources: ['other'] } }))).toEqual([]);
    expect(await inbox.counts({ eventNames: ['push'] })).toMatchObject({ pending: 2, leased: 0 });
    const filter = { sources: [path], receivedFrom: '2000-01-01T00:00:00Z', branches: null };
    expect(idsOf(await inbox.pull({ filter }))).toEqual([ids[0], ids[2]]);
  });

  test('stops where the bodies would pass 32 MiB, and still hands out one that alone does', async () => {
    const { inbox, store, sourceId } = await createInbox();
    const ids = await store({}, {}, {}, {});
    // Sizes as stored: what is bounded is what the bodies would be.
    const sizes = [10, 20, 10, 40];
    for (const [index, mebibytes] of sizes.entries()) {
      await naru.app.database.query(
        'UPDATE webhook_message SET byte_size = $1 WHERE source_id = $2 AND lane_sequence = $3',
        [mebibytes * 2 ** 20, sourceId, index + 1],
      );
    }
    const first = await inbox.pull();
    expect([idsOf(first), first.hasMore]).toEqual([ids.slice(0, 2), true]);
    expect(idsOf(await inbox.pull())).toEqual([ids[2]]);
    expect(idsOf(await inbox.pull())).toEqual([ids[3]]);
  });

  test('a repository full of leases gives nothing more and holds up no other', async () => {
    const { inbox, store, userId, sourceId } = await createInbox();
    await store(...Array.from({ length: 3 }, () => ({ repository: 1 })));
    const [stuck] = await naru.app.database.query<{ id: string }>(
      'SELECT id FROM webhook_lane WHERE source_id = $1',
      [sourceId],
    );
    // All but one of the leases that a repository may have.
    await naru.app.database.query(
      `INSERT INTO webhook_delivery
         (user_id, message_id, lane_id, sequence, state, attempt, lease, due_at)
       SELECT $1, gen_random_uuid(), $2, 1000000 + n, 'LEASED', 1, nextval('webhook_lease_seq'),
              naru_now() + interval '1 hour' FROM generate_series(1, 999) n`,
      [userId, stuck?.id],
    );
    const free = await store({ repository: 2 }, { repository: 2 });
    const pulled = await inbox.pull();
    expect(pulled.deliveries).toHaveLength(3);
    expect([idsOf(pulled).slice(1), pulled.hasMore]).toEqual([free, false]);
    await inbox.ack({ receipts: receiptsOf(pulled).slice(0, 1) });
    expect((await inbox.pull()).deliveries).toHaveLength(1);
  });

  test('a message whose lease ran out comes again, first and with a higher attempt', async () => {
    const { inbox, store } = await createInbox();
    const ids = await store({}, {});
    await inbox.pull({ limit: 1, leaseSeconds: 10 });
    await passTime(naru, 9);
    expect(idsOf(await inbox.pull({ limit: 1, leaseSeconds: 60 }))).toEqual([ids[1]]);
    await passTime(naru, 2);
    const again = await inbox.pull();
    expect(again.deliveries).toMatchObject([{ attempt: 2, message: { id: ids[0] } }]);
    expect(await inbox.counts()).toMatchObject({ leased: 2, redelivered: 1 });
  });

  test('nothing is leased to a client that has left', async () => {
    const { inbox, store, token } = await createInbox();
    await store({});
    const ctx = await contextFor(naru, token, () => true);
    const input = { limit: 1, leaseSeconds: 30, waitSeconds: 0, filter: {} };
    expect((await pullMessages(ctx, input)).deliveries).toEqual([]);
    expect(await inbox.counts()).toMatchObject({ pending: 1, leased: 0 });
  });
});

describe('a receipt', () => {
  test('is refused with its reason, and nothing else in the call is affected', async () => {
    const { inbox, store } = await createInbox();
    const other = await createInbox();
    const ids = await store({}, {}, {}, {}, {}, {});
    await other.store({});
    const [foreign = ''] = receiptsOf(await other.inbox.pull());
    const [expired = ''] = receiptsOf(await inbox.pull({ limit: 1, leaseSeconds: 1 }));
    await passTime(naru, 2);
    const [double = '', stale = '', handedBack = '', good = '', alsoGood = ''] = receiptsOf(
      await inbox.pull({ filter: { receivedFrom: '2000-01-01T00:00:00Z' }, limit: 6 }),
    ).slice(1);
    await inbox.ack({ receipts: [double] });
    await inbox.extend([stale]);
    await inbox.nack([handedBack]);
    const unknown = naru.app.receipts.encode({
      userId: other.userId,
      messageId: newId(),
      lease: 1n,
    });
    const receipts = [good, 'x', foreign, expired, double, stale, handedBack, unknown, alsoGood];
    const settled = await inbox.ack({ receipts });
    expect(settled.acknowledged).toEqual([ids[4], ids[5]]);
    expect(settled.refused.map(({ receipt, reason }) => [receipt, reason])).toEqual([
      ['x', 'FORGED'],
      [foreign, 'FOREIGN'],
      [expired, 'STALE'],
      [double, 'ALREADY_ACKNOWLEDGED'],
      [stale, 'STALE'],
      [handedBack, 'STALE'],
      [unknown, 'FOREIGN'],
    ]);
    // What belongs to somebody else is not named.
    expect(settled.refused.slice(0, 2).map(({ messageId }) => messageId)).toEqual([null, null]);
    expect(await other.inbox.counts()).toMatchObject({ leased: 1 });
  });

  test('is EXPIRED once its time is over, and DEAD where that was the last attempt', async () => {
    const { inbox, store } = await createInbox();
    await store({});
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const { deliveries } = await inbox.pull({ leaseSeconds: 5 });
      expect(deliveries).toMatchObject([{ attempt }]);
      await passTime(naru, 6);
      const { refused } = await inbox.ack({ receipts: receiptsOf({ deliveries }) });
      expect(refused).toMatchObject([{ reason: attempt < 5 ? 'EXPIRED' : 'DEAD' }]);
    }
    expect(await inbox.counts()).toMatchObject({ pending: 0, dead: 1 });
    expect((await inbox.pull()).deliveries).toEqual([]);
    expect(await inbox.counts()).toMatchObject({ pending: 0, dead: 1 });
  });

  test('given twice in one call counts once', async () => {
    const { inbox, store } = await createInbox();
    await store({}, {}, {});
    const [one = '', two = '', three = ''] = receiptsOf(await inbox.pull());
    const reasonOf = ({ refused }: { refused: { reason: string }[] }) => refused[0]?.reason;
    expect(reasonOf(await inbox.ack({ receipts: [one, one] }))).toBe('ALREADY_ACKNOWLEDGED');
    expect(reasonOf(await inbox.nack([two, two]))).toBe('STALE');
    expect(reasonOf(await inbox.extend([three, three]))).toBe('STALE');
  });

  test('of an older lease does not stand in for the newer one beside it', async () => {
    const { inbox, store } = await createInbox();
    const [id] = await store({});
    const [old = ''] = receiptsOf(await inbox.pull());
    const [current = ''] = receiptsOf(await inbox.extend([old]));
    const settled = await inbox.nack([old, current]);
    expect(settled.handedBack).toEqual([id]);
    expect(settled.refused).toMatchObject([{ receipt: old, reason: 'STALE' }]);
  });
});

describe('handing back', () => {
  test('waits out its delay, keeps the reason, and kills on the last attempt', async () => {
    const { inbox, store, token } = await createInbox();
    const [id] = await store({});
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const pulled = await inbox.pull();
      expect(pulled.deliveries).toMatchObject([{ attempt }]);
      await inbox.nack(receiptsOf(pulled), { delaySeconds: 10, reason: `no ${attempt}` });
      if (attempt === 5) break;
      expect((await inbox.pull()).deliveries).toEqual([]);
      expect(await inbox.counts()).toMatchObject({ pending: 1 });
      await passTime(naru, 11);
    }
    const query = `{ webhookMessages(filter: { inboxStates: [DEAD] }) {
      nodes { id inboxState attempts deadReason } } }`;
    const { nodes } = dataOf((await post(naru.url, { query }, token)).result).webhookMessages;
    expect(nodes).toEqual([{ id, inboxState: 'DEAD', attempts: 5, deadReason: 'no 5' }]);
    expect(await inbox.replay({ messageIds: [id] })).toMatchObject({ count: 1, hasMore: false });
    expect((await inbox.pull()).deliveries).toMatchObject([{ attempt: 1, message: { id } }]);
  });
});

describe('permission', () => {
  test('a revoked source is gone from everywhere at once, what is leased included', async () => {
    const { inbox, store, path, username } = await createInbox();
    const ids = await store({ repository: 1 }, { repository: 1 }, {});
    const pulled = await inbox.pull({ limit: 2 });
    await removeGrant(naru.app, path, username);
    expect((await inbox.pull()).deliveries).toEqual([]);
    expect(await inbox.counts()).toMatchObject({ pending: 0, leased: 0, oldestPendingAt: null });
    const receipts = receiptsOf(pulled);
    const gone = [{ reason: 'NOT_FOUND' }, { reason: 'NOT_FOUND' }];
    expect((await inbox.ack({ receipts })).refused).toMatchObject(gone);
    expect((await inbox.nack(receipts)).refused).toMatchObject(gone);
    expect((await inbox.extend(receipts)).refused).toMatchObject(gone);
    expect((await inbox.ack({ messageIds: ids.slice(0, 2) })).refused).toMatchObject(gone);
    expect((await inbox.replay({ filter: {} })).count).toBe(0);
    expect(await inbox.states()).toEqual(new Map());
    // Granted again, it stands as it stood.
    await addGrant(naru.app, path, { username });
    expect((await inbox.ack({ receipts })).acknowledged).toEqual(ids.slice(0, 2));
  });

  test('what was stored before a grant can be pulled after it', async () => {
    const { inbox, username } = await createInbox();
    const sourceId = await addSource(naru.app, `later-${username}`, {});
    const ids = (await storeWebhooks(naru, [{ sourceId }, { sourceId, repository: 1 }])).map(idOf);
    expect((await inbox.pull()).deliveries).toEqual([]);
    await addGrant(naru.app, `later-${username}`, { username });
    expect(idsOf(await inbox.pull())).toEqual(ids);
  });

  test('each account has an inbox of its own', async () => {
    const { inbox, store, path } = await createInbox();
    const other = await createInbox();
    await addGrant(naru.app, path, { username: other.username });
    const ids = await store({}, {});
    await inbox.ack({ messageIds: ids });
    expect(idsOf(await other.inbox.pull())).toEqual(ids);
    expect(await inbox.counts()).toMatchObject({ acknowledged: 2, leased: 0 });
  });

  test('a token without webhooks:pull leases nothing', async () => {
    const token = await naru.tokenFor('alice', ['webhooks:read']);
    await expect(createInboxClient(naru.url, token).pull()).rejects.toThrow('FORBIDDEN');
  });
});

describe('input', () => {
  const many = Array.from({ length: 1_001 }, () => 'x');
  test.each([
    [PULL, { limit: 0 }, 'input.limit'],
    [PULL, { limit: 101 }, 'input.limit'],
    [PULL, { leaseSeconds: 0 }, 'input.leaseSeconds'],
    [PULL, { leaseSeconds: 43_201 }, 'input.leaseSeconds'],
    [PULL, { waitSeconds: -1 }, 'input.waitSeconds'],
    [PULL, { waitSeconds: 21 }, 'input.waitSeconds'],
    [PULL, { filter: { inboxStates: ['DEAD'] } }, 'input.filter.inboxStates'],
    [PULL, { filter: { branches: ['\u0000'] } }, 'input.filter.branches'],
    [ACK, { receipts: [] }, 'input.receipts'],
    [ACK, { receipts: many }, 'input.receipts'],
    [ACK, { messageIds: [] }, 'input.messageIds'],
    [NACK, { receipts: [] }, 'input.receipts'],
    [NACK, { receipts: ['x'], delaySeconds: -1 }, 'input.delaySeconds'],
    [NACK, { receipts: ['x'], delaySeconds: 43_201 }, 'input.delaySeconds'],
    [NACK, { receipts: ['x'], reason: 'x'.repeat(1_001) }, 'input.reason'],
    [NACK, { receipts: ['x'], reason: '\u0000' }, 'input.reason'],
    [NACK, { receipts: ['x'], reason: '\ud800' }, 'input.reason'],
    [EXTEND, { receipts: [] }, 'input.receipts'],
    [EXTEND, { receipts: ['x'], leaseSeconds: 0 }, 'input.leaseSeconds'],
    [REPLAY, { messageIds: [] }, 'input.messageIds'],
    [REPLAY, { filter: { eventNames: many.slice(900) } }, 'input.filter.eventNames'],
  ])('out of bounds is refused by its name (%#)', async (query, input, field) => {
    const { token } = await addUser(naru);
    const { result } = dataOf(
      (await post(naru.url, { query, variables: { input } }, token)).result,
    );
    expect(result).toMatchObject({ __typename: 'InvalidInputError', code: 'INVALID_INPUT', field });
  });

  test('the same compiled mutation serves other accounts and other inputs', async () => {
    const one = await createInbox();
    const two = await createInbox();
    for (let round = 0; round < 5; round += 1) {
      const [a] = await one.store({});
      const [b] = await two.store({});
      const pulled = await Promise.all([
        one.inbox.pull({ limit: 1 + round }),
        two.inbox.pull({ limit: 5, filter: { eventNames: ['push'] } }),
      ]);
      expect(pulled.map(idsOf)).toEqual([[a], [b]]);
      expect((await one.inbox.ack({ messageIds: [a, a] })).acknowledged).toEqual([a]);
      expect((await two.inbox.ack({ messageIds: [a, b] })).refused).toMatchObject([
        { messageId: a, reason: 'NOT_FOUND' },
      ]);
    }
  });
});
