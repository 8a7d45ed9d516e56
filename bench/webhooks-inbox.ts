// Pulls of a hundred with their acknowledgements, a worker a user: by the rule alone, through GraphQL over HTTP, and
// from a queue of the kind that is usually written by hand, with a row for each message and user.
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import type { App } from '#context.ts';
import { issueToken } from '#resolvers/users/personal-access-token.ts';
import { pullMessages } from '#resolvers/webhooks/inbox/pull.ts';
import { ackReceipts } from '#resolvers/webhooks/inbox/settle.ts';
import { createServer } from '#server.ts';
import { storeBroker, usernameOf } from '../proof/broker-rows.ts';
import { contextFor, createInboxClient } from '../tests/support/inbox.ts';
import { median, printTable, spread } from './table.ts';
import { createBenchWorld } from './world.ts';

interface InboxOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly messages: number;
}

const USERS = 4;
const REPOSITORIES = 100;
const LIMIT = 100;
const LEASE_SECONDS = 60;

/** How one worker of one user is served: what a pull gave is shown to the acknowledgement. */
interface Contender {
  readonly title: string;
  pull(user: number): Promise<readonly string[]>;
  ack(user: number, held: readonly string[]): Promise<number>;
}

interface Round {
  readonly perSecond: number;
  readonly pullsMs: readonly number[];
  readonly acksMs: readonly number[];
}

export async function benchInbox({ rounds, seconds, messages }: InboxOptions): Promise<void> {
  const world = await createBenchWorld();
  await world.stopNode();
  const app = await createApp(parseConfig({ ...world.environment, PORT: '0' }), {
    runsJobs: false,
  });
  const server = await createServer(app);
  const url = await server.listen();
  try {
    await storeBroker(world.environment['DATABASE_URL'] ?? '', {
      users: USERS,
      repositories: REPOSITORIES,
      messages,
      seed: 1,
    });
    await storeQueue(app, messages);
    const tokens = await Promise.all(
      users().map((user) => issueToken(app, { username: usernameOf(user), expiresInDays: 1 })),
    );
    const tokenOf = (user: number) => tokens[user - 1]?.token ?? '';
    const contenders = [byRule(app, tokenOf), byDoor(url, tokenOf), byQueue(app)];
    const measured = new Map<Contender, Round[]>(contenders.map((one) => [one, []]));
    // The first round warms up.
    for (let round = -1; round < rounds; round += 1) {
      for (const one of contenders) {
        const found = await work(one, round < 0 ? Math.min(1, seconds) : seconds);
        if (round >= 0) measured.get(one)?.push(found);
      }
    }
    console.log(
      `\ninbox, ${USERS} users with a worker each, ${REPOSITORIES} repositories, ${messages} messages, ${rounds} rounds of ${seconds} s\n`,
    );
    print(measured);
  } finally {
    await server.close();
    await app.close();
    await world.close();
  }
}

function print(measured: ReadonlyMap<Contender, readonly Round[]>): void {
  const rateOf = (found: readonly Round[]) => median(found.map(({ perSecond }) => perSecond));
  const control = rateOf([...measured.values()].at(-1) ?? []);
  printTable(
    [
      'path',
      'messages/s (median)',
      'spread',
      'of the control',
      'pull p50 ms',
      'p99',
      'ack p50 ms',
      'p99',
    ],
    [...measured].map(([{ title }, found]) => {
      const of = (pick: (round: Round) => readonly number[], part: number) =>
        quantile(found.flatMap(pick), part).toFixed(1);
      return [
        title,
        rateOf(found).toFixed(0),
        spread(found.map(({ perSecond }) => perSecond)),
        `${((100 * rateOf(found)) / control).toFixed(0)} %`,
        of(({ pullsMs }) => pullsMs, 0.5),
        of(({ pullsMs }) => pullsMs, 0.99),
        of(({ acksMs }) => acksMs, 0.5),
        of(({ acksMs }) => acksMs, 0.99),
      ];
    }),
  );
}

async function work({ title, pull, ack }: Contender, seconds: number): Promise<Round> {
  const [pullsMs, acksMs]: [number[], number[]] = [[], []];
  let settled = 0;
  const from = performance.now();
  await Promise.all(
    users().map(async (user) => {
      while (performance.now() < from + seconds * 1_000) {
        const pulledAt = performance.now();
        const held = await pull(user);
        const heldAt = performance.now();
        if (held.length !== LIMIT) throw new Error(`${title}: a pull got ${held.length}`);
        const acknowledged = await ack(user, held);
        if (acknowledged !== LIMIT) throw new Error(`${title}: ${acknowledged} acknowledged`);
        pullsMs.push(heldAt - pulledAt);
        acksMs.push(performance.now() - heldAt);
        settled += acknowledged;
      }
    }),
  );
  return { perSecond: settled / ((performance.now() - from) / 1_000), pullsMs, acksMs };
}

function byRule(app: App, tokenOf: (user: number) => string): Contender {
  return {
    title: 'Naru, the rule alone',
    async pull(user) {
      const ctx = await contextFor({ app }, tokenOf(user));
      const input = { limit: LIMIT, leaseSeconds: LEASE_SECONDS, waitSeconds: 0, filter: {} };
      return (await pullMessages(ctx, input)).deliveries.map(({ receipt }) => receipt);
    },
    async ack(user, held) {
      const ctx = await contextFor({ app }, tokenOf(user));
      return (await ackReceipts(ctx, held)).messageIds.length;
    },
  };
}

function byDoor(url: string, tokenOf: (user: number) => string): Contender {
  return {
    title: 'Naru, GraphQL over HTTP',
    async pull(user) {
      const input = { limit: LIMIT, leaseSeconds: LEASE_SECONDS };
      const { deliveries } = await createInboxClient(url, tokenOf(user)).pull(input);
      return deliveries.map(({ receipt }) => receipt);
    },
    async ack(user, held) {
      const client = createInboxClient(url, tokenOf(user));
      return (await client.ack({ receipts: held })).acknowledged.length;
    },
  };
}

function byQueue({ database }: App): Contender {
  return {
    title: 'SELECT … FOR UPDATE SKIP LOCKED',
    async pull(user) {
      const rows = await database.query<{ position: string }>(
        `UPDATE bench_queue q SET due_at = now() + make_interval(secs => $2)
         FROM (
           SELECT position FROM bench_queue WHERE user_number = $1 AND due_at <= now()
           ORDER BY position LIMIT $3 FOR UPDATE SKIP LOCKED
         ) next
         WHERE q.user_number = $1 AND q.position = next.position
         RETURNING q.position, q.message_id, q.event_name`,
        [user, LEASE_SECONDS, LIMIT],
        'bench-queue-pull',
      );
      return rows.map(({ position }) => position);
    },
    async ack(user, held) {
      const rows = await database.query(
        `DELETE FROM bench_queue WHERE user_number = $1 AND position = ANY($2) AND due_at > now()
         RETURNING position`,
        [user, held],
        'bench-queue-ack',
      );
      return rows.length;
    },
  };
}

/** A row for each message and user: what Naru does without. */
async function storeQueue({ database }: App, messages: number): Promise<void> {
  await database.query(
    `CREATE TABLE bench_queue (
       user_number int, position bigint, message_id uuid NOT NULL, event_name text,
       due_at timestamptz NOT NULL DEFAULT '-infinity', PRIMARY KEY (user_number, position))`,
  );
  for (const user of users()) {
    await database.query(
      `INSERT INTO bench_queue (user_number, position, message_id, event_name)
       SELECT $1, n, gen_random_uuid(), 'push' FROM generate_series(1, $2::int) n`,
      [user, messages],
    );
  }
  await database.query('ANALYZE bench_queue');
}

function users(): number[] {
  return Array.from({ length: USERS }, (_, index) => index + 1);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}
