import { chownSync, mkdirSync } from 'node:fs';
import { succeeds } from './programs.ts';

export interface Unprivileged {
  /** Goes in front of the command. */
  readonly prefix: readonly string[];
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Makes a folder that such a process can write. */
  makeFolder(folder: string): void;
}

const NOBODY = 65534;

/**
 * How to run a program that refuses to be root, as PostgreSQL does; nothing special for everybody
 * else.
 */
export function dropRoot(): Unprivileged {
  function makeFolder(folder: string): void {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }
  if (process.getuid?.() !== 0) return { prefix: [], makeFolder };
  // Best: a user namespace. Files stay root's own, so that it works below a home folder closed to
  // others.
  const prefix = ['unshare', '--user', `--map-user=${NOBODY}`, `--map-group=${NOBODY}`];
  if (succeeds([...prefix, 'true'])) return { prefix, makeFolder };
  // Containers often forbid namespaces.
  return {
    prefix: [],
    user: { uid: NOBODY, gid: NOBODY },
    makeFolder(folder) {
      makeFolder(folder);
      chownSync(folder, NOBODY, NOBODY);
    },
  };
}
