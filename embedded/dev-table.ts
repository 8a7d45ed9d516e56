import path from 'node:path';
import { SEED_PASSWORD } from '../prisma/seed.ts';
import type { EmbeddedServer } from './server.ts';

export interface DevParts {
  readonly root: string;
  readonly postgres: EmbeddedServer | null;
  readonly redis: EmbeddedServer | null;
  readonly nats: EmbeddedServer | null;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly natsUrl: string | null;
  /** Where the app answers, without a slash at the end. */
  readonly url: string;
  readonly appLogFile: string;
}

/** What runs where, and what to try first; the one thing `npm run dev` prints when it is ready. */
export function describeParts(parts: DevParts): string {
  const { root, postgres, redis, nats, url } = parts;
  const noNats = ['NATS', 'none: the bus runs on PostgreSQL', '', ''];
  const rows = [
    ['PART', 'ENGINE', 'ADDRESS', 'DATA AND LOG'],
    describeServer('PostgreSQL', postgres, parts.databaseUrl, 'DATABASE_URL', root),
    describeServer('Redis', redis, parts.redisUrl, 'REDIS_URL', root),
    parts.natsUrl === null ? noNats : describeServer('NATS', nats, parts.natsUrl, 'NATS_URL', root),
    [
      'Naru',
      `Node ${process.versions.node}`,
      new URL(url).host,
      path.relative(root, parts.appLogFile),
    ],
  ];
  const links = [
    ['GraphQL and GraphiQL', `${url}/graphql`],
    ['Sign in', `${url}/account, as alice with the password: ${SEED_PASSWORD}`],
    ['Mail that was sent', `${url}/dev/mail`],
    ['Webhooks', `${url}/webhook/github`],
    ['Health', `${url}/health`],
    ['A token', 'npm run --silent token -- --user alice'],
    ['Stop', 'Ctrl-C; start empty again: rm -rf .data'],
  ];
  return `\n${align(rows)}\n\n${align(links)}\n`;
}

function describeServer(
  part: string,
  server: EmbeddedServer | null,
  url: string,
  variable: string,
  root: string,
): string[] {
  const address = describeAddress(url);
  if (server === null) return [part, `yours (${variable})`, address, ''];
  const data = server.dataFolder === null ? 'in memory' : path.relative(root, server.dataFolder);
  return [part, server.engine, address, `${data}, ${path.relative(root, server.logFile)}`];
}

/** Without user and password. */
function describeAddress(urls: string): string {
  const hosts = urls.split(',').map((text) => {
    const { host, pathname } = new URL(text);
    return host + (pathname === '/' ? '' : pathname);
  });
  return hosts.join(', ');
}

function align(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
    )
    .join('\n');
}
