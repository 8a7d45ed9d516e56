// One set of servers for the whole test run, in a folder of its own, so that it disturbs neither
// `npm run dev` nor another run. What a killed run left behind is ended and removed by the next
// one.
import { globSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startNats } from '../../embedded/nats.ts';
import { claimPidFile, readLiveProcess, stopLeftovers } from '../../embedded/pid-file.ts';
import { anyPorts } from '../../embedded/ports.ts';
import { startPostgres } from '../../embedded/postgres.ts';
import { startRedis } from '../../embedded/redis.ts';
import { migrate } from '../../src/database/migrate.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The administrator's connection; tests make databases of their own from it. */
    readonly postgresUrl: string;
    /** The migrated database that `createTestDatabase` clones. */
    readonly templateDatabase: string;
    readonly redisUrl: string;
    /** Null where no `nats-server` is installed. */
    readonly natsUrl: string | null;
    /** Removed when the run ends; private servers live below it. */
    readonly runFolder: string;
  }
}

const TEMPLATE_DATABASE = 'naru_template';

// Private servers of single suites included.
const PID_FILES = '**/*.pid';
const RUNS_FOLDER = fileURLToPath(new URL('../../.data/test', import.meta.url));

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeDeadRuns();
  const runFolder = path.join(RUNS_FOLDER, String(process.pid));
  mkdirSync(RUNS_FOLDER, { recursive: true });
  // Before the folder: one without a living owner is removed by others.
  claimPidFile(`${runFolder}.pid`);
  mkdirSync(runFolder);
  const place = { folder: runFolder, ports: anyPorts };
  const binFolder = process.env['NARU_POSTGRES_BIN'];
  const [postgres, redis, nats] = await Promise.all([
    startPostgres({ ...place, durable: false, binFolder }),
    startRedis({ ...place, forceJs: process.env['NARU_EMBEDDED_REDIS'] === 'js' }),
    process.env['NARU_EMBEDDED_NATS'] === 'off' ? null : startNats(place),
  ]);
  await createTemplate(postgres.url);
  project.provide('postgresUrl', postgres.url);
  project.provide('templateDatabase', TEMPLATE_DATABASE);
  project.provide('redisUrl', redis.url);
  project.provide('natsUrl', nats?.url ?? null);
  project.provide('runFolder', runFolder);
  return async () => {
    await Promise.all([postgres.stop(), redis.stop(), nats?.stop()]);
    await stopLeftovers(runFolder, PID_FILES);
    rmSync(runFolder, { recursive: true, force: true });
    rmSync(`${runFolder}.pid`);
  };
}

async function removeDeadRuns(): Promise<void> {
  const runs = globSync('*', { cwd: RUNS_FOLDER, exclude: ['*.pid'] });
  for (const folder of runs.map((name) => path.join(RUNS_FOLDER, name))) {
    if (readLiveProcess(`${folder}.pid`) !== null) continue;
    await stopLeftovers(folder, PID_FILES);
    rmSync(folder, { recursive: true, force: true });
    rmSync(`${folder}.pid`, { force: true });
  }
}

async function createTemplate(postgresUrl: string): Promise<void> {
  const admin = new pg.Client({ connectionString: postgresUrl });
  await admin.connect();
  try {
    await admin.query(`CREATE DATABASE ${TEMPLATE_DATABASE}`);
    const template = new URL(postgresUrl);
    template.pathname = `/${TEMPLATE_DATABASE}`;
    await migrate(template.href);
    // A template that somebody is connected to cannot be cloned; so nobody may.
    await admin.query(`ALTER DATABASE ${TEMPLATE_DATABASE} WITH ALLOW_CONNECTIONS false`);
  } finally {
    await admin.end();
  }
}
