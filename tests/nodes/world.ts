// Two API nodes as operators run them, on servers of their own that can be killed.
import { mkdirSync } from 'node:fs';
import pg from 'pg';
import { createToken, hashToken } from '#auth/tokens.ts';
import { newId } from '#lib/ids.ts';
import { anyPorts } from '../../embedded/ports.ts';
import type { EmbeddedServer } from '../../embedded/server.ts';
import { type ApiNode, createApiNode } from '../../proof/api-node.ts';
import { startTestNats, startTestPostgres, testFolder, testRedisUrl } from '../support/servers.ts';

export type BusKind = 'jetstream' | 'postgres';

export interface NodesWorld {
  readonly bus: BusKind;
  /** The first leads everything: it was there before the second. */
  readonly nodes: readonly [ApiNode, ApiNode];
  readonly postgres: EmbeddedServer;
  /** Null on the PostgreSQL bus. */
  readonly nats: EmbeddedServer | null;
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** A new account that may read `github`, and its token. */
  addReader(username: string): Promise<string>;
  close(): Promise<void>;
}

export async function startNodes(
  bus: BusKind,
  settings: Readonly<Record<string, string>> = {},
): Promise<NodesWorld> {
  const folder = testFolder();
  mkdirSync(folder, { recursive: true });
  const [postgres, nats] = await Promise.all([
    startTestPostgres(),
    bus === 'jetstream' ? startTestNats() : null,
  ]);
  const redis = testRedisUrl();
  const environment = {
    // Room for as many sign-ins at once as any test sends, on a machine of any size.
    PASSWORD_HASHES_AT_ONCE: '32',
    // No limit on what one client may ask: that is tested by itself.
    COST_PER_MINUTE: '0',
    GUEST_COST_PER_MINUTE: '0',
    WEBHOOKS_PER_MINUTE_SOURCE: '0',
    WEBHOOKS_PER_MINUTE_NETWORK: '0',
    NODE_ENV: 'development',
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    REDIS_KEY_PREFIX: redis.keyPrefix,
    ...(nats && { NATS_URL: nats.url }),
    LOG_LEVEL: 'info',
    ...settings,
  };
  const faults: string[] = [];
  const createNode = async (name: string) => {
    const port = await anyPorts.choose(name, 0);
    const onFault = (fault: string) => void faults.push(fault);
    return createApiNode({ name, port, folder, environment, onFault });
  };
  const nodes = [await createNode('node-1'), await createNode('node-2')] as const;
  for (const node of nodes) await node.start();
  const query = async <Row extends object>(text: string, values: readonly unknown[] = []) => {
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    try {
      return (await client.query<Row>(text, [...values])).rows;
    } finally {
      await client.end();
    }
  };
  return {
    bus,
    nodes,
    postgres,
    nats,
    query,
    async addReader(username) {
      const token = createToken('personalAccessToken');
      const userId = newId();
      await query(
        `WITH account AS (
           INSERT INTO users (id, username, display_name, roles) VALUES ($1, $2, $2, '{USER}')
         ), granted AS (
           INSERT INTO webhook_source_grant (id, source_id, user_id)
           SELECT $3, id, $1 FROM webhook_source WHERE path = 'github'
         )
         INSERT INTO personal_access_token (id, user_id, name, token_hash, scopes, expires_at)
         VALUES ($4, $1, 'test', $5, '{webhooks:read}', now() + interval '1 day')`,
        [userId, username, newId(), newId(), hashToken(token)],
      );
      return token;
    },
    async close() {
      await Promise.all(nodes.map((node) => node.kill()));
      await Promise.all([postgres.stop(), nats?.stop()]);
      if (faults.length > 0) throw new Error(faults.join('; '));
    },
  };
}
