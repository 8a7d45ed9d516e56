import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { post, until } from '../support/graphql-client.ts';
import { addUser, createInboxClient, passTime, prune, storeWebhooks } from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addSource, dataOf, postSigned, readAll, watchWebhooks } from '../support/webhooks.ts';

const HOUR = 3_600;
let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru();
});
afterAll(() => naru.close());
beforeEach(() => naru.app.database.query('DELETE FROM clock_offset'));

const idOf = (id: string) => encodeGlobalId('WebhookMessage', id);

async function createInbox() {
  const user = await addUser(naru);
  const sourceId = await addSource(naru.app, `s-${user.userId}`, { username: user.username });
  return { ...user, sourceId, inbox: createInboxClient(naru.url, user.token) };
}

describe('retention', () => {
  test('by bytes keeps the newest that fit, for the reader and for the inbox', async () => {
    const { inbox, sourceId, token } = await createInbox();
    const webhook = { sourceId, bytes: 1_000 };
    const ids = (
      await storeWebhooks(
        naru,
        Array.from({ length: 6 }, () => webhook),
      )
    ).map(idOf);
    const { deliveries } = await inbox.pull({ limit: 3 });
    await prune(naru, { retainBytes: 4_000 });
    expect((await readAll(naru.url, token)).map(({ id }) => id)).toEqual(ids.slice(2));
    expect(await inbox.counts()).toMatchObject({ pending: 3, leased: 1, acknowledged: 0 });
    const settled = await inbox.ack({ receipts: deliveries.map(({ receipt }) => receipt) });
    expect(settled.acknowledged).toEqual([ids[2]]);
    expect(settled.refused).toMatchObject([{ reason: 'NOT_FOUND' }, { reason: 'NOT_FOUND' }]);
    // What is gone is not remembered as leased either.
    const held = await naru.app.database.query('SELECT 1 FROM webhook_delivery');
    expect(held.length).toBeLessThanOrEqual(1);
    expect((await inbox.pull()).deliveries.map(({ message }) => message.id)).toEqual(ids.slice(3));
  });

  test('by age removes what is too old and nothing else', async () => {
    const { inbox, sourceId } = await createInbox();
    await storeWebhooks(naru, [{ sourceId }, { sourceId }]);
    await passTime(naru, 10 * 24 * HOUR);
    const receivedAt = new Date(Date.now() + 10 * 24 * HOUR * 1_000);
    await storeWebhooks(naru, [{ sourceId, receivedAt }]);
    await prune(naru, { retainDays: 11 });
    expect(await inbox.counts()).toMatchObject({ pending: 3 });
    await prune(naru, { retainDays: 9 });
    expect(await inbox.counts()).toMatchObject({ pending: 1 });
  });

  test('while pulls and settlements are under way upsets neither', async () => {
    const { inbox, sourceId } = await createInbox();
    const webhook = { sourceId, bytes: 100 };
    await storeWebhooks(
      naru,
      Array.from({ length: 400 }, () => webhook),
    );
    let left = 400;
    const pulling = Array.from({ length: 4 }, async () => {
      while (left > 100) {
        const { deliveries } = await inbox
          .pull({ limit: 10 })
          // Of what is removed between its lease and its reading no message can be shown.
          .catch((error: Error) => {
            expect(error.message).toContain('NOT_FOUND');
            return { deliveries: [] };
          });
        if (deliveries.length > 0) {
          await inbox.ack({ receipts: deliveries.map(({ receipt }) => receipt) });
        }
      }
    });
    for (; left > 100; left -= 20) await prune(naru, { retainBytes: left * 100 });
    await Promise.all(pulling);
    await prune(naru, { retainBytes: 0 });
    expect(await inbox.counts()).toMatchObject({ pending: 0, leased: 0, acknowledged: 0 });
    expect(await naru.app.database.query('SELECT 1 FROM webhook_delivery')).toEqual([]);
  });
});

describe('a cursor', () => {
  const codeOf = async (after: string, token: string) => {
    const query =
      'query($after: String) { webhookMessages(first: 1, after: $after) { nodes { id } } }';
    const { result } = await post(naru.url, { query, variables: { after } }, token);
    return result.errors?.[0]?.extensions;
  };

  test('before the edge has expired, says from where on there is something, and that works', async () => {
    const { sourceId, token } = await createInbox();
    await prune(naru, { retainBytes: 0 });
    const ids = (
      await storeWebhooks(
        naru,
        Array.from({ length: 4 }, () => ({ sourceId, bytes: 1_000 })),
      )
    ).map(idOf);
    const cursors = (await readAll(naru.url, token, 'cursor')).map(({ cursor }) => cursor);
    await prune(naru, { retainBytes: 2_000 });
    const expired = await codeOf(cursors[0], token);
    expect(expired).toMatchObject({ code: 'CURSOR_EXPIRED', earliestCursor: expect.any(String) });
    // The last that was removed is a place to go on from: nothing after it is missing.
    expect(await codeOf(cursors[1], token)).toBeUndefined();
    await expect(watchWebhooks(naru.url, token, { after: cursors[0] })).rejects.toThrow(
      'CURSOR_EXPIRED',
    );
    const watch = await watchWebhooks(naru.url, token, {
      after: String(expired?.['earliestCursor']),
    });
    expect((await watch.nextMessage()).id).toBe(ids[2]);
    expect((await watch.nextMessage()).id).toBe(ids[3]);
    await watch.close();
  });

  test('of a feed that was rebuilt is FEED_RESET, and one that nobody gave out is CURSOR_INVALID', async () => {
    const { sourceId, token } = await createInbox();
    await storeWebhooks(naru, [{ sourceId }]);
    const [{ cursor }] = await readAll(naru.url, token, 'cursor');
    expect(await codeOf(cursor, token)).toBeUndefined();
    const forged = `${cursor.startsWith('A') ? 'B' : 'A'}${cursor.slice(1)}`;
    expect((await codeOf(forged, token))?.code).toBe('CURSOR_INVALID');
    await naru.app.database.query('UPDATE feed SET epoch = gen_random_uuid()');
    expect((await codeOf(cursor, token))?.code).toBe('FEED_RESET');
    await expect(watchWebhooks(naru.url, token, { after: cursor })).rejects.toThrow('FEED_RESET');
  });
});

describe('a delivery id that comes again', () => {
  const HEADERS = { 'x-github-delivery': 'e1b4b8f0-0000-4000-8000-000000000001' };
  const heads = async () => (await naru.app.webhookFeed.readHead('')).head;
  /** Everything that came before has been projected. */
  const untilMarked = async () => {
    const before = await heads();
    await postSigned(naru.url, '{}');
    await until(async () => (await heads()) > before);
  };

  test('within 72 hours is the same message, also after retention removed it', async () => {
    const count = async () => {
      // A token made now: those from before the clock moved have expired.
      const token = await naru.tokenFor('alice');
      const query = `{ webhookMessages(last: 100) { nodes { id deliveryId } } }`;
      const { nodes } = dataOf((await post(naru.url, { query }, token)).result).webhookMessages;
      return nodes.filter(
        (node: { deliveryId: string }) => node.deliveryId === HEADERS['x-github-delivery'],
      ).length;
    };
    const first = await postSigned(naru.url, '{"a":1}', HEADERS);
    expect(first.status).toBe(202);
    await untilMarked();
    expect(await count()).toBe(1);
    await passTime(naru, 48 * HOUR);
    const again = await postSigned(naru.url, '{"a":1}', HEADERS);
    expect([again.status, again.json.id]).toEqual([202, first.json.id]);
    await untilMarked();
    expect(await count()).toBe(1);
    await prune(naru, { retainBytes: 0 });
    await passTime(naru, 23 * HOUR);
    await prune(naru, { retainBytes: 0 });
    const afterwards = await postSigned(naru.url, '{"a":1}', HEADERS);
    expect([afterwards.status, afterwards.json.id]).toEqual([202, first.json.id]);
    await untilMarked();
    expect(await count()).toBe(0);
  });
});
