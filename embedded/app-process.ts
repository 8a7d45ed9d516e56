import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { type Child, EXIT_WITH_PARENT, rotateLog, superviseChild } from './child.ts';

export interface AppProcess {
  readonly child: Child;
  /** The app's base URL, once it listens; stays pending when it ends before. */
  readonly ready: Promise<string>;
}

export interface AppOptions {
  readonly entry: string;
  readonly folder: string;
  readonly workingFolder: string;
  readonly env: NodeJS.ProcessEnv;
}

const DRAIN_TIMEOUT_MS = 15_000;

/**
 * Starts the app. Its output goes to the terminal and to `app.log`; it says `{ ready: url }` over
 * the IPC channel.
 */
export function startApp(options: AppOptions): AppProcess {
  const logFile = rotateLog(options.folder, 'app');
  const log = createWriteStream(logFile, { flags: 'a' });
  const app = spawn(process.execPath, ['--import', EXIT_WITH_PARENT, options.entry], {
    cwd: options.workingFolder,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: options.env,
  });
  for (const [output, terminal] of [
    [app.stdout, process.stdout],
    [app.stderr, process.stderr],
  ] as const) {
    output?.on('data', (chunk: Buffer) => {
      terminal.write(chunk);
      log.write(chunk);
    });
  }
  app.once('close', () => log.end());
  const { promise: ready, resolve } = Promise.withResolvers<string>();
  app.on('message', (message) => {
    const url = readReadyUrl(message);
    if (url !== null) resolve(url);
  });
  const child = superviseChild(app, {
    name: 'app',
    folder: options.folder,
    logFile,
    stopSignal: 'SIGTERM',
    stopTimeoutMs: DRAIN_TIMEOUT_MS,
  });
  return { child, ready };
}

function readReadyUrl(message: unknown): string | null {
  if (typeof message !== 'object' || message === null || !('ready' in message)) return null;
  return typeof message.ready === 'string' ? message.ready : null;
}
