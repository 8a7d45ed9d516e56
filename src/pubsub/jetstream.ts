// The bus on NATS JetStream: one stream a topic, one ephemeral consumer a node and tailed topic, one
// durable consumer a topic and consumer name. Nothing on the server grows with users.

import { UnavailableError } from '#lib/errors.ts';
import type { Bus, Subscription, TailOptions } from './bus.ts';
import { requireConsumerName } from './consumer-name.ts';
import { FRAME_HEADER_BYTES, sealEntry } from './entry.ts';
import { connectJetStream, type JetStreamConnection } from './jetstream-connection.ts';
import { openJetStreamConsumer } from './jetstream-consumer.ts';
import { LETTER_BYTES_MAX, openDeadLetters } from './jetstream-dead-letters.ts';
import { createJetStreamPublisher } from './jetstream-publisher.ts';
import { createJetStreamTails } from './jetstream-tail.ts';
import { topicSubject } from './key.ts';
import type { BusLog } from './log.ts';
import { openTopicStream, topicStreamSettings } from './streams.ts';
import type { Topic } from './topic.ts';

export interface JetStreamBusOptions {
  readonly url: string;
  readonly log: BusLog;
  readonly topics: readonly Topic<unknown>[];
  /** Copies of each stream; 3 in a cluster. */
  readonly replicas?: number;
  /** Begins every stream's and subject's name, so that tests and two Narus can share a server. */
  readonly namespace?: string;
}

// Headers: the entry's id and its frame around it.
const HEADERS_BYTES_MAX = 512;
// A pull may bring this much at once; the server drops a client that is 64 MB behind.
const PULL_BYTES_MAX = 32 * 2 ** 20;
const PULL_ENTRIES_MAX = 256;
const LOOK_MS = 5_000;

/** Throws `UnavailableError`, saying why, when NATS is not there, too old, or has no JetStream. */
export async function createJetStreamBus(options: JetStreamBusOptions): Promise<Bus> {
  const { url, log, topics, replicas = 1, namespace = 'naru' } = options;
  if (!/^[a-zA-Z0-9-]+$/.test(namespace)) {
    throw new TypeError('A namespace is letters, digits and hyphens');
  }
  const connection = await connectJetStream(url, log);
  try {
    return await openBus(connection, { log, topics, replicas, namespace });
  } catch (error) {
    await connection.close();
    throw error;
  }
}

async function openBus(
  connection: JetStreamConnection,
  { log, topics, replicas, namespace }: Required<Omit<JetStreamBusOptions, 'url'>>,
): Promise<Bus> {
  const payloadMax = connection.nats.info?.max_payload ?? 2 ** 20;
  // Room for a dead letter around it, so that every entry can be parked.
  const entryBytesMax = payloadMax - HEADERS_BYTES_MAX - 2 * FRAME_HEADER_BYTES - LETTER_BYTES_MAX;
  const pullMax = Math.max(1, Math.min(PULL_ENTRIES_MAX, Math.floor(PULL_BYTES_MAX / payloadMax)));
  const deadLetters = await openDeadLetters(connection, namespace, replicas);
  const opened = await Promise.all(topics.map(openChannel));
  const channels = new Map(opened.map((channel) => [channel.topic.name, channel]));
  const consumers = new Set<Subscription>();
  const stopLooking = lookAfterStreams();
  let closing: Promise<void> | null = null;

  async function openChannel(topic: Topic<unknown>) {
    const settings = topicStreamSettings(topic, namespace, replicas);
    const stream = await openTopicStream(connection, settings, log);
    return {
      topic,
      stream,
      publish: createJetStreamPublisher(connection, stream),
      tails: createJetStreamTails(connection, stream, topic, pullMax, log),
    };
  }

  /** Advisories tell of a stream's end at once, but may be missed. */
  function lookAfterStreams(): () => void {
    const look = (name?: string) => {
      for (const { stream } of channels.values()) {
        if (name !== undefined && stream.name !== name) continue;
        if (connection.isConnected()) void stream.readHead().catch(() => {});
      }
    };
    const stopListening = connection.onReconnect(look);
    const timer = setInterval(look, LOOK_MS);
    const subscription = connection.nats.subscribe('$JS.EVENT.ADVISORY.STREAM.*.*', {
      callback: (_, message) => look(message.subject.split('.').at(-1)),
    });
    return () => {
      stopListening();
      clearInterval(timer);
      subscription.unsubscribe();
    };
  }

  function channelOf(topic: { readonly name: string }) {
    if (closing) throw new UnavailableError('The bus is closed');
    const channel = channels.get(topic.name);
    if (!channel) throw new TypeError(`Topic ${topic.name} was not given to the bus at its start`);
    return channel;
  }

  async function close(): Promise<void> {
    stopLooking();
    await Promise.all([...consumers].map((consumer) => consumer.close()));
    await Promise.all(opened.map(({ tails }) => tails.close()));
    await connection.close();
  }

  return {
    kind: 'jetstream',
    entryBytesMax,
    async publish(topic, key, payload, publishOptions) {
      const { publish } = channelOf(topic);
      const entry = sealEntry(topic, key, payload, publishOptions, entryBytesMax);
      return publish(topicSubject(namespace, topic.name, entry.keyToken), entry);
    },
    async tail(topic, tailOptions) {
      // What the group hands over was parsed by this very topic.
      return channelOf(topic).tails.open(tailOptions as TailOptions<unknown>);
    },
    async consume(topic, consumeOptions) {
      requireConsumerName(consumeOptions.name);
      const { stream } = channelOf(topic);
      const consumer = openJetStreamConsumer(
        connection,
        stream,
        deadLetters,
        topic,
        consumeOptions,
        pullMax,
        log,
      );
      consumers.add(consumer);
      return {
        async close() {
          consumers.delete(consumer);
          await consumer.close();
        },
      };
    },
    listDeadLetters: (limit) => deadLetters.list(limit),
    async check() {
      if (!connection.isConnected()) throw new UnavailableError('NATS is not connected');
      for (const { stream } of opened) await stream.readHead();
    },
    close: () => (closing ??= close()),
  };
}
