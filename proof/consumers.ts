// What a NATS server holds for a Naru: asked of the server itself.
import { setTimeout as delay } from 'node:timers/promises';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { streamName } from '#pubsub/key.ts';
import { topics } from '#pubsub/topics.ts';

const STEADY_LOOKS = 15;

/** Of all topics of this namespace. */
export async function countConsumers(natsUrl: string, namespace: string): Promise<number> {
  const nats = await connect({ servers: natsUrl });
  try {
    const manager = await jetstreamManager(nats);
    const counts = await Promise.all(
      topics.map(({ name }) => countConsumersOn(manager, streamName(namespace, name))),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  } finally {
    await nats.close();
  }
}

async function countConsumersOn(manager: JetStreamManager, stream: string): Promise<number> {
  let count = 0;
  for await (const _consumer of manager.consumers.list(stream)) count += 1;
  return count;
}

/** The jobs open theirs in their own time: once it has been the same for a while, that is it. */
export async function untilSteady(count: () => Promise<number>): Promise<number> {
  let last = await count();
  for (let same = 0; same < STEADY_LOOKS; ) {
    await delay(100);
    const next = await count();
    same = next === last ? same + 1 : 0;
    last = next;
  }
  return last;
}
