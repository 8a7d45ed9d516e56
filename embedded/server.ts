import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Child, type ChildCommand, readLogEnd, startChild } from './child.ts';
import { isPortFree, type Ports } from './ports.ts';
import { StartError } from './start-error.ts';

/** How to run one kind of server. */
export interface ServerProgram extends Omit<ChildCommand, 'command' | 'folder'> {
  /** For people, e.g. `PostgreSQL 18.4`. */
  readonly engine: string;
  readonly preferredPort: number;
  readonly dataFolder: string | null;
  command(port: number): readonly string[];
  url(port: number): string;
  /** What its log says once it answers. */
  readonly ready: RegExp;
  /** What its log says when it failed for a reason that passes by itself. */
  readonly passing?: RegExp;
}

export interface ServerOptions {
  /** Holds data, log and pid file; one running server of a kind a folder. */
  readonly folder: string;
  readonly ports: Ports;
  /** Aborting while it starts ends it, and the start rejects. */
  readonly signal?: AbortSignal;
}

/**
 * A running server of our own. After `kill` or `stop`, `restart` brings it back on the same port
 * and data.
 */
export interface EmbeddedServer {
  readonly name: string;
  readonly engine: string;
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly logFile: string;
  /** Null when it keeps everything in memory. */
  readonly dataFolder: string | null;
  /** Resolves when the present process ends, however it does. */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
  /** `kill -9`. */
  kill(): Promise<void>;
  restart(): Promise<void>;
}

const READY_TIMEOUT_MS = 60_000;
const PORT_ATTEMPTS = 5;

export async function startServer(
  program: ServerProgram,
  options: ServerOptions,
): Promise<EmbeddedServer> {
  let { port, child } = await startOnFreePort(program, options);
  return {
    name: program.name,
    engine: program.engine,
    dataFolder: program.dataFolder,
    url: program.url(port),
    port,
    get pid() {
      return child.pid;
    },
    get logFile() {
      return child.logFile;
    },
    get exited() {
      return child.exited;
    },
    stop: () => child.stop(),
    kill: () => child.kill(),
    async restart() {
      await child.stop();
      child = await startOnPort(program, port, options);
    },
  };
}

async function startOnFreePort(
  program: ServerProgram,
  options: ServerOptions,
): Promise<{ port: number; child: Child }> {
  for (let attempt = 1; ; attempt++) {
    const port = await options.ports.choose(program.name, program.preferredPort);
    try {
      return { port, child: await startOnPort(program, port, options) };
    } catch (error) {
      // Somebody else may have taken the port since it was chosen, e.g. another checkout starting
      // just now.
      if (attempt === PORT_ATTEMPTS || options.signal?.aborted || (await isPortFree(port))) {
        throw error;
      }
    }
  }
}

async function startOnPort(
  program: ServerProgram,
  port: number,
  { folder, signal }: ServerOptions,
): Promise<Child> {
  const { name, stopSignal, stopTimeoutMs, user } = program;
  const command = program.command(port);
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    const child = await startChild({
      name,
      folder,
      command,
      stopSignal,
      stopTimeoutMs,
      ...(user && { user }),
    });
    while (!child.hasExited() && Date.now() < deadline && !signal?.aborted) {
      if (program.ready.test(readFileSync(child.logFile, 'utf8'))) return child;
      await delay(10);
    }
    const outcome = child.hasExited() ? await child.exited : 'it never became ready';
    await child.kill();
    signal?.throwIfAborted();
    const end = readLogEnd(child.logFile);
    if (!program.passing?.test(end) || Date.now() > deadline) {
      throw new StartError(`${name} did not start: ${outcome}. Its log ${child.logFile}:\n${end}`);
    }
    await delay(50);
  }
}
