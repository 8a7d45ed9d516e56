// `npm run --silent token -- --user alice`: prints a new token for the account, and nothing else.
import { parseArgs } from 'node:util';
import { ALL_SCOPES, isScope, type Scope } from '#auth/scopes.ts';
import { createPrisma } from '#database/prisma.ts';
import { issueToken } from '#resolvers/users/personal-access-token.ts';
import { findPlace, withDatabase } from './database.ts';
import { exitWith } from './exit.ts';
import { UsageError } from './usage-error.ts';

const USAGE = `Usage: npm run --silent token -- --user NAME [--scopes ${ALL_SCOPES.join(',')}] [--days 90]`;

await main();

async function main(): Promise<void> {
  try {
    const input = readArguments();
    const { token } = await withDatabase(findPlace(), (database) =>
      issueToken({ database, prisma: createPrisma(database) }, input),
    );
    process.stdout.write(`${token}\n`);
  } catch (error) {
    exitWith(error);
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
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}. ${USAGE}`);
  }
}
