// A whole Naru in this process, with a large or a small past, whose pulls are timed.
import { setTimeout as delay } from 'node:timers/promises';
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import type { App } from '#context.ts';
import { issueToken } from '#resolvers/users/personal-access-token.ts';
import { pullMessages } from '#resolvers/webhooks/inbox/pull.ts';
import { ackReceipts } from '#resolvers/webhooks/inbox/settle.ts';
import { createServer } from '#server.ts';
import { contextFor, createInboxClient, type InboxClient } from '../tests/support/inbox.ts';
import { type BrokerSize, storeBroker, usernameOf } from './broker-rows.ts';

/** `lease`: the rule alone, in the process. `door`: as a client meets it, over HTTP with the messages' fields. */
export type PullWay = 'lease' | 'door' | 'ack';

/** In milliseconds. */
export type Samples = Record<PullWay, number[]>;

const LIMIT = 100;

export interface Broker {
  store(): Promise<void>;
  /** Two pulls of a hundred, one by each way, each acknowledged. Throws where one got less. */
  pull(user: number): Promise<Samples>;
  countRows(user: number): Promise<Record<string, number>>;
  countWhileAllWait(count: () => Promise<number>): Promise<number>;
  close(): Promise<void>;
}

export async function openBroker(
  environment: Readonly<Record<string, string>>,
  name: string,
  size: BrokerSize,
): Promise<Broker> {
  const app = await createApp(
    parseConfig({ ...environment, NATS_NAMESPACE: name, REDIS_KEY_PREFIX: `${name}:` }),
  );
  const server = await createServer(app);
  const url = await server.listen();
  const tokens = new Map<number, string>();
  const tokenOf = async (user: number) => {
    const known = tokens.get(user);
    if (known !== undefined) return known;
    const { token } = await issueToken(app, { username: usernameOf(user), expiresInDays: 1 });
    tokens.set(user, token);
    return token;
  };
  return {
    store: () => storeBroker(app.config.databaseUrl, size),
    async pull(user) {
      const token = await tokenOf(user);
      const rule = await pullByRule(app, token);
      const door = await pullByDoor(createInboxClient(url, token));
      return { lease: rule.pull, door: door.pull, ack: rule.ack };
    },
    countRows: (user) => countRows(app, user),
    async countWhileAllWait(count) {
      const everybody = Array.from({ length: size.users }, (_, index) => index + 1);
      const clients = await Promise.all(
        everybody.map(async (user) => createInboxClient(url, await tokenOf(user))),
      );
      const filter = { eventNames: ['no such event'] };
      const pulls = clients.map((client) => client.pull({ limit: 1, waitSeconds: 5, filter }));
      let most = 0;
      const all = Promise.all(pulls).then(() => 'answered' as const);
      // Until they have all been answered: whenever the reader is there, it is seen.
      for (;;) {
        most = Math.max(most, await count());
        if ((await Promise.race([all, delay(100, 'turn')])) === 'answered') return most;
      }
    },
    async close() {
      await server.close();
      await app.close();
    },
  };
}

interface Timed {
  readonly pull: number[];
  readonly ack: number[];
}

async function pullByRule(app: App, token: string): Promise<Timed> {
  const ctx = await contextFor({ app }, token);
  const input = { limit: LIMIT, leaseSeconds: 60, waitSeconds: 0, filter: {} };
  const from = performance.now();
  const { deliveries } = await pullMessages(ctx, input);
  const until = performance.now();
  const { messageIds } = await ackReceipts(
    ctx,
    deliveries.map(({ receipt }) => receipt),
  );
  requireAll(deliveries.length, messageIds.length);
  return { pull: [until - from], ack: [performance.now() - until] };
}

async function pullByDoor(client: InboxClient): Promise<Timed> {
  const from = performance.now();
  const { deliveries } = await client.pull({ limit: LIMIT, leaseSeconds: 60 });
  const until = performance.now();
  const { acknowledged } = await client.ack({ receipts: deliveries.map((one) => one.receipt) });
  requireAll(deliveries.length, acknowledged.length);
  return { pull: [until - from], ack: [performance.now() - until] };
}

function requireAll(pulled: number, acknowledged: number): void {
  if (pulled === LIMIT && acknowledged === LIMIT) return;
  throw new Error(`A pull of ${LIMIT} got ${pulled}, of which ${acknowledged} were acknowledged`);
}

const TABLES_OF_USERS = `
  SELECT table_name AS name FROM information_schema.columns
  WHERE column_name = 'user_id' AND table_schema = current_schema() ORDER BY 1`;

/** Every row that names the user, whatever table it is in. */
async function countRows({ database }: App, user: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = { users: 1 };
  for (const { name } of await database.query<{ name: string }>(TABLES_OF_USERS)) {
    const [row] = await database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM ${name}
       WHERE user_id = (SELECT id FROM users WHERE username = $1)`,
      [usernameOf(user)],
    );
    if (row !== undefined && row.count > 0) counts[name] = row.count;
  }
  return counts;
}
