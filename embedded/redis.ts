import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { EXIT_WITH_PARENT, endWithParent } from './child.ts';
import { findProgram, readVersion } from './programs.ts';
import {
  type EmbeddedServer,
  type ServerOptions,
  type ServerProgram,
  startServer,
} from './server.ts';

export interface RedisOptions extends ServerOptions {
  /** True takes the engine in JavaScript even where a native server is installed. */
  readonly forceJs?: boolean;
}

const PROGRAM = {
  name: 'redis',
  preferredPort: 46379,
  dataFolder: null,
  url: (port) => `redis://127.0.0.1:${port}`,
  ready: /Ready to accept connections/,
  stopSignal: 'SIGTERM',
  stopTimeoutMs: 5_000,
} satisfies Partial<ServerProgram>;

/**
 * Starts the Redis or Valkey on PATH, else one in JavaScript. Memory only: a restart begins empty.
 */
export function startRedis(options: RedisOptions): Promise<EmbeddedServer> {
  const native = options.forceJs === true ? null : findRedis();
  const program = native === null ? describeJsRedis() : describeNative(native, options.folder);
  return startServer(program, options);
}

export function findRedis(): string | null {
  return findProgram('redis-server') ?? findProgram('valkey-server');
}

function describeNative(program: string, folder: string): ServerProgram {
  const brand = path.basename(program).startsWith('valkey') ? 'Valkey' : 'Redis';
  return {
    ...PROGRAM,
    engine: `${brand} ${readVersion(program)}`,
    command: (port) =>
      endWithParent(
        [program, '--port', String(port), '--bind', '127.0.0.1', '--dir', folder].concat([
          '--save',
          '',
          '--appendonly',
          'no',
          '--protected-mode',
          'yes',
        ]),
        'SIGTERM',
      ),
  };
}

function describeJsRedis(): ServerProgram {
  const script = fileURLToPath(new URL('./js-redis.ts', import.meta.url));
  return {
    ...PROGRAM,
    engine: 'js-redis-server (in JavaScript)',
    command: (port) => [process.execPath, '--import', EXIT_WITH_PARENT, script, String(port)],
  };
}
