import { createAccessTokens } from '#auth/access-tokens.ts';
import { createPasswords } from '#auth/passwords.ts';
import type { Config } from '#config.ts';
import type { App, Services } from '#context.ts';
import { createDatabase } from '#database/client.ts';
import { migrate } from '#database/migrate.ts';
import { createPrisma } from '#database/prisma.ts';
import { createCursorCodec } from '#feeds/cursor.ts';
import { createFeedHub } from '#feeds/hub.ts';
import { startJobs } from '#jobs/runner.ts';
import { deriveKey } from '#lib/derive-key.ts';
import { createLog, type Log } from '#log.ts';
import { createMetrics } from '#metrics.ts';
import { createGitHub } from '#outbound/github.ts';
import { createGuard } from '#outbound/guard.ts';
import { createMailer } from '#outbound/mail.ts';
import type { Bus } from '#pubsub/bus.ts';
import { createJetStreamBus } from '#pubsub/jetstream.ts';
import { startOutboxRelay } from '#pubsub/outbox-relay.ts';
import { createPostgresBus } from '#pubsub/postgres.ts';
import { createPostgresSession } from '#pubsub/postgres-session.ts';
import { webhookStored } from '#pubsub/topics/webhooks.ts';
import { topics } from '#pubsub/topics.ts';
import { createRedis } from '#redis/client.ts';
import { createQuotas } from '#redis/quota.ts';
import { createRateLimiter } from '#redis/rate-limit.ts';
import { openRooms } from '#resolvers/rooms/services.ts';
import { CREDENTIAL_LIMITS } from '#resolvers/users/credential-limits.ts';
import { createEndedFinder } from '#resolvers/users/ended-credentials.ts';
import { loadSigningKeys } from '#resolvers/users/signing-key.ts';
import { createUserLoader } from '#resolvers/users/user-loader.ts';
import { createAuthenticator } from '#resolvers/users/viewer.ts';
import {
  createDecisionLoader,
  createDueLoader,
  createSourceLoader,
} from '#resolvers/webhooks/access.ts';
import { createWebhookFeed } from '#resolvers/webhooks/feed.ts';
import { createReceiptCodec } from '#resolvers/webhooks/inbox/receipt.ts';
import { createPermissionNews } from '#resolvers/webhooks/permissions/news.ts';
import { createPermissions } from '#resolvers/webhooks/permissions/refresh.ts';
import { createSourceDirectory, ensureGitHubSource } from '#resolvers/webhooks/source.ts';

export interface AppOptions {
  readonly log?: Log;
  /** Without jobs nothing is projected: for a node that only answers, and for tools. */
  readonly runsJobs?: boolean;
}

/**
 * Opens everything a node stands on, migrates, and starts the jobs. Whatever was opened is closed
 * again when a later step fails.
 */
export async function createApp(config: Config, options: AppOptions = {}): Promise<App> {
  const log = options.log ?? createLog(config.logLevel);
  const closers: (() => Promise<unknown>)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) {
      await close().catch((error: unknown) => log.error({ err: error }, 'Closing failed'));
    }
  };

  try {
    if (config.mode === 'production' && !config.publicUrl.startsWith('https://')) {
      log.warn('PUBLIC_URL is no https:// URL: passwords and cookies can be read on the way');
    }
    const metrics = createMetrics();
    await migrate(config.databaseUrl);
    const database = createDatabase({
      connectionString: config.databaseUrl,
      poolMax: config.databasePoolMax,
      onIdleError: (error) => log.warn({ err: error }, 'A connection to PostgreSQL was lost'),
    });
    closers.push(() => database.close());
    const prisma = createPrisma(database);
    closers.push(() => prisma.$disconnect());
    const redis = createRedis({
      url: config.redisUrl,
      keyPrefix: config.redisKeyPrefix,
      onError: (error) => log.warn({ err: error }, 'Redis is away'),
    });
    closers.push(async () => redis.disconnect());
    const bus = await openBus(config, log, database.pool);
    closers.push(() => bus.close());

    const session = createPostgresSession(config.databaseUrl, log);
    closers.push(() => session.close());
    const cursors = createCursorCodec(deriveKey(config.secretKey, 'cursor'));
    const webhookFeed = createFeedHub({
      feed: createWebhookFeed(database),
      topic: webhookStored,
      bus,
      cursors,
      onError: (error) => log.warn({ err: error }, 'Following webhooks was interrupted'),
    });
    closers.push(() => webhookFeed.close());
    const permissionNews = createPermissionNews({
      bus,
      isAsked: config.github.client !== null,
      onError: (error) => log.warn({ err: error }, 'News of permissions were interrupted'),
    });
    closers.push(() => permissionNews.close());
    const guard = createGuard({
      onCall: (who, outcome) => metrics.outboundCalls.inc({ who, outcome }),
    });
    const { rooms, close: closeRooms } = openRooms({
      config,
      database,
      bus,
      redis,
      cursors,
      guard,
      metrics,
      onError: (error) => log.warn({ err: error }, 'Following rooms was interrupted'),
    });
    closers.push(closeRooms);
    const passwords = createPasswords({
      hashesAtOnce: config.passwordHashesAtOnce,
      onHash: (kind, seconds) => metrics.passwordHashSeconds.observe({ kind }, seconds),
      onOverflow: () => metrics.passwordOverflows.inc(),
    });
    closers.push(() => passwords.close());
    const mailer = createMailer(config, log);
    const github = createGitHub(config.github, { guard });
    const services: Services = {
      ...rooms,
      config,
      log,
      metrics,
      database,
      prisma,
      redis,
      bus,
      session,
      receipts: createReceiptCodec(deriveKey(config.secretKey, 'receipt')),
      webhookFeed,
      loadUser: createUserLoader(database),
      webhookSources: createSourceDirectory(database, config, ({ sourceId, what }) =>
        log.warn({ sourceId, what }, 'A webhook source cannot be verified as it is stored'),
      ),
      loadDecision: createDecisionLoader(database),
      loadSources: createSourceLoader(database),
      loadIsDue: createDueLoader(database),
      permissionNews,
      authenticate: createAuthenticator(database, config),
      findEnded: createEndedFinder(database, config),
      accessTokens: await createAccessTokens({
        issuer: config.publicUrl,
        loadKeys: () => loadSigningKeys(database, config),
      }),
      passwords,
      quotas: createQuotas(redis),
      credentialLimiter: createRateLimiter(redis, CREDENTIAL_LIMITS),
      mailer,
      github,
      permissions: createPermissions({ config, database, github, log, redis, session }),
    };
    await ensureGitHubSource(database, config);
    await services.webhookSources.refresh();
    if (options.runsJobs !== false) {
      const relay = startOutboxRelay({ query: database.query, session, bus, topics, log });
      closers.push(() => relay.close());
      const jobs = startJobs(services);
      closers.push(() => jobs.close());
    }
    // Before the jobs: what hangs on a mail server is tried again rather than waited for.
    closers.push(() => mailer.close());
    return { ...services, close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function openBus(
  config: Config,
  log: Log,
  pool: Parameters<typeof createPostgresBus>[0]['pool'],
): Promise<Bus> {
  if (config.natsUrl !== null) {
    return createJetStreamBus({
      url: config.natsUrl,
      log,
      topics,
      namespace: config.natsNamespace,
      replicas: config.natsReplicas,
    });
  }
  if (config.mode === 'production') {
    log.warn('NATS_URL is not set: the log is kept in PostgreSQL, which is meant for one node');
  }
  return createPostgresBus({ connectionString: config.databaseUrl, pool, log, topics });
}
