// What the proof kills: PostgreSQL, NATS and two API nodes, on ports and data that outlive a kill.
import { mkdirSync } from 'node:fs';
import pg from 'pg';
import { createDatabase } from '#database/client.ts';
import { createPrisma } from '#database/prisma.ts';
import { issueToken } from '#resolvers/users/personal-access-token.ts';
import { startNats } from '../embedded/nats.ts';
import { anyPorts } from '../embedded/ports.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { startRedis } from '../embedded/redis.ts';
import type { EmbeddedServer } from '../embedded/server.ts';
import { createApiNode } from './api-node.ts';

export type BusKind = 'jetstream' | 'postgres';

/** Something that can be killed and brought back on the same data. */
export interface Victim {
  readonly name: string;
  kill(): Promise<void>;
  start(): Promise<void>;
}

type VictimKind = readonly [Victim, ...Victim[]];

export interface World {
  readonly nodeUrls: readonly [string, string];
  /** By kind, so that each kind is killed as often as the others. */
  readonly victims: readonly [VictimKind, ...VictimKind[]];
  /** Tokens of two accounts that may pull everything. */
  readonly tokens: Readonly<Record<'alice' | 'bob', string>>;
  readonly databaseUrl: string;
  /** Of an account that is there, to read and pull. */
  issueToken(username: string): Promise<string>;
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly folder: string;
  readonly bus: BusKind;
  readonly postgresBinFolder: string | undefined;
  readonly onFault: (fault: string) => void;
  /** Of both API nodes, beside what every proof needs. */
  readonly settings?: Readonly<Record<string, string>>;
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const { folder, bus, onFault, postgresBinFolder: binFolder } = options;
  mkdirSync(folder, { recursive: true });
  const place = { folder, ports: anyPorts };
  // Durable: what PostgreSQL has committed must be there after its kill because it was synced.
  const [postgres, redis, nats] = await Promise.all([
    startPostgres({ ...place, binFolder, durable: true }),
    startRedis(place),
    bus === 'jetstream' ? startNats(place) : null,
  ]);
  if (bus === 'jetstream' && nats === null) throw new Error('No nats-server on PATH');
  const environment = {
    // No limit on what one client may ask: that is tested by itself.
    COST_PER_MINUTE: '0',
    GUEST_COST_PER_MINUTE: '0',
    WEBHOOKS_PER_MINUTE_SOURCE: '0',
    WEBHOOKS_PER_MINUTE_NETWORK: '0',
    NODE_ENV: 'development',
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    ...(nats && { NATS_URL: nats.url }),
    WEBHOOK_BODY_BYTES_MAX: String(4 * 2 ** 20),
    LOG_LEVEL: 'info',
    ...options.settings,
  };
  const createNode = async (name: string) =>
    createApiNode({ name, folder, environment, onFault, port: await anyPorts.choose(name, 0) });
  const nodes = [await createNode('api-1'), await createNode('api-2')] as const;
  await Promise.all(nodes.map((node) => node.start()));

  const database = postgres.url;
  const query = async <Row extends object>(text: string, values: readonly unknown[] = []) => {
    const client = new pg.Client({ connectionString: database });
    await client.connect();
    try {
      return (await client.query<Row>(text, [...values])).rows;
    } finally {
      await client.end();
    }
  };
  await query(
    `INSERT INTO webhook_source_grant (id, source_id, user_id)
     SELECT gen_random_uuid(), s.id, u.id FROM webhook_source s, users u
     WHERE s.path = 'github' AND u.username = 'bob'`,
  );
  return {
    nodeUrls: [nodes[0].url, nodes[1].url],
    victims: [
      nodes,
      [serverVictim('postgres', postgres)],
      ...(nats ? ([[serverVictim('nats', nats)]] as const) : []),
    ],
    tokens: await issueTokens(database, ['alice', 'bob']),
    databaseUrl: database,
    issueToken: async (username) => (await issueTokens(database, [username]))[username] ?? '',
    query,
    async close() {
      await Promise.all(nodes.map((node) => node.kill()));
      await Promise.all([redis.stop(), nats?.stop()]);
      await postgres.stop();
    },
  };
}

/** A server is killed only when it is up: what it does while it recovers is not ours to prove. */
function serverVictim(name: string, { kill, restart }: EmbeddedServer): Victim {
  let starting = Promise.resolve();
  return {
    name,
    async kill() {
      await starting;
      await kill();
    },
    start() {
      starting = restart();
      return starting;
    },
  };
}

async function issueTokens<Username extends string>(
  databaseUrl: string,
  usernames: readonly Username[],
): Promise<Readonly<Record<Username, string>>> {
  const database = createDatabase({
    connectionString: databaseUrl,
    poolMax: 2,
    onIdleError: () => {},
  });
  const prisma = createPrisma(database);
  const issue = async (username: Username) => {
    const scopes = ['webhooks:read', 'webhooks:pull'] as const;
    const { token } = await issueToken(
      { database, prisma },
      { username, scopes, expiresInDays: 1 },
    );
    return [username, token] as const;
  };
  try {
    const tokens = [];
    for (const username of usernames) tokens.push(await issue(username));
    return Object.fromEntries(tokens) as Record<Username, string>;
  } finally {
    await prisma.$disconnect();
    await database.close();
  }
}
