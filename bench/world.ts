import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp } from '#app.ts';
import { parseConfig } from '#config.ts';
import { issueToken } from '#resolvers/users/personal-access-token.ts';
import { createServer } from '#server.ts';
import { startNats } from '../embedded/nats.ts';
import { anyPorts } from '../embedded/ports.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { startRedis } from '../embedded/redis.ts';
import { seed } from '../prisma/seed.ts';

export const SECRET = 'bench-secret';

/** Servers of the bench's own, durable as in production, with a token of alice's and some webhooks. */
export async function createBenchWorld(options: { webhooks?: number; withNats?: boolean } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'naru-bench-'));
  const place = { folder, ports: anyPorts };
  const postgres = await startPostgres(place);
  const redis = await startRedis(place);
  const nats = options.withNats ? await startNats(place) : null;
  const environment: Record<string, string> = {
    NODE_ENV: 'development',
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    GITHUB_WEBHOOK_SECRET: SECRET,
    LOG_LEVEL: 'error',
    // What is measured is what the server can do, not what one client may.
    COST_PER_MINUTE: '1000000000',
    GUEST_COST_PER_MINUTE: '1000000000',
    WEBHOOKS_PER_MINUTE_SOURCE: '100000000',
    WEBHOOKS_PER_MINUTE_NETWORK: '100000000',
    ...(nats !== null && { NATS_URL: nats.url }),
  };
  const app = await createApp(parseConfig({ ...environment, PORT: '0' }));
  await seed(app);
  const { token } = await issueToken(app, { username: 'alice', expiresInDays: 1 });
  const server = await createServer(app);
  const url = await server.listen();
  for (let index = 0; index < (options.webhooks ?? 0); index += 1) await post(url, index);

  const ask = async (body: string, headers: Record<string, string>) => {
    const response = await fetch(`${url}/graphql`, { method: 'POST', body, headers });
    return response.json();
  };
  while (options.webhooks && (await app.webhookFeed.readHead('')).head < options.webhooks) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    folder,
    environment,
    database: app.database,
    postgres,
    redis,
    nats,
    token,
    url,
    ask,
    /** Tokens of seeded accounts, each of which may read what comes in: one account may open so many streams a minute. */
    async addReaders(): Promise<string[]> {
      await app.database.query(
        `INSERT INTO webhook_source_grant (id, source_id, role)
         SELECT gen_random_uuid(), id, 'USER' FROM webhook_source WHERE path = 'github'`,
      );
      const usernames = ['alice', 'bob', 'oscar', 'audrey', 'admin'];
      const issued = usernames.map((username) => issueToken(app, { username, expiresInDays: 1 }));
      return (await Promise.all(issued)).map(({ token: one }) => one);
    },
    /** Leaves the servers alone: for scenarios whose nodes are processes of their own. */
    async stopNode() {
      await server.close();
      await app.close();
    },
    async close() {
      await server.close();
      await app.close();
      await Promise.all([postgres.stop(), redis.stop(), nats?.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function post(url: string, index: number): Promise<void> {
  const body = JSON.stringify({
    action: 'opened',
    ref: 'refs/heads/main',
    repository: { id: 1, full_name: 'octocat/Hello.World' },
    sender: { login: 'octocat' },
    index,
  });
  const signature = createHmac('sha256', SECRET).update(body).digest('hex');
  await fetch(`${url}/webhook/github`, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'push',
      'x-github-delivery': String(index),
      'x-hub-signature-256': `sha256=${signature}`,
    },
  });
}
