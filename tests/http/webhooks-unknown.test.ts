// Webhooks that no source vouches for: refused in production, kept for operators where that is asked for.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import type { App } from '#context.ts';
import { createServer } from '#server.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import {
  postRaw,
  postSigned,
  readAll,
  readNode,
  untilStored,
  watchWebhooks,
} from '../support/webhooks.ts';

const BUDGET = 20_000;

let naru: TestNaru;
let storing: App;

beforeAll(async () => {
  naru = await startNaru({
    settings: {
      WEBHOOK_UNKNOWN_SOURCES: 'store',
      WEBHOOK_UNKNOWN_BYTES_PER_DAY: String(BUDGET),
    },
  });
  storing = naru.app;
});
afterAll(() => naru.close());

/** Another node on the same servers, started with these settings. */
async function withNode(
  settings: Readonly<Record<string, string>>,
  work: (url: string) => Promise<void>,
): Promise<void> {
  const { databaseUrl, redisUrl, redisKeyPrefix } = storing.config;
  const config = parseConfig({
    PORT: '0',
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    REDIS_KEY_PREFIX: redisKeyPrefix,
    SECRET_KEY: 'a-secret-key-of-tests-that-is-long-enough',
    LOG_LEVEL: 'silent',
    ...settings,
  });
  const app = await createApp(config, { log: storing.log, runsJobs: false });
  const server = await createServer(app);
  try {
    await work(await server.listen());
  } finally {
    await server.close();
    await app.close();
  }
}

describe('an unknown path', () => {
  test('is 404 in production, and kept in development', async () => {
    await withNode({ NODE_ENV: 'production' }, async (url) => {
      expect((await postRaw(url, { path: '/webhook/nobody', body: 'x' })).status).toBe(404);
    });
    await withNode({ NODE_ENV: 'development' }, async (url) => {
      const answer = await postRaw(url, { path: '/webhook/nobody', body: 'in development' });
      expect(answer).toMatchObject({ status: 202, json: { source: 'unknown' } });
    });
    await untilStored(naru, 1);
  });

  test('is kept as unverified, believed nothing, and shown to operators only', async () => {
    const [alice, bob, oscar, audrey, admin] = await Promise.all(
      ['alice', 'bob', 'oscar', 'audrey', 'admin'].map((name) => naru.tokenFor(name)),
    );
    if (!alice || !bob || !oscar || !audrey || !admin) throw new Error('no tokens');
    const watching = await Promise.all([
      watchWebhooks(naru.url, oscar),
      watchWebhooks(naru.url, alice),
    ]);
    const body = '{"action":"opened","repository":{"id":1,"full_name":"a/b"}}';
    // Signed as GitHub would: a path nobody knows is not GitHub.
    const answer = await postSigned(naru.url, body, {}, '/webhook/githob');
    expect(answer).toMatchObject({ status: 202, json: { source: 'unknown' } });
    const { id } = answer.json;
    await untilStored(naru, 2);
    const fields =
      'verification source { id } repository { id } action deliveryId rawBody payload eventName';
    for (const token of [oscar, admin]) {
      expect(await readNode(naru.url, token, id, fields)).toEqual({
        id,
        verification: 'UNVERIFIED',
        source: null,
        repository: null,
        action: null,
        deliveryId: null,
        eventName: null,
        rawBody: body,
        payload: JSON.parse(body),
      });
      expect((await readAll(naru.url, token)).map((message) => message.id)).toContain(id);
    }
    for (const token of [alice, bob, audrey]) {
      expect(await readNode(naru.url, token, id, 'id')).toBeNull();
      expect(await readAll(naru.url, token)).toEqual([]);
    }
    expect((await watching[0].nextMessage()).id).toBe(id);
    // What alice is told next is what came after: she was passed over.
    const hers = await postSigned(naru.url, '{}');
    expect((await watching[1].nextMessage()).id).toBe(hers.json.id);
    await Promise.all(watching.map((watch) => watch.close()));
  });

  test('is shown to an operator only by a token that reads webhooks', async () => {
    const narrow = await naru.tokenFor('oscar', ['viewer:read', 'operations:read']);
    const [message] = await readAll(naru.url, await naru.tokenFor('oscar'));
    expect(await readNode(naru.url, narrow, message.id, 'id')).toBeNull();
  });

  test('cannot take a delivery id from the real sender', async () => {
    const delivery = { 'x-github-delivery': 'd9a1b2c3-0000-4000-8000-000000000001' };
    const forge = () =>
      postRaw(naru.url, { path: '/webhook/not-github', body: 'forged', headers: delivery });
    const [first, second] = [await forge(), await forge()];
    const real = await postSigned(naru.url, '{"real":1}', delivery);
    const answers = [first, second, real];
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    // Nor from another forger: the header means nothing there.
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(3);
    await untilStored(naru, 6);
    const alice = await naru.tokenFor('alice');
    expect(await readNode(naru.url, alice, real.json.id, 'rawBody')).toMatchObject({
      rawBody: '{"real":1}',
    });
  });

  test('is taken within the daily budget of bytes, then refused until the day is over', async () => {
    const post = (bytes: number) =>
      postRaw(naru.url, { path: '/webhook/flood', body: Buffer.alloc(bytes) });
    const tooMuch = await post(BUDGET + 1);
    expect(tooMuch.status).toBe(429);
    expect(tooMuch.json.error).toMatchObject({ code: 'RATE_LIMITED' });
    const { retryAfterSeconds } = tooMuch.json.error;
    expect(retryAfterSeconds).toBeGreaterThan(0);
    expect(retryAfterSeconds).toBeLessThanOrEqual(86_400);
    expect(tooMuch.headers['retry-after']).toBe(String(retryAfterSeconds));
    // What was refused used nothing up; and bodies of no bytes are not free either.
    const answers = [];
    for (let index = 0; index <= BUDGET / 1_024; index += 1) answers.push(await post(0));
    const statuses = answers.map(({ status }) => status);
    expect(statuses[0]).toBe(202);
    expect(statuses.at(-1)).toBe(429);
    // Known sources have nothing to do with it.
    expect((await postSigned(naru.url, '{}')).status).toBe(202);
  });
});

test('a source whose secret is not set takes nothing, because it could verify nothing', async () => {
  await withNode({ NODE_ENV: 'production' }, async (url) => {
    const answer = await postSigned(url, '{}');
    expect(answer.status).toBe(503);
    expect(answer.json.error.code).toBe('UNAVAILABLE');
    expect(answer.headers['retry-after']).toBeDefined();
  });
});
