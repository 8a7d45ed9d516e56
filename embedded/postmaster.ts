// PostgreSQL's own lock on a data folder. It believes any live pid that the file names, which after
// a kill -9 may be a zombie or, in a container, quite another program; then it would refuse to
// start for ever.
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sendSignal } from './pid-file.ts';

const STOP_TIMEOUT_MS = 20_000;

/** Ends a server that still runs on this data folder, and removes the lock of one that does not. */
export async function clearPostmaster(dataFolder: string): Promise<void> {
  const lock = path.join(dataFolder, 'postmaster.pid');
  const pid = readPid(lock);
  if (pid === null) return;
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    if (!servesFolder(pid, dataFolder)) break;
    sendSignal(pid, signal);
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (servesFolder(pid, dataFolder) && Date.now() < deadline) await delay(20);
  }
  // A pid that nobody has is left to PostgreSQL, whose check of the shared memory needs the file.
  if (exists(pid)) rmSync(lock, { force: true });
}

function readPid(lock: string): number | null {
  try {
    const pid = Number(readFileSync(lock, 'utf8').split('\n')[0]);
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}

function servesFolder(pid: number, dataFolder: string): boolean {
  try {
    if (process.platform === 'linux') {
      return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataFolder);
    }
    const command = execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return command.includes(dataFolder);
  } catch {
    return false;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
