import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { endWithParent, readLogEnd, startChild } from './child.ts';
import { findPostgresBinaries } from './postgres-binaries.ts';
import { clearPostmaster } from './postmaster.ts';
import { isAtLeast, readVersion } from './programs.ts';
import { type EmbeddedServer, type ServerOptions, startServer } from './server.ts';
import { StartError } from './start-error.ts';
import { dropRoot, type Unprivileged } from './unprivileged.ts';

export interface PostgresOptions extends ServerOptions {
  /** The folder of another PostgreSQL's binaries; without it the one that npm installed. */
  readonly binFolder?: string | undefined;
  /** False where a power cut may spoil the data, as in tests. */
  readonly durable?: boolean;
  /** Further settings, e.g. `{ max_connections: '50' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

const USER = 'naru';
const DATABASE = 'naru';

/**
 * Starts PostgreSQL on `<folder>/postgres`, made when absent, with an empty database `naru`; `url`
 * leads to it.
 */
export async function startPostgres(options: PostgresOptions): Promise<EmbeddedServer> {
  const bin = options.binFolder ?? findPostgresBinaries();
  const version = readVersion(path.join(bin, 'postgres'));
  const dataFolder = path.join(options.folder, 'postgres');
  const unprivileged = dropRoot();
  if (existsSync(path.join(dataFolder, 'PG_VERSION'))) requireSameMajor(dataFolder, version);
  else await initialise(bin, version, unprivileged, options);
  await clearPostmaster(dataFolder);
  const settings = toFlags({
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...(options.durable === false && { fsync: 'off', full_page_writes: 'off' }),
    ...options.settings,
  });
  const server = await startServer(
    {
      name: 'postgres',
      engine: `PostgreSQL ${version}`,
      preferredPort: 54320,
      dataFolder,
      ...(unprivileged.user && { user: unprivileged.user }),
      command: (port) => [
        ...unprivileged.prefix,
        ...endWithParent([path.join(bin, 'postgres'), '-D', dataFolder], 'SIGINT'),
        '-p',
        String(port),
        ...settings,
      ],
      url: (port) => `postgresql://${USER}@127.0.0.1:${port}/${DATABASE}`,
      ready: /database system is ready to accept connections/,
      // After a kill -9 the memory block stays until the last of its processes has noticed.
      passing: /pre-existing shared memory block/,
      // "Fast": ends sessions at once, and writes everything down.
      stopSignal: 'SIGINT',
      stopTimeoutMs: 20_000,
    },
    options,
  );
  try {
    await createDatabase(server.url);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

function requireSameMajor(dataFolder: string, version: string): void {
  const [major = version] = version.split('.');
  const made = readFileSync(path.join(dataFolder, 'PG_VERSION'), 'utf8').trim();
  if (made === major) return;
  throw new StartError(
    `The data in ${dataFolder} was made by PostgreSQL ${made}, and this is PostgreSQL ${version}: delete that folder ` +
      `to start empty, or set NARU_POSTGRES_BIN to the folder of PostgreSQL ${made}'s programs.`,
  );
}

async function initialise(
  bin: string,
  version: string,
  unprivileged: Unprivileged,
  options: PostgresOptions,
): Promise<void> {
  // Made beside and moved when complete: one that was interrupted would look like data.
  const target = path.join(options.folder, 'postgres');
  const draft = `${target}.new`;
  rmSync(draft, { recursive: true, force: true });
  unprivileged.makeFolder(draft);
  // Not `C`: with it trigram search finds no Korean. The builtin provider is the same on every
  // system.
  const locale = isAtLeast(version, '17')
    ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C.UTF-8']
    : ['--locale=C.UTF-8'];
  const flags = ['-D', draft, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--no-instructions'];
  if (options.durable === false) flags.push('--no-sync');
  const child = await startChild({
    name: 'initdb',
    folder: options.folder,
    command: [
      ...unprivileged.prefix,
      ...endWithParent([path.join(bin, 'initdb'), ...flags, ...locale], 'SIGTERM'),
    ],
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 5_000,
    ...(unprivileged.user && { user: unprivileged.user }),
  });
  const stop = () => void child.stop();
  options.signal?.addEventListener('abort', stop);
  const outcome = await child.exited;
  options.signal?.removeEventListener('abort', stop);
  options.signal?.throwIfAborted();
  if (outcome !== 'exit code 0') {
    throw new StartError(
      `initdb failed: ${outcome}. Its log ${child.logFile}:\n${readLogEnd(child.logFile)}`,
    );
  }
  renameSync(draft, target);
}

async function createDatabase(url: string): Promise<void> {
  const admin = new URL(url);
  admin.pathname = '/postgres';
  const client = new pg.Client({ connectionString: admin.href });
  await client.connect();
  try {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await client.end();
  }
}

function toFlags(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}
