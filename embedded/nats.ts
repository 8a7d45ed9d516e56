import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { endWithParent } from './child.ts';
import { findProgram, isAtLeast, readVersion } from './programs.ts';
import { type EmbeddedServer, type ServerOptions, startServer } from './server.ts';

export const NATS_VERSION_MIN = '2.9.10';

/**
 * Starts the `nats-server` on PATH with JetStream in `<folder>/nats`; null when there is none that
 * is new enough.
 */
export async function startNats(options: ServerOptions): Promise<EmbeddedServer | null> {
  const program = findNats();
  if (program === null) return null;
  const version = readVersion(program);
  const dataFolder = path.join(options.folder, 'nats');
  const configFile = path.join(options.folder, 'nats.conf');
  mkdirSync(dataFolder, { recursive: true });
  return startServer(
    {
      name: 'nats',
      engine: `nats-server ${version}`,
      preferredPort: 42220,
      dataFolder,
      command(port) {
        writeFileSync(configFile, describeConfig(port, dataFolder, version));
        return endWithParent([program, '-c', configFile], 'SIGTERM');
      },
      url: (port) => `nats://127.0.0.1:${port}`,
      ready: /Server is ready/,
      stopSignal: 'SIGTERM',
      stopTimeoutMs: 10_000,
    },
    options,
  );
}

export function findNats(): string | null {
  const program = findProgram('nats-server');
  return program !== null && isAtLeast(readVersion(program), NATS_VERSION_MIN) ? program : null;
}

function describeConfig(port: number, dataFolder: string, version: string): string {
  // An acknowledged entry survives a power cut only when it was synced; servers before 2.10 refuse
  // the field.
  const sync = isAtLeast(version, '2.10') ? '  sync_interval: always\n' : '';
  return (
    `listen: "127.0.0.1:${port}"\n` +
    `jetstream {\n  store_dir: ${JSON.stringify(dataFolder)}\n${sync}}\n`
  );
}
