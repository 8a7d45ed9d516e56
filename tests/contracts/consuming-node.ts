// A node in a process of its own. `never`: takes a batch, tells which, and never returns, so that it can be
// killed. `closed`: takes a batch, reads, closes, and must then end by itself.
import pg from 'pg';
import { z } from 'zod';
import { createJetStreamBus } from '#pubsub/jetstream.ts';
import type { BusLog } from '#pubsub/log.ts';
import { createPostgresBus } from '#pubsub/postgres.ts';
import { defineTopic } from '#pubsub/topic.ts';

export interface NodeTask {
  readonly open: { readonly kind: 'postgres' | 'jetstream'; readonly url: string };
  readonly topicName: string;
  readonly finish: 'never' | 'closed';
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
const pool = new pg.Pool({ connectionString: url });
const bus =
  kind === 'jetstream'
    ? await createJetStreamBus({ url, log, topics })
    : await createPostgresBus({ connectionString: url, pool, log, topics });
const handled = Promise.withResolvers<void>();
await bus.consume(topic, {
  name: 'worker',
  async handle(batch) {
    process.send?.(batch.map((entry) => entry.payload.n));
    handled.resolve();
    if (task.finish === 'never') await new Promise(() => {});
  },
});
process.send?.('consuming');
if (task.finish === 'closed') {
  await bus.tail(topic, { from: 'head', onEntry() {}, onLoss() {} });
  await handled.promise;
  await bus.close();
  await pool.end();
  process.disconnect();
}
