import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../../tests/support/graphql-client.ts';
import { startNaru, type TestNaru } from '../../../tests/support/naru.ts';
import { requireServer, testNatsUrl } from '../../../tests/support/servers.ts';
import { postSigned, readAll, untilStored } from '../../../tests/support/webhooks.ts';
import { pruneWebhooks } from './retention.ts';

const BODY = JSON.stringify({ filler: '한'.repeat(600_000) });

describe.skipIf(!requireServer('nats-server'))('a body larger than the bus takes', () => {
  let naru: TestNaru;
  beforeAll(async () => {
    naru = await startNaru({
      settings: {
        NATS_URL: testNatsUrl(),
        NATS_NAMESPACE: `claims-${randomUUID().slice(0, 8)}`,
        WEBHOOK_BODY_BYTES_MAX: String(4 * 2 ** 20),
      },
    });
  });
  afterAll(() => naru?.close());

  const claimed = async () =>
    (await naru.app.database.query<{ id: string }>('SELECT id FROM webhook_claimed_body')).map(
      ({ id }) => id,
    );

  test('is stored exactly, once for all its deliveries, and moved and not copied', async () => {
    const headers = { 'x-github-delivery': 'one' };
    const first = await postSigned(naru.url, BODY, headers);
    const again = await postSigned(naru.url, BODY, headers);
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.json.id).toBe(first.json.id);
    await untilStored(naru, 1);
    const messages = await readAll(naru.url, await naru.tokenFor('alice'), 'id rawBody byteSize');
    expect(messages.map(({ id, byteSize }) => [id, byteSize])).toEqual([
      [first.json.id, Buffer.byteLength(BODY)],
    ]);
    expect(messages[0].rawBody === BODY).toBe(true);
    const left = await claimed();
    // What came after the move waits for retention.
    expect(left.length).toBeLessThanOrEqual(1);
    await naru.app.database.query('DELETE FROM webhook_claimed_body');
    await postSigned(naru.url, BODY, { 'x-github-delivery': 'two' });
    await untilStored(naru, 2);
    await until(async () => (await claimed()).length === 0);
  });

  test('that no entry asks for any more goes with the log, and a younger one stays', async () => {
    const [old, young] = [randomUUID(), randomUUID()];
    await naru.app.database.query(
      `INSERT INTO webhook_claimed_body (id, compressed, data, created_at) VALUES
         ($1, false, '', naru_now() - interval '9 days'),
         ($2, false, '', naru_now() - interval '6 days')`,
      [old, young],
    );
    await pruneWebhooks(naru.app);
    expect(await claimed()).toEqual([young]);
  });
});
