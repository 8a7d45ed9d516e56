import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { removePidFile, sendSignal, writePidFile } from './pid-file.ts';
import { succeeds } from './programs.ts';
import { StartError } from './start-error.ts';

export interface ChildCommand {
  readonly name: string;
  /** Where `<name>.log` and `<name>.pid` are. */
  readonly folder: string;
  readonly command: readonly string[];
  /** What asks this program to end in order; it also gets it when this process dies. */
  readonly stopSignal: NodeJS.Signals;
  readonly stopTimeoutMs: number;
  /** Another user to run as. */
  readonly user?: { readonly uid: number; readonly gid: number };
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Resolves with e.g. `exit code 1` or `SIGKILL`; never rejects. */
  readonly exited: Promise<string>;
  hasExited(): boolean;
  /** Asks it to end, and ends it when it takes longer than its time. */
  stop(): Promise<void>;
  /** SIGKILL to its whole process group, as a power cut would. */
  kill(): Promise<void>;
}

/** Preloaded into Node children: ends them when this process is gone, however it went. */
export const EXIT_WITH_PARENT = fileURLToPath(new URL('./exit-with-parent.ts', import.meta.url));

/**
 * Starts a program in a process group of its own, so that Ctrl-C in the terminal reaches the
 * supervisor only.
 */
export async function startChild(options: ChildCommand): Promise<Child> {
  const { name, folder, stopSignal } = options;
  mkdirSync(folder, { recursive: true });
  const logFile = rotateLog(folder, name);
  const log = openSync(logFile, 'a');
  const [program = '', ...args] = options.command;
  const child = spawn(program, args, {
    detached: true,
    // Node children wait for the end of their stdin; it ends when this process does.
    stdio: ['pipe', log, log],
    env: { ...process.env, LC_ALL: 'C' },
    ...options.user,
  });
  closeSync(log);
  // The other end may vanish first.
  child.stdin?.on('error', () => {});
  await once(child, 'spawn').catch((error: unknown) => {
    throw new StartError(`${name} could not be started: ${String(error)}`, { cause: error });
  });
  return superviseChild(child, { ...options, logFile, stopSignal });
}

export interface SpawnedProcess {
  readonly pid?: number | undefined;
  once(
    event: 'close',
    listener: (code: number | null, signal: NodeJS.Signals | null) => void,
  ): unknown;
}

/** Gives a spawned process its pid file and the ways to end it. */
export function superviseChild(
  child: SpawnedProcess,
  options: Pick<ChildCommand, 'name' | 'folder' | 'stopSignal' | 'stopTimeoutMs'> & {
    readonly logFile: string;
  },
): Child {
  const { name, folder, logFile, stopSignal, stopTimeoutMs } = options;
  const { pid } = child;
  if (pid === undefined) throw new StartError(`${name} could not be started`);
  const pidFile = path.join(folder, `${name}.pid`);
  writePidFile(pidFile, pid, stopSignal);
  let running = true;
  const { promise: exited, resolve } = Promise.withResolvers<string>();
  // Not `exit`: what it said last would still be on its way.
  child.once('close', (code, signal) => {
    running = false;
    removePidFile(pidFile, pid);
    resolve(signal ?? `exit code ${code}`);
  });
  const kill = async (): Promise<void> => {
    if (running) sendSignal(-pid, 'SIGKILL');
    await exited;
  };
  return {
    name,
    pid,
    logFile,
    exited,
    hasExited: () => !running,
    kill,
    async stop() {
      if (running) sendSignal(pid, stopSignal);
      const timer = setTimeout(() => void kill(), stopTimeoutMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** A fresh log for each start; the one before is kept, since it tells why a start was needed. */
export function rotateLog(folder: string, name: string): string {
  const logFile = path.join(folder, `${name}.log`);
  if (existsSync(logFile)) renameSync(logFile, path.join(folder, `${name}.previous.log`));
  return logFile;
}

export function readLogEnd(logFile: string, lines = 12): string {
  const text = existsSync(logFile) ? readFileSync(logFile, 'utf8').trimEnd() : '';
  return text === '' ? '  (nothing)' : text.split('\n').slice(-lines).join('\n');
}

/**
 * Makes a native command end with this process, where the system can: else its pid file tells the
 * next start.
 */
export function endWithParent(command: readonly string[], signal: NodeJS.Signals): string[] {
  const prefix = ['setpriv', '--pdeathsig', signal.replace('SIG', '')];
  return succeeds([...prefix, 'true']) ? [...prefix, ...command] : [...command];
}
