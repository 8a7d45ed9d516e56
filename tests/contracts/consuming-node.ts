// A node in a process of its own, made to be killed: it takes a batch, tells which, and never returns.
import pg from 'pg';
import { z } from 'zod';
import { createJetStreamBus } from '#pubsub/jetstream.ts';
import type { BusLog } from '#pubsub/log.ts';
import { createPostgresBus } from '#pubsub/postgres.ts';
import { defineTopic } from '#pubsub/topic.ts';

export interface NodeTask {
  readonly open: { readonly kind: 'postgres' | 'jetstream'; readonly url: string };
  readonly topicName: string;
  readonly consumer: string;
}

const task = JSON.parse(process.argv[2] ?? '') as NodeTask;
const { kind, url } = task.open;
const topic = defineTopic({
  name: task.topicName,
  payload: z.object({ n: z.number() }),
  retainMs: 3_600_000,
  retainBytesMax: 64 * 2 ** 20,
});
const log: BusLog = { debug() {}, info() {}, warn() {}, error() {} };
const topics = [topic];
const bus =
  kind === 'jetstream'
    ? await createJetStreamBus({ url, log, topics })
    : await createPostgresBus({
        connectionString: url,
        pool: new pg.Pool({ connectionString: url }),
        log,
        topics,
      });
await bus.consume(topic, {
  name: task.consumer,
  handle(batch) {
    process.send?.(batch.map((entry) => entry.payload.n));
    return new Promise(() => {});
  },
});
process.send?.('consuming');
