import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { topics } from '#pubsub/topics.ts';
import { until } from '../support/graphql-client.ts';
import { createActs } from '../support/room-acts.ts';
import { watchRoom, watchRooms } from '../support/room-watch.ts';
import { addMembers, type Member, makeRoom } from '../support/rooms.ts';
import { requireServer } from '../support/servers.ts';
import { postSigned, readAll, readNode, watchWebhooks } from '../support/webhooks.ts';
import { countMessages, testHandover, testNews } from './sharing.ts';
import { type NodesWorld, startNodes } from './world.ts';

/** Larger than an entry of the bus, and hard to compress. */
function largeBody(bytes: number): string {
  const text = Array.from({ length: bytes / 16 }, (_, n) => (n * 2_654_435_761).toString(36));
  return JSON.stringify({ repository: { id: 7, full_name: 'proof/large' }, text: text.join(' ') });
}

const streamOf = (topicName: string) => `naru_${topicName.replaceAll('.', '_')}`;

describe.skipIf(!requireServer('nats-server'))('two nodes on NATS', () => {
  let world: NodesWorld;
  beforeAll(async () => {
    world = await startNodes('jetstream', { WEBHOOK_BODY_BYTES_MAX: String(8 * 2 ** 20) });
  });
  afterAll(() => world?.close());

  async function manage(): Promise<JetStreamManager> {
    const nats = await connect({ servers: world.nats?.url ?? '' });
    onTestFinished(() => nats.close());
    return jetstreamManager(nats);
  }

  async function readIds(token: string, from = 0): Promise<string[]> {
    return (await readAll(world.nodes[0].url, token)).map(({ id }) => id).slice(from);
  }

  testNews(() => world);

  /** By topic. */
  async function countConsumers(): Promise<Record<string, number>> {
    const manager = await manage();
    const counts = await Promise.all(
      topics.map(async ({ name }) => {
        const consumers = await manager.consumers.list(streamOf(name)).next();
        return [name, consumers.length] as const;
      }),
    );
    return Object.fromEntries(counts);
  }

  test('the broker holds as many consumers for fifty users as for one', async () => {
    const open = async (username: string) => {
      const token = await world.addReader(username);
      // One on each node.
      return Promise.all(world.nodes.map(({ url }) => watchWebhooks(url, token)));
    };
    const watches = await open('user-0');
    await until(async () => (await countConsumers())['webhooks.stored'] === 2);
    const withOne = await countConsumers();
    // Nodes × topics at most: two that follow the news, and one for each job, which all nodes share.
    // Without a GitHub to ask, nobody listens for what it says.
    expect(withOne).toEqual({
      'webhooks.stored': 2,
      'webhooks.received': 1,
      'webhooks.permissions': 0,
      // One for each domain that erases.
      'users.deleted': 2,
      'rooms.logged': 1,
      'rooms.moved': 0,
      'rooms.signalled': 0,
    });
    for (let index = 1; index < 50; index += 1) watches.push(...(await open(`user-${index}`)));
    const { json } = await postSigned(world.nodes[0].url, '{"for":"all"}');
    for (const watch of watches) expect((await watch.nextMessage()).id).toBe(json.id);
    expect(await countConsumers()).toEqual(withOne);
    await Promise.all(watches.map((watch) => watch.close()));
    // Nobody follows any more: the nodes let go of what they held.
    await until(async () => (await countConsumers())['webhooks.stored'] === 0);
  });

  test('and as many for twenty people of a room as for one', async () => {
    const people = await addMembers(world, 20);
    const [owner, ...members] = people;
    if (owner === undefined) throw new Error('Nobody is there');
    const room = await makeRoom(world, { owner, members });
    const open = ({ token }: Member) =>
      Promise.all(
        world.nodes.flatMap(({ url }) => [
          watchRoom(url, token, { roomId: room.id }),
          watchRooms(url, token),
        ]),
      );
    const watches = await open(owner);
    // Two nodes that follow, and the job that writes the feed over all rooms.
    const expected = { 'rooms.logged': 3, 'rooms.moved': 2, 'rooms.signalled': 2 };
    expect(await countConsumers()).toMatchObject(expected);
    for (const member of members) watches.push(...(await open(member)));
    await createActs(() => world.nodes[0].url).say(owner, room, 'to all');
    for (const watch of watches) {
      // The feed over all rooms takes up what was there before, too.
      while ((await watch.nextEvent())['message']?.body !== 'to all');
    }
    expect(await countConsumers()).toMatchObject(expected);
    await Promise.all(watches.map((watch) => watch.close()));
    await until(async () => (await countConsumers())['rooms.moved'] === 0);
  });

  test('while NATS is down nothing is accepted or stored; after it, all is again', async () => {
    const before = await countMessages(world);
    const token = await world.addReader('no-nats');
    await world.nats?.kill();
    const urls = world.nodes.map(({ url }) => url);
    const refused = await Promise.all(urls.map((url) => postSigned(url, '{"refused":true}')));
    expect(refused.map(({ status }) => status)).toEqual([503, 503]);
    await world.nats?.restart();
    for (const url of urls) await until(async () => (await postSigned(url, '{}')).status === 202);
    await until(async () => (await countMessages(world)) >= before + urls.length);
    const bodies = await readAll(world.nodes[0].url, token, 'rawBody');
    expect(bodies.slice(before).map(({ rawBody }) => rawBody)).toEqual(['{}', '{}']);
  });

  test('while PostgreSQL is down webhooks are accepted, large ones refused, and readers catch up', async () => {
    const [first, second] = world.nodes;
    const watch = await watchWebhooks(second.url, await world.addReader('no-postgres'));
    await world.postgres.kill();
    const accepted: string[] = [];
    for (const { url } of [first, second, first, second]) {
      const { status, json } = await postSigned(url, `{"n":${accepted.length}}`);
      expect(status).toBe(202);
      accepted.push(json.id);
    }
    expect((await postSigned(first.url, largeBody(2 ** 21))).status).toBe(503);
    await world.postgres.restart();
    const seen: string[] = [];
    for (const _ of accepted) seen.push((await watch.nextMessage()).id);
    expect(new Set(seen)).toEqual(new Set(accepted));
    await watch.close();
    await until(async () => (await postSigned(second.url, largeBody(2 ** 21))).status === 202);
  });

  test('a body larger than the bus takes comes through whole, and once', async () => {
    const [first, second] = world.nodes;
    const token = await world.addReader('large');
    const body = largeBody(6 * 2 ** 20);
    const watch = await watchWebhooks(second.url, token);
    const answers = await Promise.all(
      [first, second, first].map(({ url }) =>
        postSigned(url, body, { 'x-github-delivery': 'large' }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    const { json } = await postSigned(second.url, '{"after":"large"}');
    const id = answers[0]?.json.id;
    const seen = [(await watch.nextMessage()).id, (await watch.nextMessage()).id];
    expect(new Set(seen)).toEqual(new Set([id, json.id]));
    await watch.close();
    const selection = 'rawBody byteSize repository { fullName }';
    const { rawBody, ...message } = await readNode(first.url, token, id, selection);
    expect(rawBody === body).toBe(true);
    expect(message).toMatchObject({
      byteSize: Buffer.byteLength(body),
      repository: { fullName: 'proof/large' },
    });
  });

  test('an entry that cannot be projected never blocks what follows', async () => {
    const [first, second] = world.nodes;
    const watch = await watchWebhooks(first.url, await world.addReader('unblocked'));
    // The row that the entry names vanishes before anybody reads it.
    await world.query(`
      CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER lose BEFORE INSERT ON webhook_claimed_body FOR EACH ROW EXECUTE FUNCTION lose()`);
    expect((await postSigned(first.url, largeBody(2 ** 21))).status).toBe(202);
    await world.query('DROP FUNCTION lose CASCADE');
    const ids: string[] = [];
    for (const { url } of [first, second]) ids.push((await postSigned(url, '{}')).json.id);
    const seen = [(await watch.nextMessage()).id, (await watch.nextMessage()).id];
    expect(new Set(seen)).toEqual(new Set(ids));
    await watch.close();
  });

  test.each(['purged', 'deleted'] as const)(
    'streams that were %s leave no hole for those who read',
    async (fate) => {
      const [first, second] = world.nodes;
      const before = await countMessages(world);
      const token = await world.addReader(fate);
      const watch = await watchWebhooks(second.url, token);
      const manager = await manage();
      const accepted: string[] = [];
      const post = async (url: string) => {
        const { status, json } = await postSigned(url, `{"n":${accepted.length}}`);
        if (status === 202) accepted.push(json.id);
        return status;
      };
      for (const { url } of world.nodes) expect(await post(url)).toBe(202);
      // What was projected is safe; what is only in the log would be gone with it.
      await until(async () => (await countMessages(world)) === before + accepted.length);
      for (const { name } of topics) {
        await manager.streams[fate === 'purged' ? 'purge' : 'delete'](streamOf(name));
      }
      for (const { url } of [first, second, first]) {
        await until(async () => (await post(url)) === 202);
      }
      const seen: string[] = [];
      for (const _ of accepted) seen.push((await watch.nextMessage()).id);
      expect(new Set(seen)).toEqual(new Set(accepted));
      expect(await readIds(token, before)).toEqual(seen);
      await watch.close();
    },
  );

  testHandover(() => world);
});
