import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';

/** Where a server is to listen. Asked again when another program took the port in between. */
export interface Ports {
  choose(name: string, preferred: number): Promise<number>;
}

// Below the range that systems give to outgoing connections: such a port stays free while its
// server restarts.
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;

/**
 * Ports that a checkout keeps: the one used last time, else the preferred one, else a free one,
 * remembered in the file.
 */
export function createRememberedPorts(file: string): Ports {
  const remembered = readPorts(file);
  return {
    async choose(name, preferred) {
      let port = remembered[name] ?? preferred;
      if (!(await isPortFree(port))) port = preferred;
      if (!(await isPortFree(port))) port = await findFreePort();
      if (remembered[name] !== port) {
        remembered[name] = port;
        writeFileSync(file, `${JSON.stringify(remembered, null, 2)}\n`);
      }
      return port;
    },
  };
}

/** Any free port, for servers that live as long as a test run. */
export const anyPorts: Ports = { choose: findFreePort };

async function findFreePort(): Promise<number> {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
    if (await isPortFree(port)) return port;
  }
}

export async function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return (await listenError(port, host)) === null;
}

/** Why nobody can listen there, e.g. `EADDRINUSE`, `EACCES`, or null when all is well. */
export function listenError(port: number, host: string): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const probe = net.createServer();
  probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(null)));
  return promise;
}

function readPorts(file: string): Record<string, number> {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const entries = Object.entries(value ?? {});
    return Object.fromEntries(entries.filter(([, port]) => Number.isInteger(port)));
  } catch {
    // Absent, or spoiled by hand: ports are chosen anew.
    return {};
  }
}
