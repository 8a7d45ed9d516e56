import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import { bearer, post, until } from '../support/graphql-client.ts';
import { addUser, createInboxClient, PULL, storeWebhooks } from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addSource, removeGrant } from '../support/webhooks.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru();
  countWaits(naru.app);
});
afterAll(() => naru.close());

async function createInbox() {
  const user = await addUser(naru);
  const path = `s-${user.userId}`;
  const sourceId = await addSource(naru.app, path, { username: user.username });
  return { ...user, path, sourceId, inbox: createInboxClient(naru.url, user.token) };
}

/** Pulls that have looked, found nothing, and wait for news: what is done now comes after that look. */
let waiting = 0;
const untilWaiting = () => until(() => waiting > 0);

function countWaits({ webhookFeed }: TestNaru['app']): void {
  const { watch } = webhookFeed;
  vi.spyOn(webhookFeed, 'watch').mockImplementation(async (key) => {
    const watched = await watch(key);
    return {
      ...watched,
      async changed(timeoutMs) {
        waiting += 1;
        await watched.changed(timeoutMs).finally(() => {
          waiting -= 1;
        });
      },
    };
  });
}

test('a pull that waits has the message well before the next look at the clock', async () => {
  const { inbox, sourceId } = await createInbox();
  const pulling = inbox.pull({ waitSeconds: 20 });
  await untilWaiting();
  const start = performance.now();
  const [id = ''] = await storeWebhooks(naru, [{ sourceId }]);
  const { deliveries } = await pulling;
  expect(deliveries.map(({ message }) => message.id)).toEqual([
    encodeGlobalId('WebhookMessage', id),
  ]);
  expect(performance.now() - start).toBeLessThan(900);
});

test('a pull that waits is not ended by what is for others, and is empty when its time is over', async () => {
  const { inbox } = await createInbox();
  const other = await createInbox();
  const start = performance.now();
  const pulling = inbox.pull({ waitSeconds: 1 });
  await untilWaiting();
  await storeWebhooks(naru, [{ sourceId: other.sourceId }]);
  expect((await pulling).deliveries).toEqual([]);
  expect(performance.now() - start).toBeGreaterThan(990);
  await until(() => naru.app.webhookFeed.size === 0);
});

test('a lease that runs out while somebody waits ends the wait', async () => {
  const { inbox, sourceId } = await createInbox();
  await storeWebhooks(naru, [{ sourceId }]);
  await inbox.pull({ leaseSeconds: 1 });
  const { deliveries } = await inbox.pull({ waitSeconds: 20 });
  expect(deliveries).toMatchObject([{ attempt: 2 }]);
});

test('a client that leaves while it waits is leased nothing', async () => {
  const { inbox, sourceId, token } = await createInbox();
  const leaving = new AbortController();
  const variables = { input: { waitSeconds: 20 } };
  const pulling = fetch(`${naru.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...bearer(token) },
    body: JSON.stringify({ query: PULL, variables }),
    signal: leaving.signal,
  });
  await untilWaiting();
  leaving.abort();
  await expect(pulling).rejects.toThrow();
  // It has noticed, at the latest with its next look.
  await until(() => naru.app.webhookFeed.size === 0);
  await storeWebhooks(naru, [{ sourceId }]);
  expect(await inbox.counts()).toMatchObject({ pending: 1, leased: 0 });
});

test('what is revoked during the wait is not handed out: neither the source nor the token', async () => {
  const revoked = await createInbox();
  const pulling = revoked.inbox.pull({ waitSeconds: 1 });
  await untilWaiting();
  await removeGrant(naru.app, revoked.path, revoked.username);
  await storeWebhooks(naru, [{ sourceId: revoked.sourceId }]);
  expect((await pulling).deliveries).toEqual([]);

  const signedOut = await createInbox();
  const late = signedOut.inbox.pull({ waitSeconds: 20 });
  const refused = expect(late).rejects.toThrow('UNAUTHENTICATED');
  await untilWaiting();
  await naru.app.database.query(
    'UPDATE personal_access_token SET revoked_at = naru_now() WHERE user_id = $1',
    [signedOut.userId],
  );
  await storeWebhooks(naru, [{ sourceId: signedOut.sourceId }]);
  await refused;
  const held = await naru.app.database.query('SELECT 1 FROM webhook_delivery WHERE user_id = $1', [
    signedOut.userId,
  ]);
  expect(held).toEqual([]);
});

test('of two that wait for one account, one has the message', async () => {
  const { inbox, sourceId } = await createInbox();
  const pulls = [inbox.pull({ waitSeconds: 1 }), inbox.pull({ waitSeconds: 1 })];
  await untilWaiting();
  await storeWebhooks(naru, [{ sourceId }]);
  const deliveries = (await Promise.all(pulls)).flatMap((pulled) => pulled.deliveries);
  expect(deliveries).toHaveLength(1);
});

test('fifty pulls of one request hold it for one wait', async () => {
  const { token } = await createInbox();
  const pulls = Array.from(
    { length: 50 },
    (_, at) =>
      `a${at}: pullWebhookMessages(input: { waitSeconds: 1, limit: 1 }) { ... on WebhookMessagesPulled { deliveries { attempt } } }`,
  );
  const start = performance.now();
  const { result } = await post(naru.url, { query: `mutation { ${pulls.join(' ')} }` }, token);
  expect(Object.values(result.data as object)).toEqual(Array(50).fill({ deliveries: [] }));
  expect(performance.now() - start).toBeLessThan(10_000);
});
