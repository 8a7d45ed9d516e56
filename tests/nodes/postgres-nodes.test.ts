import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/graphql-client.ts';
import { postSigned, readAll } from '../support/webhooks.ts';
import { countMessages, testHandover, testNews } from './sharing.ts';
import { type NodesWorld, startNodes } from './world.ts';

describe('two nodes with their log in PostgreSQL', () => {
  let world: NodesWorld;
  beforeAll(async () => {
    world = await startNodes('postgres');
  });
  afterAll(() => world?.close());

  testNews(() => world);

  test('while PostgreSQL is down nothing is accepted; after it, all is again', async () => {
    const before = await countMessages(world);
    const token = await world.addReader('outage');
    await world.postgres.kill();
    for (const { url } of world.nodes) expect((await postSigned(url, '{}')).status).toBe(503);
    await world.postgres.restart();
    for (const { url } of world.nodes) {
      await until(async () => (await postSigned(url, '{}')).status === 202);
    }
    await until(async () => (await countMessages(world)) >= before + world.nodes.length);
    expect(await readAll(world.nodes[1].url, token)).toHaveLength(before + world.nodes.length);
  });

  testHandover(() => world);
});
