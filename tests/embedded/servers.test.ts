import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import { startNats } from '../../embedded/nats.ts';
import { claimPidFile, readLiveProcess, stopLeftovers } from '../../embedded/pid-file.ts';
import { anyPorts } from '../../embedded/ports.ts';
import { startPostgres } from '../../embedded/postgres.ts';
import { startRedis } from '../../embedded/redis.ts';
import type { EmbeddedServer } from '../../embedded/server.ts';
import { requireServer, testFolder } from '../support/servers.ts';

const servers: EmbeddedServer[] = [];
const binFolder = process.env['NARU_POSTGRES_BIN'];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});

async function start<Server extends EmbeddedServer | null>(
  starting: Promise<Server>,
): Promise<NonNullable<Server>> {
  const server = await starting;
  if (server === null) throw new Error('it is not installed');
  servers.push(server);
  return server;
}

describe('PostgreSQL', () => {
  test('a kill -9 in the middle of work loses no commit, and the next start is soon', async () => {
    const server = await start(startPostgres({ folder: testFolder(), ports: anyPorts, binFolder }));
    await query(server.url, 'CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id');
    const unfinished = query(server.url, 'INSERT INTO kept SELECT generate_series(1, 100000000)');
    const { url, pid } = server;
    await Promise.all([expect(unfinished).rejects.toThrow(), server.kill()]);
    await server.restart();
    expect(server.url).toBe(url);
    expect(server.pid).not.toBe(pid);
    expect(await query(url, 'SELECT count(*)::int FROM kept')).toEqual([{ count: 1000 }]);
  });

  test('starts where its lock names a process that is another program by now', async () => {
    const place = { folder: testFolder(), ports: anyPorts, binFolder };
    const first = await startPostgres(place);
    await first.stop();
    writeFileSync(path.join(place.folder, 'postgres', 'postmaster.pid'), `${process.pid}\n`);
    await start(startPostgres(place));
    expect(process.exitCode).toBeUndefined();
  });

  test('starts after a start that was cut short while it made the data folder', async () => {
    const place = { folder: testFolder(), ports: anyPorts, binFolder };
    const cut = new AbortController();
    const starting = startPostgres({ ...place, signal: cut.signal });
    cut.abort(new Error('enough'));
    await expect(starting).rejects.toThrow('enough');
    const half = path.join(place.folder, 'postgres.new');
    mkdirSync(half, { recursive: true });
    writeFileSync(path.join(half, 'PG_VERSION'), '18\n');
    const server = await start(startPostgres(place));
    expect(await query(server.url, 'SHOW timezone')).toEqual([{ TimeZone: 'UTC' }]);
  });

  test('a trigram search finds Korean', async () => {
    const folder = testFolder();
    const server = await start(
      startPostgres({ folder, ports: anyPorts, binFolder, durable: false }),
    );
    await query(server.url, 'CREATE EXTENSION pg_trgm');
    const [row] = await query(server.url, "SELECT show_trgm('안녕하세요') <> '{}' AS found");
    expect(row).toEqual({ found: true });
  });
});

describe.each([
  { kind: 'native', forceJs: false },
  { kind: 'JavaScript', forceJs: true },
])('$kind Redis', ({ forceJs }) => {
  test.runIf(forceJs || requireServer('redis-server'))(
    'answers on 127.0.0.1 only, and begins empty after a restart on the same port',
    async () => {
      const server = await start(startRedis({ folder: testFolder(), ports: anyPorts, forceJs }));
      expect(server.engine.includes('JavaScript')).toBe(forceJs);
      const client = new Redis(server.url, { lazyConnect: true, retryStrategy: () => 10 });
      client.on('error', () => {});
      await client.connect();
      expect(await client.set('key', 'value')).toBe('OK');
      for (const host of outerAddresses()) expect(await answers(server.port, host)).toBe(false);
      await server.kill();
      await server.restart();
      expect(await client.get('key')).toBeNull();
      client.disconnect();
    },
  );
});

describe.skipIf(!requireServer('nats-server'))('NATS', () => {
  test('has JetStream, answers on 127.0.0.1 only, and comes back after kill -9', async () => {
    const server = await start(startNats({ folder: testFolder(), ports: anyPorts }));
    expect(await greet(server.port)).toMatchObject({ jetstream: true, host: '127.0.0.1' });
    for (const host of outerAddresses()) expect(await answers(server.port, host)).toBe(false);
    await server.kill();
    expect(await answers(server.port, '127.0.0.1')).toBe(false);
    await server.restart();
    expect(await greet(server.port)).toMatchObject({ jetstream: true });
  });
});

describe('a pid file', () => {
  test('of a process that has ended never names the one that has its number now', async () => {
    const folder = testFolder();
    mkdirSync(folder, { recursive: true });
    const file = path.join(folder, 'old.pid');
    const record = { pid: process.ppid, startedAt: 'long ago', stopSignal: 'SIGKILL' };
    writeFileSync(file, JSON.stringify(record));
    expect(readLiveProcess(file)).toBeNull();
    await stopLeftovers(folder);
    expect(() => process.kill(process.ppid, 0)).not.toThrow();
    expect(claimPidFile(file)).toBeNull();
    expect(claimPidFile(file)).toBe(process.pid);
  });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  // What a kill does to the connection is reported here, too.
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

function outerAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter((each) => !each.internal && each.family === 'IPv4').map((each) => each.address);
}

function answers(port: number, host: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect(port, host, () => resolve(true));
  socket.once('error', () => resolve(false)).once('connect', () => socket.destroy());
  return promise;
}

/** The first line that a NATS server says. */
function greet(port: number): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const socket = net.connect(port, '127.0.0.1');
  socket.once('error', reject).once('data', (line: Buffer) => {
    socket.destroy();
    resolve(
      JSON.parse(
        line
          .toString()
          .replace(/^INFO /, '')
          .split('\r\n')[0] ?? '',
      ),
    );
  });
  return promise;
}
