// One API node as operators run it: `node src/main.ts`, watched over as a process manager would.
import { fork } from 'node:child_process';
import { openSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EXIT_WITH_PARENT } from '../embedded/child.ts';

export interface ApiNode {
  readonly name: string;
  readonly url: string;
  /** `kill -9`, also while it starts; resolves when it is gone. Only `start` brings it back. */
  kill(): Promise<void>;
  /** Resolves once it says that it is ready, however often it had to be started for that, or is killed. */
  start(): Promise<void>;
}

export interface ApiNodeOptions {
  readonly name: string;
  readonly port: number;
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** It ended by itself after it had been ready, which nothing may make it do. */
  readonly onFault: (fault: string) => void;
}

const MAIN = fileURLToPath(import.meta.resolve('#main.ts'));
const START_AGAIN_MS = 100;

export function createApiNode(options: ApiNodeOptions): ApiNode {
  const { name, port, folder, environment, onFault } = options;
  // A file and no pipe: a node that outlives us must be able to say its last words, or it never ends.
  const log = openSync(path.join(folder, `${name}.log`), 'a');
  let killCurrent: (() => Promise<void>) | null = null;
  /** Counts the calls of `start` and `kill`: only the latest one has a say. */
  let will = 0;

  /** True once it is ready; false when it ended before, e.g. because PostgreSQL is away. */
  async function startOnce(): Promise<boolean> {
    const child = fork(MAIN, {
      env: { PATH: process.env['PATH'], ...environment, PORT: String(port) },
      execArgv: ['--import', EXIT_WITH_PARENT],
      stdio: ['ignore', log, log, 'ipc'],
    });
    let isReady = false;
    let killed = false;
    const exited = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        killCurrent = null;
        if (isReady && !killed)
          onFault(`${name} ended by itself: ${signal ?? `exit code ${code}`}`);
        resolve();
      });
    });
    killCurrent = async () => {
      killed = true;
      child.kill('SIGKILL');
      await exited;
    };
    const ready = new Promise<void>((resolve) => {
      child.on('message', () => {
        isReady = true;
        resolve();
      });
    });
    await Promise.race([ready, exited]);
    return isReady;
  }

  return {
    name,
    url: `http://127.0.0.1:${port}`,
    async kill() {
      will += 1;
      await killCurrent?.();
    },
    async start() {
      const mine = ++will;
      while (mine === will && !(await startOnce())) await delay(START_AGAIN_MS);
    },
  };
}
