import type { Services } from '#context.ts';
import type { Entry } from '#pubsub/bus.ts';
import type { Topic } from '#pubsub/topic.ts';
import { roomLogged } from '#pubsub/topics/rooms.ts';
import { userDeleted } from '#pubsub/topics/users.ts';
import { webhookReceived } from '#pubsub/topics/webhooks.ts';
import { eraseFromRooms } from '#resolvers/rooms/erase.ts';
import { catchUpRooms, feedRooms, pruneRoomsFeed } from '#resolvers/rooms/rooms-feed-writer.ts';
import { filterWords, WORD_FILTER } from '#resolvers/rooms/word-filter.ts';
import { sealAuditEntries } from '#resolvers/users/audit-chain.ts';
import { pruneIdempotencyKeys } from '#resolvers/users/idempotency.ts';
import { sendDueMail } from '#resolvers/users/mail.ts';
import { pruneCredentials, pruneSuccessors } from '#resolvers/users/retention.ts';
import { eraseUsers } from '#resolvers/webhooks/erase.ts';
import { projectWebhooks } from '#resolvers/webhooks/project.ts';
import { pruneWebhooks } from '#resolvers/webhooks/retention.ts';

/** Work by topic: durable, in batches, on one node at a time, so that batches keep their order. */
export interface TopicJob<Payload> {
  readonly name: string;
  readonly topic: Topic<Payload>;
  readonly batchMax: number;
  /** Where it says no, nothing is consumed: what the topic keeps waits for a start at which it says yes. */
  isNeeded?(app: Services): boolean;
  /** A method, so that a list can hold jobs of several topics. */
  run(app: Services, batch: readonly Entry<Payload>[]): Promise<void>;
}

/** Work by time: again `everyMs` after it ended. */
export interface TimedJob {
  readonly name: string;
  /** On every node, or on one at a time. */
  readonly where: 'every-node' | 'one-node';
  readonly everyMs: number;
  readonly run: (app: Services) => Promise<void>;
}

export const topicJobs: readonly TopicJob<unknown>[] = [
  {
    name: 'webhook-projector',
    topic: webhookReceived,
    batchMax: 200,
    run: projectWebhooks,
  } satisfies TopicJob<typeof webhookReceived.payload._output>,
  {
    name: 'webhook-eraser',
    topic: userDeleted,
    batchMax: 50,
    run: eraseUsers,
  } satisfies TopicJob<typeof userDeleted.payload._output>,
  {
    name: 'room-eraser',
    topic: userDeleted,
    batchMax: 50,
    run: eraseFromRooms,
  } satisfies TopicJob<typeof userDeleted.payload._output>,
  {
    name: 'rooms-feed',
    topic: roomLogged,
    batchMax: 500,
    run: feedRooms,
  } satisfies TopicJob<typeof roomLogged.payload._output>,
  {
    name: WORD_FILTER,
    topic: roomLogged,
    batchMax: 200,
    isNeeded: ({ config }) => config.roomBlockedWords.length > 0,
    run: filterWords,
  } satisfies TopicJob<typeof roomLogged.payload._output>,
];

export const timedJobs: readonly TimedJob[] = [
  {
    name: 'webhook-sources',
    where: 'every-node',
    everyMs: 5_000,
    run: (app) => app.webhookSources.refresh(),
  },
  {
    name: 'webhook-permissions',
    where: 'every-node',
    everyMs: 15_000,
    run: (app) => app.permissions.refreshFollowed(),
  },
  {
    name: 'signing-keys',
    where: 'every-node',
    everyMs: 60_000,
    run: (app) => app.accessTokens.reload(),
  },
  { name: 'refresh-successors', where: 'one-node', everyMs: 10_000, run: pruneSuccessors },
  { name: 'credential-retention', where: 'one-node', everyMs: 3_600_000, run: pruneCredentials },
  { name: 'idempotency-keys', where: 'one-node', everyMs: 3_600_000, run: pruneIdempotencyKeys },
  {
    name: 'presence-sweeper',
    where: 'one-node',
    everyMs: 1_000,
    run: (app) => app.presence.sweep(),
  },
  { name: 'mail', where: 'one-node', everyMs: 1_000, run: sendDueMail },
  { name: 'webhook-retention', where: 'one-node', everyMs: 600_000, run: pruneWebhooks },
  { name: 'audit-sealer', where: 'one-node', everyMs: 1_000, run: sealAuditEntries },
  { name: 'rooms-catch-up', where: 'one-node', everyMs: 10_000, run: catchUpRooms },
  { name: 'rooms-retention', where: 'one-node', everyMs: 600_000, run: pruneRoomsFeed },
];
