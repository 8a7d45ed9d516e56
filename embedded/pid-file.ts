// A pid alone proves nothing: it may belong to another program by now. So a pid file also keeps
// when its process started, and a process is believed, or signalled, only when both agree.
import { execFileSync } from 'node:child_process';
import { globSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface PidRecord {
  readonly pid: number;
  readonly startedAt: string;
  /** What asks this process to end in order. */
  readonly stopSignal: NodeJS.Signals;
}

const STOP_TIMEOUT_MS = 10_000;

export function writePidFile(file: string, pid: number, stopSignal: NodeJS.Signals): void {
  const record: PidRecord = { pid, startedAt: readStartTime(pid) ?? 'ended', stopSignal };
  writeFileSync(file, JSON.stringify(record));
}

/**
 * Writes the file for this process; returns the pid of the live process that holds it already, else
 * null.
 */
export function claimPidFile(file: string): number | null {
  // Linked into place, so that nobody ever sees it half written and takes it for a dead one's.
  const draft = `${file}.${process.pid}`;
  writePidFile(draft, process.pid, 'SIGTERM');
  try {
    for (;;) {
      try {
        linkSync(draft, file);
        return null;
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      }
      const holder = readLiveProcess(file);
      if (holder !== null) return holder.pid;
      rmSync(file, { force: true });
    }
  } finally {
    rmSync(draft);
  }
}

/** Removes the file if it is (still) about this pid. */
export function removePidFile(file: string, pid: number): void {
  if (readRecord(file)?.pid === pid) rmSync(file, { force: true });
}

/** The process that the file is about, or null when it has ended. */
export function readLiveProcess(file: string): PidRecord | null {
  const record = readRecord(file);
  return record !== null && isAlive(record) ? record : null;
}

/**
 * Ends every process that has a pid file in the folder, with SIGKILL where asking does not help;
 * `pattern` reaches further, e.g. `**\/*.pid` into the folders below.
 */
export async function stopLeftovers(folder: string, pattern = '*.pid'): Promise<void> {
  const files = globSync(pattern, { cwd: folder }).map((name) => path.join(folder, name));
  await Promise.all(
    files.map(async (file) => {
      const record = readLiveProcess(file);
      if (record !== null && record.pid !== process.pid) await stopLeftover(record);
    }),
  );
}

async function stopLeftover(record: PidRecord): Promise<void> {
  for (const signal of [record.stopSignal, 'SIGKILL'] as const) {
    sendSignal(record.pid, signal);
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (isAlive(record)) {
      if (Date.now() > deadline) break;
      await delay(20);
    }
  }
}

/**
 * Signals a process, or its whole group when the number is negative; one that has ended is no
 * error.
 */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

function isAlive(record: PidRecord): boolean {
  return readStartTime(record.pid) === record.startedAt;
}

function readRecord(file: string): PidRecord | null {
  try {
    const record: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return isPidRecord(record) ? record : null;
  } catch {
    // Absent, or cut short by a power cut: nothing can be said about any process.
    return null;
  }
}

function isPidRecord(value: unknown): value is PidRecord {
  return typeof value === 'object' && value !== null && 'pid' in value && 'startedAt' in value;
}

function readStartTime(pid: number): string | null {
  try {
    if (process.platform !== 'linux') {
      return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    }
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The program's name, in parentheses, may hold spaces; the fields after it do not.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Where nobody reaps, a process that has ended stays as a zombie for ever.
    if (fields[0] === 'Z' || fields[0] === 'X') return null;
    // In ticks since the machine's start, hence together with which start that was.
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot}/${fields[19]}`;
  } catch {
    return null;
  }
}
