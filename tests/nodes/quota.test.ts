// Limits as they hold when Naru is more than one process and Redis is killed under it.
import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { post, until } from '../support/graphql-client.ts';
import { startTestRedis } from '../support/servers.ts';
import { postSigned, type WebhookAnswer } from '../support/webhooks.ts';
import { type NodesWorld, startNodes } from './world.ts';

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function startWorld(settings: Readonly<Record<string, string>>): Promise<NodesWorld> {
  const world = await startNodes('postgres', settings);
  undo.push(() => world.close());
  return world;
}

const LIMITS = {
  WEBHOOKS_PER_MINUTE_SOURCE: '5',
  WEBHOOKS_PER_MINUTE_NETWORK: '0',
};

/** So many webhooks at once to each of the nodes. */
function flood({ nodes }: NodesWorld, count: number): Promise<WebhookAnswer>[] {
  return Array.from({ length: count }, () => nodes.map(({ url }) => postSigned(url, '{}'))).flat();
}

async function countAccepted(answers: readonly Promise<WebhookAnswer>[]): Promise<number> {
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  expect(statuses.filter((status) => status !== 202 && status !== 429)).toEqual([]);
  return statuses.filter((status) => status === 202).length;
}

test('200 calls at once over two processes are given exactly the limit', async () => {
  const world = await startWorld(LIMITS);
  expect(await countAccepted(flood(world, 100))).toBe(5);
});

test('a node that is killed and started again does not begin anew', async () => {
  const world = await startWorld(LIMITS);
  const [one, two] = world.nodes;
  expect(await countAccepted(Array.from({ length: 8 }, () => postSigned(one.url, '{}')))).toBe(5);
  await one.kill();
  expect((await postSigned(two.url, '{}')).status).toBe(429);
  await one.start();
  // Its first moments may be without Redis: it counts for itself then, within the limit.
  await until(async () => (await postSigned(one.url, '{}')).status === 429);
  expect((await postSigned(two.url, '{}')).status).toBe(429);
});

test('Redis killed in mid-run: still bounded, and exact within 5 s of its return', async () => {
  const redis = await startTestRedis();
  undo.push(() => redis.stop());
  const world = await startWorld({
    ...LIMITS,
    // One unit comes back in half a minute, and not in the middle of this.
    WEBHOOKS_PER_MINUTE_SOURCE: '2',
    REDIS_URL: redis.url,
    REDIS_KEY_PREFIX: `${randomUUID()}:`,
  });
  const running = flood(world, 100);
  await redis.kill();
  const accepted = await countAccepted([...running, ...flood(world, 100)]);
  // At most what the two share, and what each has for itself.
  expect(accepted).toBeGreaterThanOrEqual(2);
  expect(accepted).toBeLessThanOrEqual(6);

  await redis.restart();
  const returnedAt = performance.now();
  // Redis begins empty: once both count there, it is two again, for both together.
  const isReady = async (url: string) => (await fetch(`${url}/ready`)).status === 200;
  await until(async () =>
    (await Promise.all(world.nodes.map(({ url }) => isReady(url)))).every(Boolean),
  );
  let given = 0;
  await until(async () => {
    given += await countAccepted(flood(world, 5));
    return given >= 2;
  });
  expect(performance.now() - returnedAt).toBeLessThan(5_000);
  expect(given).toBe(2);
  expect(await countAccepted(flood(world, 50))).toBe(0);
  expect((await post(world.nodes[0].url, { query: '{ __typename }' })).status).toBe(200);
});
