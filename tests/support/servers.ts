import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { inject } from 'vitest';
import { findNats, startNats } from '../../embedded/nats.ts';
import { anyPorts } from '../../embedded/ports.ts';
import { startPostgres } from '../../embedded/postgres.ts';
import { findRedis, startRedis } from '../../embedded/redis.ts';
import type { EmbeddedServer } from '../../embedded/server.ts';

export interface TestRedis {
  readonly url: string;
  /** Unique; the server is shared by all test files. */
  readonly keyPrefix: string;
}

export function testRedisUrl(): TestRedis {
  return { url: inject('redisUrl'), keyPrefix: `test:${randomUUID()}:` };
}

/** The shared NATS; only after `requireServer('nats-server')` said yes. */
export function testNatsUrl(): string {
  const url = inject('natsUrl');
  if (url === null) throw new Error('No nats-server runs: guard this suite with requireServer.');
  return url;
}

/**
 * For `describe.skipIf(!requireServer(...))`. In CI nothing is skipped: there an absent server is
 * an error.
 */
export function requireServer(name: 'nats-server' | 'redis-server'): boolean {
  const found = name === 'nats-server' ? findNats() : findRedis();
  if (found === null && process.env['CI']) throw new Error(`CI needs a ${name} on PATH.`);
  return found !== null;
}

/** An empty folder that goes with the test run. */
export function testFolder(): string {
  return path.join(inject('runFolder'), randomUUID());
}

/**
 * A private PostgreSQL to kill and restart; `url` leads to an empty database. Stop it in
 * `afterAll`.
 */
export function startTestPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<EmbeddedServer> {
  const binFolder = process.env['NARU_POSTGRES_BIN'];
  return startPostgres({
    folder: testFolder(),
    ports: anyPorts,
    durable: false,
    binFolder,
    settings,
  });
}

export function startTestRedis(): Promise<EmbeddedServer> {
  return startRedis({
    folder: testFolder(),
    ports: anyPorts,
    forceJs: process.env['NARU_EMBEDDED_REDIS'] === 'js',
  });
}

/** A private NATS; only after `requireServer('nats-server')` said yes. */
export async function startTestNats(): Promise<EmbeddedServer> {
  const server = await startNats({ folder: testFolder(), ports: anyPorts });
  if (server === null) throw new Error('No nats-server: guard this suite with requireServer.');
  return server;
}
