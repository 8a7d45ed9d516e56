import type { Services } from '#context.ts';
import type { Entry } from '#pubsub/bus.ts';
import type { Topic } from '#pubsub/topic.ts';
import { webhookReceived } from '#pubsub/topics/webhooks.ts';
import { projectWebhooks } from '#resolvers/webhooks/project.ts';
import { pruneWebhooks } from '#resolvers/webhooks/retention.ts';

/** Work by topic: durable, in batches, on one node at a time, so that batches keep their order. */
export interface TopicJob<Payload> {
  readonly name: string;
  readonly topic: Topic<Payload>;
  readonly batchMax: number;
  readonly run: (app: Services, batch: readonly Entry<Payload>[]) => Promise<void>;
}

/** Work by time: again `everyMs` after it ended. */
export interface TimedJob {
  readonly name: string;
  /** On every node, or on one at a time. */
  readonly where: 'every-node' | 'one-node';
  readonly everyMs: number;
  readonly run: (app: Services) => Promise<void>;
}

export const topicJobs = [
  {
    name: 'webhook-projector',
    topic: webhookReceived,
    batchMax: 200,
    run: projectWebhooks,
  } satisfies TopicJob<typeof webhookReceived.payload._output>,
];

export const timedJobs: readonly TimedJob[] = [
  {
    name: 'webhook-sources',
    where: 'every-node',
    everyMs: 5_000,
    run: (app) => app.webhookSources.refresh(),
  },
  { name: 'webhook-retention', where: 'one-node', everyMs: 600_000, run: pruneWebhooks },
];
