// What commands stand on: the database that the environment names, or that of the running `npm run dev`.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createDatabase, type Database } from '#database/client.ts';
import { UsageError } from './usage-error.ts';

export interface Place {
  readonly databaseUrl: string;
  /** Whether it is the `npm run dev` of this checkout, which needs no settings. */
  readonly isDev: boolean;
}

/** DATABASE_URL, or the running `npm run dev` of this checkout. Throws `UsageError` without either. */
export function findPlace(): Place {
  const given = process.env['DATABASE_URL'];
  if (given) return { databaseUrl: given, isDev: false };
  const file = resolve(import.meta.dirname, '../../.data/dev.json');
  if (!existsSync(file)) throw new UsageError('Start `npm run dev` first, or set DATABASE_URL');
  const { databaseUrl } = JSON.parse(readFileSync(file, 'utf8')) as { databaseUrl: string };
  return { databaseUrl, isDev: true };
}

/** Closed when the work is over, however it ended. */
export async function withDatabase<Result>(
  { databaseUrl }: Place,
  work: (database: Database) => Promise<Result>,
): Promise<Result> {
  const database = createDatabase({
    connectionString: databaseUrl,
    poolMax: 2,
    onIdleError: () => {},
  });
  try {
    return await work(database);
  } finally {
    await database.close();
  }
}
