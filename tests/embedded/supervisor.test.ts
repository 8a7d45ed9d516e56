import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { findProgram } from '../../embedded/programs.ts';
import { requireServer, testFolder } from '../support/servers.ts';
import { type DevRun, isRunning, livePids, ready, runDev, until } from './support.ts';

// One checkout for most tests: making its data folder is what takes the time.
const checkout = testFolder();
const withNats = requireServer('nats-server');
const allParts = withNats ? ['app', 'redis', 'nats', 'postgres'] : ['app', 'redis', 'postgres'];
const runs: DevRun[] = [];

afterEach(async () => {
  for (const run of runs.splice(0)) {
    run.process.kill('SIGINT');
    await run.ended;
  }
});

function start(root = checkout, env: NodeJS.ProcessEnv = {}, wrap?: string[]): DevRun {
  mkdirSync(root, { recursive: true });
  const run = runDev(root, env, wrap);
  runs.push(run);
  return run;
}

/** A run that starts no servers of its own, for tests that are about something else. */
function startLight(root: string, env: NodeJS.ProcessEnv = {}): DevRun {
  return start(root, {
    DATABASE_URL: inject('postgresUrl'),
    REDIS_URL: inject('redisUrl'),
    NARU_EMBEDDED_NATS: 'off',
    ...env,
  });
}

describe('starting', () => {
  test('brings up all parts, tells the app where they are, and prints one table', async () => {
    const run = start();
    const facts = await ready(run);
    const env = await askApp(facts.url, '/env');
    expect(env).toMatchObject({
      NODE_ENV: 'development',
      HOST: '127.0.0.1',
      PORT: new URL(facts.url).port,
      DATABASE_URL: facts.databaseUrl,
      REDIS_URL: facts.redisUrl,
    });
    expect(env['NATS_URL'] ?? null).toBe(facts.natsUrl);
    expect(await query(facts.databaseUrl, 'SELECT current_database() AS name')).toEqual([
      { name: 'naru' },
    ]);
    expect(facts.pid).toBe(run.process.pid);
    expect([...livePids(checkout).keys()]).toEqual(allParts);
    expect(run.output().match(/^ {2}PART /gm)).toHaveLength(1);
    expect(run.output()).toContain(`${facts.url}/graphql`);
  });

  test('a second one in the same checkout is refused, and the first goes on', async () => {
    const first = await ready(start());
    const second = await start().ended;
    expect(second).toEqual({
      code: 1,
      output: `naru: npm run dev is running in this checkout already, as process ${first.pid}.\n`,
    });
    expect(await askApp(first.url, '/env')).toHaveProperty('PORT');
  });

  test('another checkout runs beside it, on ports of its own that it keeps', async () => {
    const other = testFolder();
    const [here, there] = await Promise.all([ready(start()), ready(start(other))]);
    const urls = [here, there].flatMap((facts) => [facts.databaseUrl, facts.redisUrl, facts.url]);
    expect(new Set(urls).size).toBe(6);
    runs[1]?.process.kill('SIGTERM');
    await runs[1]?.ended;
    const again = await ready(start(other));
    expect({ ...again, pid: 0 }).toEqual({ ...there, pid: 0 });
  });

  test('servers that are given are used, and nothing is started for them', async () => {
    const root = testFolder();
    const run = startLight(root, { DATABASE_URL: withPassword(inject('postgresUrl')) });
    const facts = await ready(run);
    expect(await askApp(facts.url, '/env')).toMatchObject({ DATABASE_URL: facts.databaseUrl });
    expect([...livePids(root).keys()]).toEqual(['app']);
    expect(run.output()).toContain('yours (DATABASE_URL)');
    expect(run.output()).not.toContain('secret');
  });

  test('works where neither a Redis nor a NATS is installed', async () => {
    const run = start(checkout, { NARU_EMBEDDED_NATS: 'off', NARU_EMBEDDED_REDIS: 'js' });
    const facts = await ready(run);
    expect(facts.natsUrl).toBeNull();
    expect(await askApp(facts.url, '/env')).not.toHaveProperty('NATS_URL');
    expect(run.output()).toContain('js-redis-server');
  });

  test('a port that is taken is replaced by a free one, unless PORT asks for it', async () => {
    await using taken = await listenSomewhere();
    const root = testFolder();
    mkdirSync(path.join(root, '.data'), { recursive: true });
    const portsFile = path.join(root, '.data', 'ports.json');
    writeFileSync(portsFile, JSON.stringify({ app: taken.port }));
    const facts = await ready(startLight(root));
    expect(facts.url).not.toContain(`:${taken.port}`);
    expect(JSON.parse(readFileSync(portsFile, 'utf8')).app).toBe(Number(new URL(facts.url).port));

    const refused = await startLight(testFolder(), { PORT: String(taken.port) }).ended;
    expect(refused).toEqual({
      code: 1,
      output: `naru: PORT=${taken.port} is taken on 127.0.0.1. Unset PORT to get a free one.\n`,
    });
  });

  test('a wrong environment is one line that names every fault', async () => {
    const { code, output } = await start(testFolder(), {
      PORT: 'http',
      DATABASE_URL: 'mysql://root:secret@db',
      NARU_EMBEDDED_REDIS: 'yes',
    }).ended;
    expect(code).toBe(1);
    expect(output).toBe(
      'naru: DATABASE_URL must be a URL: postgresql:// or postgres://; ' +
        'PORT must be a number from 1 to 65535, and is "http"; ' +
        'NARU_EMBEDDED_REDIS must be "js" or unset, and is "yes"\n',
    );
  });

  test('data of another PostgreSQL is left alone, and both versions are named', async () => {
    const root = testFolder();
    const data = path.join(root, '.data', 'postgres');
    mkdirSync(data, { recursive: true });
    writeFileSync(path.join(data, 'PG_VERSION'), '11\n');
    const { code, output } = await start(root).ended;
    expect(code).toBe(1);
    expect(output).toMatch(
      /^naru: The data in \S+ was made by PostgreSQL 11, and this is PostgreSQL \d+\.\d+: .*\n$/,
    );
    expect(livePids(root).size).toBe(0);
  });
});

describe('stopping', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s drains the app and leaves nothing',
    async (signal) => {
      const run = start();
      await ready(run);
      const pids = [...livePids(checkout).values()];
      run.process.kill(signal);
      const { code, output } = await run.ended;
      expect(code).toBe(0);
      expect(output).toContain(`Stopping: ${signal}.\napp: asked to stop\napp: drained\n`);
      expect(pids.filter(isRunning)).toEqual([]);
    },
  );

  test('a stop during the start leaves nothing', async () => {
    const root = testFolder();
    const run = start(root);
    await until(() => livePids(root).has('redis'));
    run.process.kill('SIGTERM');
    expect((await run.ended).code).toBe(0);
    expect(livePids(root).size).toBe(0);
    await ready(start(root));
  });

  test('the death of npm, which hands on no SIGTERM, is noticed', async () => {
    const run = start(checkout, {}, ['/bin/sh', '-c', '"$@"; true', 'npm']);
    const { pid } = await ready(run);
    const pids = [pid, ...livePids(checkout).values()];
    expect(pid).not.toBe(run.process.pid);
    run.process.kill('SIGKILL');
    await until(() => !pids.some(isRunning));
    expect((await run.ended).output).toContain('app: drained');
  });

  test('a further Ctrl-C does not wait for an app that will not end', async () => {
    const run = start();
    const { url } = await ready(run);
    const pids = [...livePids(checkout).values()];
    await askApp(url, '/ignore-stop');
    await until(() => !run.process.kill('SIGINT') || run.process.exitCode !== null);
    expect((await run.ended).code).toBe(1);
    expect(pids.filter(isRunning)).toEqual([]);
  });

  test('a server that ends by itself ends the rest, and its log is shown', async () => {
    const run = start();
    await ready(run);
    const pids = livePids(checkout);
    process.kill(pids.get('redis') ?? 0, 'SIGKILL');
    const { code, output } = await run.ended;
    expect(code).toBe(1);
    expect(output).toContain('naru: redis ended by itself (SIGKILL). .data/redis.log ends with:\n');
    expect([...pids.values()].filter(isRunning)).toEqual([]);
  });

  test('an app that ends by itself ends the rest', async () => {
    const run = startLight(testFolder());
    const { url } = await ready(run);
    await askApp(url, '/exit').catch(() => {});
    const { code, output } = await run.ended;
    expect(code).toBe(1);
    expect(output).toContain(
      'naru: app ended by itself (exit code 3). What it said is above, and in .data/app.log.\n',
    );
  });
});

describe('after kill -9', () => {
  test.runIf(findProgram('setpriv'))(
    'nothing is left running, and the data is still there',
    async () => {
      const run = start(checkout, { NARU_EMBEDDED_REDIS: 'js' });
      const { databaseUrl } = await ready(run);
      await query(databaseUrl, 'CREATE TABLE kept AS SELECT 1 AS id');
      const pids = [...livePids(checkout).values()];
      run.process.kill('SIGKILL');
      await until(() => !pids.some(isRunning));
      const again = await ready(start());
      expect(await query(again.databaseUrl, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
    },
  );

  test('what was left running where the system has no death signal is ended by the next start', async () => {
    const programs = testFolder();
    mkdirSync(programs, { recursive: true });
    for (const name of ['unshare', 'true', 'redis-server', 'nats-server']) {
      const program = findProgram(name);
      if (program !== null) symlinkSync(program, path.join(programs, name));
    }
    const run = start(checkout, { PATH: programs });
    const first = await ready(run);
    const pids = livePids(checkout);
    run.process.kill('SIGKILL');
    await until(() => !isRunning(pids.get('app') ?? 0));
    expect(isRunning(pids.get('postgres') ?? 0)).toBe(true);

    const again = await ready(start());
    expect([...pids.values()].filter(isRunning)).toEqual([]);
    expect(again.databaseUrl).toBe(first.databaseUrl);
    expect([...livePids(checkout).keys()]).toEqual(allParts);
  });
});

async function askApp(url: string, request: string): Promise<Record<string, unknown>> {
  const response = await fetch(url + request);
  const body: unknown = await response.json();
  return Object.fromEntries(Object.entries(body ?? {}));
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

function withPassword(url: string): string {
  const changed = new URL(url);
  changed.password = 'secret';
  return changed.href;
}

async function listenSomewhere(): Promise<AsyncDisposable & { port: number }> {
  const server = net.createServer().listen(0, '127.0.0.1');
  const { promise, resolve } = Promise.withResolvers<void>();
  server.once('listening', resolve);
  await promise;
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { port, [Symbol.asyncDispose]: async () => void server.close() };
}
