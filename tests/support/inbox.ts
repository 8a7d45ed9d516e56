// A user's inbox as a client uses it, and webhooks stored without going through ingress.
import { readAuthorization } from '#auth/credential.ts';
import { createContext } from '#context.ts';
import { newId } from '#lib/ids.ts';
import type { WebhookReceived } from '#pubsub/topics/webhooks.ts';
import { issueToken } from '#resolvers/users/personal-access-token.ts';
import { projectWebhooks } from '#resolvers/webhooks/project.ts';
import { pruneWebhooks } from '#resolvers/webhooks/retention.ts';
import { GITHUB_BODIES } from './github-bodies.ts';
import { post } from './graphql-client.ts';
import type { TestNaru } from './naru.ts';
import { dataOf } from './webhooks.ts';

export interface Delivery {
  readonly receipt: string;
  readonly attempt: number;
  readonly leaseExpiresAt: string;
  readonly message: { readonly id: string; readonly eventName: string | null };
}

export interface Refused {
  readonly receipt: string | null;
  readonly messageId: string | null;
  readonly reason: string;
}

export interface Counts {
  readonly pending: number;
  readonly leased: number;
  readonly acknowledged: number;
  readonly dead: number;
  readonly discarded: number;
  readonly redelivered: number;
  readonly oldestPendingAt: string | null;
}

export interface RepositoryCounts extends Counts {
  readonly repositoryId: string;
  readonly permission: string;
  readonly permissionsCheckedAt: string | null;
  readonly isWatched: boolean;
}

type Input = Readonly<Record<string, unknown>>;

/** The calls of one token. Each throws on an error, also on one that the result holds. */
export interface InboxClient {
  pull(input?: Input): Promise<{ deliveries: Delivery[]; hasMore: boolean }>;
  ack(input: Input): Promise<{ acknowledged: string[]; refused: Refused[] }>;
  nack(
    receipts: readonly string[],
    input?: Input,
  ): Promise<{ handedBack: string[]; refused: Refused[] }>;
  extend(
    receipts: readonly string[],
    leaseSeconds?: number,
  ): Promise<{ deliveries: Delivery[]; refused: Refused[] }>;
  replay(input: Input): Promise<{ count: number; hasMore: boolean }>;
  retry(input: Input): Promise<{ count: number; hasMore: boolean }>;
  discard(
    messageIds: readonly string[],
    reason?: string,
  ): Promise<{ discarded: string[]; refused: Refused[] }>;
  start(from: 'HISTORY' | 'NOW'): Promise<{ from: string; inbox: Counts }>;
  watch(repositoryId: string): Promise<{ permission: string }>;
  unwatch(repositoryId: string): Promise<unknown>;
  /** Of one page, by name. */
  repositories(filter?: Input): Promise<Map<string, RepositoryCounts>>;
  counts(filter?: Input): Promise<Counts>;
  states(): Promise<Map<string, { inboxState: string | null; attempts: number }>>;
}

const DELIVERIES = 'deliveries { receipt attempt leaseExpiresAt message { id eventName } }';
const REFUSED = 'refused { receipt messageId reason }';
const FAULTS = '... on Error { code message } ... on InvalidInputError { field }';
const mutation = (name: string, type: string, selection: string) =>
  `mutation($input: ${name}Input!) { result: ${name[0]?.toLowerCase()}${name.slice(1)}(input: $input) {
     __typename ... on ${type} { ${selection} } ${FAULTS} } }`;

export const PULL = mutation(
  'PullWebhookMessages',
  'WebhookMessagesPulled',
  `${DELIVERIES} hasMore`,
);
export const ACK = mutation(
  'AckWebhookMessages',
  'WebhookMessagesAcknowledged',
  `acknowledged ${REFUSED}`,
);
export const NACK = mutation(
  'NackWebhookMessages',
  'WebhookMessagesHandedBack',
  `handedBack ${REFUSED}`,
);
export const EXTEND = mutation(
  'ExtendWebhookLeases',
  'WebhookLeasesExtended',
  `${DELIVERIES} ${REFUSED}`,
);
export const REPLAY = mutation('ReplayWebhookMessages', 'WebhookMessagesReplayed', 'count hasMore');

export const RETRY = mutation(
  'RetryWebhookDeadLetters',
  'WebhookDeadLettersRetried',
  'count hasMore',
);
export const DISCARD = mutation(
  'DiscardWebhookDeadLetters',
  'WebhookDeadLettersDiscarded',
  `discarded ${REFUSED}`,
);
const COUNTS = 'pending leased acknowledged dead discarded redelivered oldestPendingAt';
export const START = mutation(
  'StartWebhookInbox',
  'WebhookInboxStarted',
  `from inbox { ${COUNTS} }`,
);
const WATCH = mutation('WatchRepository', 'RepositoryWatched', 'permission repository { id }');
const UNWATCH = mutation('UnwatchRepository', 'RepositoryUnwatched', 'repository { id }');

export function createInboxClient(url: string, token: string): InboxClient {
  const run = async (query: string, variables: Input) =>
    dataOf((await post(url, { query, variables }, token)).result);
  const mutate = async (query: string, input: Input) => {
    const { result } = await run(query, { input });
    if (result.code) throw new Error(JSON.stringify(result));
    return result;
  };
  return {
    pull: (input = {}) => mutate(PULL, { limit: 100, ...input }),
    ack: (input) => mutate(ACK, input),
    nack: (receipts, input = {}) => mutate(NACK, { receipts, ...input }),
    extend: (receipts, leaseSeconds = 30) => mutate(EXTEND, { receipts, leaseSeconds }),
    replay: (input) => mutate(REPLAY, input),
    retry: (input) => mutate(RETRY, input),
    discard: (messageIds, reason = 'given up') => mutate(DISCARD, { messageIds, reason }),
    start: (from) => mutate(START, { from }),
    watch: (repositoryId) => mutate(WATCH, { repositoryId }),
    unwatch: (repositoryId) => mutate(UNWATCH, { repositoryId }),
    async repositories(filter) {
      const data = await run(
        `query($filter: WebhookMessageFilter) { webhookInbox(filter: $filter) {
           repositories(first: 100) { nodes {
             repositoryId repository { id fullName } permission permissionsCheckedAt isWatched
             ${COUNTS} } } } }`,
        { filter },
      );
      const rows = data.webhookInbox.repositories.nodes;
      return new Map(
        rows.map((row: { repository: { fullName: string } | null; repositoryId: string }) => [
          row.repository?.fullName ?? row.repositoryId,
          row,
        ]),
      );
    },
    counts: async (filter) =>
      (
        await run(
          `query($filter: WebhookMessageFilter) { webhookInbox(filter: $filter) {
             ${COUNTS} } }`,
          { filter },
        )
      ).webhookInbox,
    async states() {
      const data = await run(
        '{ webhookMessages(last: 100) { nodes { id inboxState attempts } } }',
        {},
      );
      return new Map(data.webhookMessages.nodes.map((node: { id: string }) => [node.id, node]));
    },
  };
}

/** An account of a test's own, without any grant. */
export async function addUser({ app }: Pick<TestNaru, 'app'>): Promise<{
  readonly userId: string;
  readonly username: string;
  readonly token: string;
}> {
  const userId = newId();
  const username = `user-${userId}`;
  await app.prisma.user.create({
    data: { id: userId, username, displayName: username, roles: ['USER'] },
  });
  const { token } = await issueToken(app, { username, expiresInDays: 366 });
  return { userId, username, token };
}

export interface StoredWebhook {
  readonly sourceId: string;
  /** The provider's id; without one the message belongs to no repository. */
  readonly repository?: number;
  readonly event?: string;
  readonly bytes?: number;
  readonly receivedAt?: Date;
  /** What the body says beside what its event needs. */
  readonly payload?: Readonly<Record<string, unknown>>;
}

const BODIES: ReadonlyMap<string, object> = new Map(Object.entries(GITHUB_BODIES));

/** Stores webhooks in this order, as the projector does; answers with the rows' ids. */
export async function storeWebhooks(
  { app }: Pick<TestNaru, 'app'>,
  webhooks: readonly StoredWebhook[],
): Promise<string[]> {
  const entries = webhooks.map((webhook, index) => {
    const { repository, event = 'push', bytes = 100, receivedAt = new Date() } = webhook;
    const body = JSON.stringify({
      ...BODIES.get(event),
      repository:
        repository === undefined ? {} : { id: repository, full_name: `test/${repository}` },
      ...webhook.payload,
    });
    const payload: WebhookReceived = {
      messageId: newId(),
      sourceId: webhook.sourceId,
      provider: 'GITHUB',
      verification: 'VERIFIED',
      path: 'test',
      method: 'POST',
      headers: [{ name: 'x-github-event', value: event }],
      contentType: 'application/json',
      deliveryId: null,
      receivedAt: receivedAt.toISOString(),
    };
    return {
      id: payload.messageId,
      key: '',
      payload,
      attachment: Buffer.from(body.padEnd(bytes)),
      place: { incarnation: '', sequence: BigInt(index) },
      publishedAt: new Date(),
    };
  });
  await projectWebhooks(app, entries);
  return entries.map(({ id }) => id);
}

/** Moves the database's clock on; never back. */
export async function passTime({ app }: Pick<TestNaru, 'app'>, seconds: number): Promise<void> {
  await app.database.query(
    `INSERT INTO clock_offset ("offset") VALUES (make_interval(secs => $1))
     ON CONFLICT (singleton) DO UPDATE SET "offset" = clock_offset."offset" + excluded."offset"`,
    [seconds],
  );
}

/** Retention as if these were the settings. */
export function prune(
  { app }: Pick<TestNaru, 'app'>,
  limits: { readonly retainDays?: number; readonly retainBytes?: number },
): Promise<void> {
  const { retainDays = 36_500, retainBytes = Number.MAX_SAFE_INTEGER } = limits;
  const config = { ...app.config, webhookRetainDays: retainDays, webhookRetainBytes: retainBytes };
  return pruneWebhooks({ ...app, config });
}

/** What a request of this token acts in, for a caller inside the process. */
export async function contextFor(
  { app }: Pick<TestNaru, 'app'>,
  token: string,
  isGone = () => false,
) {
  return createContext(app, {
    requestId: 'test',
    credential: await readAuthorization(`Bearer ${token}`, app.accessTokens),
    client: { ipAddress: '127.0.0.1', userAgent: null },
    isGone,
    setSessionCookie: null,
    idempotencyKey: null,
    notes: { headers: {}, extensions: {} },
  });
}
