// Many workers of one account on two nodes at once, some of which die and some of which are slow.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pullMessages } from '#resolvers/webhooks/inbox/pull.ts';
import { ackReceipts } from '#resolvers/webhooks/inbox/settle.ts';
import { addUser, contextFor, createInboxClient, storeWebhooks } from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addSource } from '../support/webhooks.ts';

const MESSAGES = Number(process.env['INBOX_MESSAGES'] ?? 5_000);
const PULLERS = 8;
/** Hand-outs that end in a crash or come too late, each counted. */
const MISHAP_PART = 0.1;

let first: TestNaru;
let second: TestNaru;
beforeAll(async () => {
  first = await startNaru({ runsJobs: false });
  second = await startNaru({ runsJobs: false, database: first.database });
});
afterAll(async () => {
  await second.close();
  await first.close();
});

/** Repeatable, so that a failure can be seen again. */
function createDice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test('no message is held twice at one time, each is acknowledged once, and attempts are counted', async () => {
  const { username, token } = await addUser(first);
  const sourceId = await addSource(first.app, `s-${username}`, { username });
  for (let start = 0; start < MESSAGES; start += 500) {
    const batch = Array.from({ length: Math.min(500, MESSAGES - start) }, (_, index) => ({
      sourceId,
      repository: (start + index) % 20,
    }));
    await storeWebhooks(first, batch);
  }
  const handedOut = new Map<string, number>();
  const acknowledged = new Set<string>();
  const holders = new Map<string, string>();
  let refusedLate = 0;

  // As if their time were over; the clock itself would end the leases of the others too.
  const expireLeases = async (messageIds: readonly string[]) => {
    await first.app.database.query(
      `UPDATE webhook_delivery SET due_at = naru_now() - interval '1 second'
       WHERE message_id = ANY($1) AND state = 'LEASED'`,
      [messageIds],
    );
  };

  const work = async (worker: number): Promise<void> => {
    const dice = createDice(worker + 1);
    const node = worker % 2 ? first : second;
    for (;;) {
      const ctx = await contextFor(node, token);
      const input = { limit: 100, leaseSeconds: 600, waitSeconds: 0, filter: {} };
      const { deliveries } = await pullMessages(ctx, input);
      if (deliveries.length === 0 && acknowledged.size === MESSAGES) return;
      for (const { messageId, attempt, receipt } of deliveries) {
        expect(holders.has(messageId)).toBe(false);
        expect(acknowledged.has(messageId)).toBe(false);
        holders.set(messageId, receipt);
        const times = (handedOut.get(messageId) ?? 0) + 1;
        handedOut.set(messageId, times);
        expect(attempt).toBe(times);
      }
      // Every message survives: what had two mishaps is handled well from then on.
      const mishaps = deliveries.filter(({ attempt }) => attempt <= 2 && dice() < MISHAP_PART);
      const [crashed, slow] = [mishaps.filter((_, i) => i % 2), mishaps.filter((_, i) => !(i % 2))];
      const good = deliveries.filter((delivery) => !mishaps.includes(delivery));
      for (const { messageId } of good) acknowledged.add(messageId);
      const settled = await acknowledge(node, good);
      expect(settled.refused).toEqual([]);
      for (const { messageId } of [...crashed, ...slow]) holders.delete(messageId);
      await expireLeases(mishaps.map(({ messageId }) => messageId));
      const late = await acknowledge(node, slow);
      expect(late.messageIds).toEqual([]);
      refusedLate += late.refused.length;
      for (const { reason } of late.refused) {
        expect(['EXPIRED', 'STALE', 'ALREADY_ACKNOWLEDGED']).toContain(reason);
      }
    }
  };
  const acknowledge = async (
    node: TestNaru,
    deliveries: readonly { readonly receipt: string; readonly messageId: string }[],
  ) => {
    if (deliveries.length === 0) return { messageIds: [], refused: [] };
    const receipts = deliveries.map(({ receipt }) => receipt);
    return ackReceipts(await contextFor(node, token), receipts);
  };
  await Promise.all(Array.from({ length: PULLERS }, (_, worker) => work(worker)));

  expect(acknowledged.size).toBe(MESSAGES);
  expect(refusedLate).toBeGreaterThan(MESSAGES * 0.02);
  expect(await createInboxClient(second.url, token).counts()).toMatchObject({
    pending: 0,
    leased: 0,
    acknowledged: MESSAGES,
    dead: 0,
  });
  // The floors have come all the way: nothing is left to remember.
  const [left] = await first.app.database.query<{ count: string }>(
    'SELECT count(*) FROM webhook_delivery',
  );
  expect(left?.count).toBe('0');
}, 60_000);
