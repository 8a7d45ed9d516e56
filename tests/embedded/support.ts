import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readLiveProcess } from '../../embedded/pid-file.ts';

export interface DevFacts {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly natsUrl: string | null;
  readonly url: string;
  readonly pid: number;
}

export interface DevRun {
  readonly root: string;
  readonly process: ChildProcess;
  readonly ended: Promise<{ code: number | null; output: string }>;
  /** Everything printed so far. */
  output(): string;
}

const APP = fileURLToPath(new URL('./stand-in-app.ts', import.meta.url));
const SUPERVISOR = fileURLToPath(new URL('./supervisor-process.ts', import.meta.url));
/** The parts that leave a pid file. */
export const PARTS = ['app', 'redis', 'nats', 'postgres'];

/** What `npm run dev` does in a checkout at `root`, with an app that stands in for Naru. */
export function runDev(root: string, env: NodeJS.ProcessEnv = {}, wrap: string[] = []): DevRun {
  const command = [...wrap, process.execPath, SUPERVISOR, root, APP];
  const { PORT: _port, HOST: _host, ...inherited } = process.env;
  const child = spawn(command[0] ?? '', command.slice(1), { env: { ...inherited, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  const { promise: ended, resolve } = Promise.withResolvers<{
    code: number | null;
    output: string;
  }>();
  child.once('close', (code) => resolve({ code, output }));
  return { root, process: child, ended, output: () => output };
}

/** Waits for the table; fails with the output when the run ends before. */
export async function ready(run: DevRun): Promise<DevFacts> {
  await until(() => {
    if (run.process.exitCode !== null) throw new Error(`It ended: ${run.output()}`);
    return run.output().includes('Ctrl-C');
  });
  return JSON.parse(readFileSync(path.join(run.root, '.data', 'dev.json'), 'utf8'));
}

/** The pids of what runs for this root. */
export function livePids(root: string): Map<string, number> {
  const pids = new Map<string, number>();
  for (const name of PARTS) {
    const live = readLiveProcess(path.join(root, '.data', `${name}.pid`));
    if (live !== null) pids.set(name, live.pid);
  }
  return pids;
}

/** Whether a process runs; one that has ended and that nobody has reaped does not. */
export function isRunning(pid: number): boolean {
  if (process.platform === 'linux') {
    const file = `/proc/${pid}/stat`;
    return existsSync(file) && !/\) [ZX] /.test(readFileSync(file, 'utf8'));
  }
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export async function until(condition: () => boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline)
      throw new Error(`Still not so after ${timeoutMs} ms: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
