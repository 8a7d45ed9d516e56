import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Context } from '#context.ts';
import { contextFor } from '../../../tests/support/inbox.ts';
import { startNaru, type TestNaru } from '../../../tests/support/naru.ts';
import { postSigned, untilStored } from '../../../tests/support/webhooks.ts';
import { listMessages } from './message.ts';

let naru: TestNaru;

beforeAll(async () => {
  naru = await startNaru();
});
afterAll(() => naru.close());

test('a message that arrives between the head and the page is left to whoever follows', async () => {
  await postSigned(naru.url, '{"before":1}');
  await untilStored(naru, 1);
  const ctx = await contextFor(naru, await naru.tokenFor('alice'));
  const { webhookFeed } = naru.app;
  const lateFeed: typeof webhookFeed = {
    ...webhookFeed,
    async readHead(key: string) {
      const head = await webhookFeed.readHead(key);
      await postSigned(naru.url, '{"between":1}');
      await untilStored(naru, Number(head.head) + 1);
      return head;
    },
  };
  const late: Context = Object.create(ctx, { webhookFeed: { value: lateFeed } });
  for (const page of [{}, { first: 10 }, { last: 10 }]) {
    const stored = Number((await webhookFeed.readHead('')).head);
    const found = await listMessages(late, { filter: {}, page }, {});
    expect(found.messages).toHaveLength(Math.min(stored, 10));
    expect(found.messages.at(-1)?.position).toBe(found.followPosition);
  }
});
