import { createHmac, randomUUID } from 'node:crypto';
import { createApp } from '#app.ts';
import { ALL_SCOPES, type Scope } from '#auth/scopes.ts';
import { DEVELOPMENT_WEBHOOK_SECRET, parseConfig } from '#config.ts';
import type { App } from '#context.ts';
import { createLog } from '#log.ts';
import { issueToken } from '#resolvers/users/personal-access-token.ts';
import { createServer, type Server, type ServerOptions } from '#server.ts';
import { seed } from '../../prisma/seed.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { until } from './graphql-client.ts';
import { testRedisUrl } from './servers.ts';

/** A whole Naru on a free port, with the seeds and a database of its own. */
export interface TestNaru {
  /** Of the server, e.g. `http://127.0.0.1:41234`. */
  readonly url: string;
  readonly app: App;
  readonly server: Server;
  readonly database: TestDatabase;
  /** A fresh token of a seeded account, with every scope unless told. */
  tokenFor(username: string, scopes?: readonly Scope[]): Promise<string>;
  /** Stops server and app, then drops the database; safe to call twice. */
  close(): Promise<void>;
}

export interface NaruOverrides {
  /** Settings as the environment would give them; they win over the helper's own. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Receives each line of the log, parsed. Without it nothing is logged. */
  readonly logTo?: (line: Record<string, unknown>) => void;
  readonly runsJobs?: boolean;
  readonly server?: ServerOptions;
  /** Stand on this database instead of a new one; it is then not dropped. */
  readonly database?: TestDatabase;
}

export async function startNaru(overrides: NaruOverrides = {}): Promise<TestNaru> {
  const { logTo, runsJobs = true } = overrides;
  const database = overrides.database ?? (await createTestDatabase());
  const redis = testRedisUrl();
  const config = parseConfig({
    NODE_ENV: 'test',
    HOST: '127.0.0.1',
    PORT: '0',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    REDIS_KEY_PREFIX: redis.keyPrefix,
    LOG_LEVEL: logTo === undefined ? 'silent' : 'debug',
    // Room for as many sign-ins at once as any test sends, on a machine of any size.
    PASSWORD_HASHES_AT_ONCE: '32',
    // Whoever tests these sets them: else a file of tests would be one busy viewer, and no answer equal to
    // another, since each says what is left.
    COST_PER_MINUTE: '0',
    GUEST_COST_PER_MINUTE: '0',
    WEBHOOKS_PER_MINUTE_SOURCE: '100000000',
    WEBHOOKS_PER_MINUTE_NETWORK: '100000000',
    ...overrides.settings,
  });
  const log = createLog(
    config.logLevel,
    logTo && { write: (text) => logTo(JSON.parse(text) as Record<string, unknown>) },
  );
  const app = await createApp(config, { log, runsJobs });
  await seed(app);
  // What is counted before Redis is connected is counted by this process alone, and then anew.
  if (overrides.settings?.['REDIS_URL'] === undefined) {
    await until(() => app.redis.status === 'ready');
  }
  const server = await createServer(app, overrides.server);
  const url = await server.listen();
  let closing: Promise<void> | null = null;
  const close = async () => {
    await server.close();
    await app.close();
    if (overrides.database === undefined) await database.drop();
  };
  return {
    url,
    app,
    server,
    database,
    async tokenFor(username, scopes = ALL_SCOPES) {
      const { token } = await issueToken(app, { username, scopes, expiresInDays: 366 });
      return token;
    },
    close: () => (closing ??= close()),
  };
}

/** A webhook as GitHub sends it, signed with the secret of the seeded source `github`. */
export function postGitHubWebhook(
  url: string,
  payload: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const body = JSON.stringify(payload);
  const digest = createHmac('sha256', DEVELOPMENT_WEBHOOK_SECRET).update(body).digest('hex');
  return fetch(`${url}/webhook/github`, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'push',
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': `sha256=${digest}`,
      ...headers,
    },
  });
}
