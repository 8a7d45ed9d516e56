import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** The full path of a program on PATH, or null. */
export function findProgram(name: string): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter)) {
    const file = path.join(folder, process.platform === 'win32' ? `${name}.exe` : name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** The first version number in what `<program> --version` prints, e.g. `18.4` or `2.9.10`. */
export function readVersion(program: string): string {
  const output = execFileSync(program, ['--version'], { encoding: 'utf8' });
  return /\d+(\.\d+)+/.exec(output)?.[0] ?? 'of unknown version';
}

/** Whether `version` is at least `minimum`, number by number. */
export function isAtLeast(version: string, minimum: string): boolean {
  return version.localeCompare(minimum, 'en', { numeric: true }) >= 0;
}

/** Whether a command exists and ends well; for probing what this system permits. */
export function succeeds(command: readonly string[]): boolean {
  const [program, ...args] = command;
  return program !== undefined && spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}
