// What other people's programs say a GitHub webhook is: their payloads, their signatures.
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { sign } from '@octokit/webhooks-methods';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEVELOPMENT_WEBHOOK_SECRET } from '#config.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { postRaw, postSigned, readAll, untilStored } from '../support/webhooks.ts';

interface Example {
  readonly name: string;
  readonly examples: readonly Readonly<Record<string, unknown>>[];
}

// Its entry point is data, which a `require` reads without the import attributes.
const examples: readonly Example[] = createRequire(import.meta.url)(
  '@octokit/webhooks-examples/api.github.com/index.json',
);

let naru: TestNaru;
let token: string;

beforeAll(async () => {
  naru = await startNaru();
  token = await naru.tokenFor('alice');
});
afterAll(() => naru.close());

describe('every payload of @octokit/webhooks-examples', () => {
  const payloads = examples.flatMap(({ name, examples: ofEvent }) =>
    ofEvent.map((payload) => ({ name, deliveryId: randomUUID(), body: JSON.stringify(payload) })),
  );

  test('is refused with each kind of wrong signature, and nothing is stored', async () => {
    expect(payloads).toHaveLength(329);
    for (const { name, body } of payloads) {
      const right = await sign(DEVELOPMENT_WEBHOOK_SECRET, body);
      const wrong = [
        await sign('another secret', body),
        await sign(DEVELOPMENT_WEBHOOK_SECRET, `${body} `),
        right.slice(0, -1),
        right.toUpperCase(),
        `sha256=${'0'.repeat(64)}`,
        [],
      ];
      const answers = await Promise.all(
        wrong.map((signature) =>
          postSigned(naru.url, body, { 'x-github-event': name, 'x-hub-signature-256': signature }),
        ),
      );
      expect(answers.map(({ status }) => status)).toEqual(wrong.map(() => 401));
    }
    expect(await readAll(naru.url, token)).toEqual([]);
  });

  test('is accepted with the right one and read back byte for byte', async () => {
    for (let start = 0; start < payloads.length; start += 20) {
      const batch = payloads.slice(start, start + 20);
      const answers = await Promise.all(
        batch.map(async ({ name, deliveryId, body }) =>
          postSigned(naru.url, body, {
            'x-github-event': name,
            'x-github-delivery': deliveryId,
            'x-hub-signature-256': await sign(DEVELOPMENT_WEBHOOK_SECRET, body),
          }),
        ),
      );
      expect(answers.map(({ status }) => status)).toEqual(batch.map(() => 202));
    }
    await untilStored(naru, payloads.length);
    const fields = 'deliveryId eventName action rawBody payload repository { fullName } sender';
    const byDelivery = new Map(
      (await readAll(naru.url, token, fields)).map((message) => [message.deliveryId, message]),
    );
    expect(byDelivery.size).toBe(payloads.length);
    for (const { name, deliveryId, body } of payloads) {
      const sent = JSON.parse(body);
      const message = byDelivery.get(deliveryId);
      expect(message.rawBody).toBe(body);
      expect(message.payload).toEqual(sent);
      expect(message.eventName).toBe(name);
      expect(message.action).toBe(sent.action ?? null);
      expect(message.sender).toBe(sent.sender?.login ?? null);
      if (sent.repository) expect(message.repository).not.toBeNull();
    }
  });
});

test("GitHub's documented vector is accepted", async () => {
  const answer = await postRaw(naru.url, {
    body: 'Hello, World!',
    headers: {
      'content-type': 'application/json',
      'x-hub-signature-256':
        'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
    },
  });
  expect(answer.status).toBe(202);
});
