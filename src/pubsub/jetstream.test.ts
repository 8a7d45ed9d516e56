import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { UnavailableError } from '#lib/errors.ts';
import { requireServer, testNatsUrl } from '../../tests/support/servers.ts';
import { createJetStreamBus } from './jetstream.ts';
import { streamName } from './key.ts';
import type { BusLog } from './log.ts';
import { defineTopic } from './topic.ts';

const log: BusLog = { debug() {}, info() {}, warn() {}, error() {} };
const topic = defineTopic({
  name: 'things.happened',
  payload: z.object({ n: z.number() }),
  retainMs: 3_600_000,
  retainBytesMax: 2 ** 20,
});
const topics = [topic];

describe('starting', () => {
  test('without a server fails and says so', async () => {
    const starting = createJetStreamBus({ url: 'nats://127.0.0.1:1', log, topics });
    await expect(starting).rejects.toThrow(UnavailableError);
    await expect(starting).rejects.toThrow('No NATS server answers');
  });

  test('with a server that is too old fails and names the version', async () => {
    const server = createServer((socket) => {
      socket.write('INFO {"version":"2.8.4","max_payload":1048576,"proto":1,"headers":true}\r\n');
      socket.on('data', (data) => void (String(data).includes('PING') && socket.write('PONG\r\n')));
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const starting = createJetStreamBus({ url: `nats://127.0.0.1:${port}`, log, topics });
    await expect(starting).rejects.toThrow('nats-server 2.8.4 is too old: Naru needs 2.9.10');
    server.close();
  });
});

describe.skipIf(!requireServer('nats-server'))('streams', () => {
  const namespace = `test-${randomUUID()}`;
  let nats: NatsConnection;

  beforeAll(async () => {
    nats = await connect({ servers: testNatsUrl() });
  });
  afterAll(async () => {
    const manager = await jetstreamManager(nats);
    for await (const { config } of manager.streams.list()) {
      if (config.name.startsWith(namespace)) await manager.streams.delete(config.name);
    }
    await nats.close();
  });

  function openBus(changes: Partial<typeof topic> = {}, itsNamespace = namespace) {
    const its = [{ ...topic, ...changes }];
    return createJetStreamBus({ url: testNatsUrl(), log, topics: its, namespace: itsNamespace });
  }

  test('are made to match what topics declare, also when that changed, and keep their entries', async () => {
    const before = await openBus();
    await before.publish(topic, 'k', { n: 1 }, { id: 'a' });
    await before.close();
    const after = await openBus({ retainBytesMax: 2 ** 21 });
    const manager = await jetstreamManager(nats);
    const { config, state } = await manager.streams.info(streamName(namespace, topic.name));
    expect(config).toMatchObject({
      subjects: [`${namespace}.things.happened.*`],
      max_bytes: 2 ** 21,
      max_age: topic.retainMs * 1e6,
      duplicate_window: 120_000 * 1e6,
      storage: 'file',
      retention: 'limits',
      discard: 'old',
    });
    expect(state.messages).toBe(1);
    await after.close();
  });

  test('of two namespaces on one server hear nothing of each other', async () => {
    const [one, other] = await Promise.all([openBus(), openBus({}, `${namespace}-2`)]);
    const heard: string[] = [];
    for (const bus of [one, other]) {
      const onEntry = ({ id }: { id: string }) => void heard.push(id);
      await bus.tail(topic, { from: 'head', onEntry, onLoss() {} });
    }
    await one.publish(topic, 'k', { n: 1 }, { id: 'for-one' });
    await other.publish(topic, 'k', { n: 1 }, { id: 'for-other' });
    await vi.waitUntil(() => heard.length >= 2, 5_000);
    expect(heard.toSorted((a, b) => a.localeCompare(b))).toEqual(['for-one', 'for-other']);
    await Promise.all([one.close(), other.close()]);
  });
});
