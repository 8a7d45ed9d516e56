import type { Services } from '#context.ts';
import type { Entry } from '#pubsub/bus.ts';
import type { Topic } from '#pubsub/topic.ts';
import { webhookReceived } from '#pubsub/topics/webhooks.ts';
import { projectWebhooks } from '#resolvers/webhooks/project.ts';

/** Work by topic: durable, shared among nodes, handed over in batches. */
export interface TopicJob<Payload> {
  readonly name: string;
  readonly topic: Topic<Payload>;
  readonly batchMax: number;
  readonly run: (app: Services, batch: readonly Entry<Payload>[]) => Promise<void>;
}

/** Work by time, on every node: again `everyMs` after it ended. */
export interface TimedJob {
  readonly name: string;
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
  { name: 'webhook-sources', everyMs: 5_000, run: (app) => app.webhookSources.refresh() },
];
