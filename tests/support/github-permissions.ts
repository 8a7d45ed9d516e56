// GitHub, PostgreSQL, and nodes that ask the one and write into the other, without the doors above them.
import { randomUUID } from 'node:crypto';
import { parseConfig } from '#config.ts';
import { createDatabase, type Database } from '#database/client.ts';
import { newId } from '#lib/ids.ts';
import { createLog } from '#log.ts';
import { createGitHub } from '#outbound/github.ts';
import { createGuard } from '#outbound/guard.ts';
import { createPostgresSession } from '#pubsub/postgres-session.ts';
import { createRedis, type RedisClient } from '#redis/client.ts';
import { storeLink, takeLink } from '#resolvers/users/github-link.ts';
import { DECIDE } from '#resolvers/webhooks/access-sql.ts';
import { fencePermissions } from '#resolvers/webhooks/permissions/fence.ts';
import type { PermissionEvent } from '#resolvers/webhooks/permissions/permission-event.ts';
import { createPermissions, type Permissions } from '#resolvers/webhooks/permissions/refresh.ts';
import { passTime } from './accounts.ts';
import { createTestDatabase } from './database.ts';
import { type GitHubStandIn, type StandInOptions, startGitHub } from './github.ts';
import { until } from './graphql-client.ts';
import { testRedisUrl } from './servers.ts';

export interface PermissionWorld {
  readonly database: Database;
  readonly redis: RedisClient;
  readonly gitHub: GitHubStandIn;
  /** Two of them, which share nothing but PostgreSQL, Redis and GitHub. */
  readonly nodes: readonly [Permissions, Permissions];
  /** A user with a linked account of this number at GitHub; its id. */
  addUser(githubId: number): Promise<string>;
  link(userId: string, githubId: number): Promise<void>;
  unlink(userId: string): Promise<void>;
  /** Makes a repository at GitHub that is known here as well; its id here. */
  addRepository(id: number, ownerId?: number, isPrivate?: boolean): Promise<string>;
  watch(userId: string, repository: number, isWatched?: boolean): Promise<void>;
  /** What counts for the user at this moment. */
  decide(userId: string, repository: number): Promise<string>;
  /** A batch of GitHub's webhooks is projected. */
  fence(events: readonly PermissionEvent[]): Promise<void>;
  /** What was announced since this was called last, as `+7` and `-7`. */
  takeNews(userId: string): Promise<string[]>;
  passTime(seconds: number): Promise<void>;
  close(): Promise<void>;
}

export async function createPermissionWorld(
  options: Partial<StandInOptions> = {},
): Promise<PermissionWorld> {
  const place = await createTestDatabase();
  const gitHub = await startGitHub({ publicUrl: 'https://naru.test', ...options });
  const redisPlace = testRedisUrl();
  const config = parseConfig({
    NODE_ENV: 'test',
    DATABASE_URL: place.url,
    REDIS_URL: redisPlace.url,
    ...gitHub.settings,
  });
  const log = createLog('silent');
  const database = createDatabase({
    connectionString: place.url,
    poolMax: 10,
    onIdleError: () => {},
  });
  const redis = createRedis({ ...redisPlace, onError: () => {} });
  const session = createPostgresSession(place.url, log);
  const createNode = () => {
    const github = createGitHub(config.github, { guard: createGuard() });
    return createPermissions({ config, database, github, log, redis, session });
  };
  const sourceId = newId();
  await database.query(
    `INSERT INTO webhook_source (id, path, provider) VALUES ($1, 'github', 'GITHUB')`,
    [sourceId],
  );
  const repositoryIds = new Map<number, string>();
  const idOf = (repository: number) => repositoryIds.get(repository) ?? randomUUID();
  await until(() => redis.status === 'ready');

  const world: PermissionWorld = {
    database,
    redis,
    gitHub,
    nodes: [createNode(), createNode()],
    async addUser(githubId) {
      const userId = newId();
      await database.query(
        `INSERT INTO users (id, username, display_name, roles) VALUES ($1::uuid, $1::text, 'x', '{USER}')`,
        [userId],
      );
      await world.link(userId, githubId);
      return userId;
    },
    async link(userId, githubId) {
      gitHub.put({ id: githubId, login: `person-${githubId}` });
      const tokens = { ...gitHub.giveTokens(githubId), ...LASTING };
      const person = { githubId: BigInt(githubId), login: 'x', name: null, avatarUrl: null };
      await database.transaction((sql) => storeLink({ config }, sql, { userId, person, tokens }));
    },
    async unlink(userId) {
      await database.transaction((sql) => takeLink({ config }, sql, userId));
    },
    async addRepository(id, ownerId = 1, isPrivate = true) {
      gitHub.repositories.put({ id, fullName: `acme/${id}`, ownerId, isPrivate });
      const known = newId();
      await database.query(
        `INSERT INTO webhook_repository (id, source_id, provider_id, full_name, github_id)
         VALUES ($1, $2, $3::text, 'acme/' || $3::text, $3::bigint)`,
        [known, sourceId, id],
      );
      repositoryIds.set(id, known);
      return known;
    },
    async watch(userId, repository, isWatched = true) {
      await database.query(
        `INSERT INTO webhook_repository_watch (user_id, repository_id, is_watched)
         VALUES ($1, $2, $3)
         ON CONFLICT (user_id, repository_id) DO UPDATE SET is_watched = excluded.is_watched`,
        [userId, idOf(repository), isWatched],
      );
    },
    async decide(userId, repository) {
      const [row] = await database.query<{ permission: string }>(DECIDE, [
        [userId],
        [sourceId],
        [idOf(repository)],
      ]);
      return row?.permission ?? 'NOTHING';
    },
    fence: (events) => database.transaction((sql) => fencePermissions(sql, events)),
    async takeNews(userId) {
      const numbers = new Map([...repositoryIds].map(([number, id]) => [id, number]));
      const rows = await database.query<{ payload: News }>(
        'DELETE FROM outbox WHERE key = $1 RETURNING payload',
        [userId],
      );
      const changes = rows.flatMap(({ payload }) => payload.changes);
      return changes
        .map(
          ({ repositoryId, isAllowed }) => `${isAllowed ? '+' : '-'}${numbers.get(repositoryId)}`,
        )
        .toSorted();
    },
    passTime: (seconds) => passTime(database.query, seconds),
    async close() {
      await session.close();
      redis.disconnect();
      await database.close();
      await gitHub.close();
      await place.drop();
    },
  };
  return world;
}

interface News {
  readonly changes: readonly { readonly repositoryId: string; readonly isAllowed: boolean }[];
}

const LASTING = {
  expiresInSeconds: null,
  refreshToken: null,
  refreshExpiresInSeconds: null,
  showsPrivate: true,
};
