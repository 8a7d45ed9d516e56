import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { describe } from 'vitest';
import { createJetStreamBus } from '#pubsub/jetstream.ts';
import { streamName } from '#pubsub/key.ts';
import { requireServer, startTestNats } from '../support/servers.ts';
import { type BusWorld, describeBus } from './bus.ts';

const NAMESPACE = 'naru';

describe.skipIf(!requireServer('nats-server'))('with nats-server', () => {
  describeBus('the bus on JetStream', async (): Promise<BusWorld> => {
    const server = await startTestNats();
    const { url } = server;

    async function asAdmin<Result>(work: (nats: NatsConnection) => Promise<Result>) {
      const nats = await connect({ servers: url });
      try {
        return await work(nats);
      } finally {
        await nats.close();
      }
    }

    return {
      server,
      node: { kind: 'jetstream', url },
      openBus: (topics, log) => createJetStreamBus({ url, log, topics }),
      purge: (topicName) =>
        asAdmin(async (nats) => {
          const manager = await jetstreamManager(nats);
          await manager.streams.purge(streamName(NAMESPACE, topicName));
        }),
      destroy: (topicName) =>
        asAdmin(async (nats) => {
          const manager = await jetstreamManager(nats);
          await manager.streams.delete(streamName(NAMESPACE, topicName));
        }),
      readersPerTail: 1,
      countReaders: (topicName) =>
        asAdmin(async (nats) => {
          const manager = await jetstreamManager(nats);
          const consumers = await manager.consumers.list(streamName(NAMESPACE, topicName)).next();
          return consumers.filter(({ config }) => config.durable_name === undefined).length;
        }),
      close: () => server.stop(),
    };
  });
});
