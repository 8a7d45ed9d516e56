// `npm run --silent token -- --user alice`: prints a new token for the account, and nothing else.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ALL_SCOPES, isScope, type Scope } from '#auth/scopes.ts';
import { createDatabase } from '#database/client.ts';
import { createPrisma } from '#database/prisma.ts';
import { DomainError } from '#lib/errors.ts';
import { issueToken } from '#resolvers/users/personal-access-token.ts';

const USAGE = `Usage: npm run --silent token -- --user NAME [--scopes ${ALL_SCOPES.join(',')}] [--days 90]`;

await main();

async function main(): Promise<void> {
  const database = createDatabase({
    connectionString: findDatabase(),
    poolMax: 2,
    onIdleError: () => {},
  });
  try {
    const { token } = await issueToken(
      { database, prisma: createPrisma(database) },
      readArguments(),
    );
    process.stdout.write(`${token}\n`);
  } catch (error) {
    if (error instanceof DomainError) fail(error.message);
    fail(`The database does not answer: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await database.close();
  }
}

function readArguments(): { username: string; scopes: readonly Scope[]; expiresInDays: number } {
  try {
    const { values } = parseArgs({
      options: {
        user: { type: 'string' },
        scopes: { type: 'string' },
        days: { type: 'string', default: '90' },
      },
    });
    if (values.user === undefined) throw new TypeError('Name the account with --user');
    const scopes = values.scopes?.split(',').map((scope) => scope.trim()) ?? ALL_SCOPES;
    const unknown = scopes.find((scope) => !isScope(scope));
    if (unknown !== undefined) throw new TypeError(`There is no scope ${JSON.stringify(unknown)}`);
    return {
      username: values.user,
      scopes: scopes.filter(isScope),
      expiresInDays: Number(values.days),
    };
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  }
}

/** DATABASE_URL, or the running `npm run dev` of this checkout. */
function findDatabase(): string {
  const given = process.env['DATABASE_URL'];
  if (given) return given;
  const file = resolve(import.meta.dirname, '../../.data/dev.json');
  if (!existsSync(file)) fail('Start `npm run dev` first, or set DATABASE_URL');
  return (JSON.parse(readFileSync(file, 'utf8')) as { databaseUrl: string }).databaseUrl;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
