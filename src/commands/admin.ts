// `npm run --silent admin -- COMMAND`: what cannot, or should not, wait for somebody to be signed in.

import { prepareCreate } from '#commands/admin/create.ts';
import { prepareInvite } from '#commands/admin/invite.ts';
import { prepareResetPassword } from '#commands/admin/reset-password.ts';
import { prepareRotateSigningKey } from '#commands/admin/rotate-signing-key.ts';
import { prepareVerifyAudit } from '#commands/admin/verify-audit.ts';
import type { Prepare } from '#commands/admin/work.ts';
import { findPlace, withDatabase } from './database.ts';
import { exitWith } from './exit.ts';
import { UsageError } from './usage-error.ts';

const COMMANDS: Readonly<Record<string, Prepare>> = {
  create: prepareCreate,
  'reset-password': prepareResetPassword,
  invite: prepareInvite,
  'rotate-signing-key': prepareRotateSigningKey,
  'verify-audit': prepareVerifyAudit,
};

const HELP = `Usage: npm run --silent admin -- COMMAND

  create --username NAME --email ADDRESS --role ROLE[,ROLE] [--display-name TEXT] [--password-stdin]
      Makes an account. Roles: USER, OPERATOR, AUDITOR, ADMIN. This is how the first ADMIN is made.
  reset-password --username NAME [--password-stdin]
      Sets an account's password, and ends its sessions, personal access tokens and link to GitHub.
  invite
      Prints a code for one sign-up within 7 days, where SIGNUP=invite.
  rotate-signing-key
      Signs access tokens with a new key from now on. Needs the SECRET_KEY of the nodes.
  verify-audit [--head HEX]
      Reads the audit log's whole chain, and prints its head. --head: a head that was kept before.

A password is asked for on the terminal, or read from standard input with --password-stdin.
The database is DATABASE_URL, or that of the running \`npm run dev\`.
Exit codes: 0 done, 1 could not be done or is at fault, 2 what was typed is at fault.
`;

await main(process.argv.slice(2));

async function main([name = '', ...given]: readonly string[]): Promise<void> {
  if (name === '--help' || name === 'help' || given.includes('--help')) {
    process.stdout.write(HELP);
    return;
  }
  try {
    const prepare = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (prepare === undefined) {
      const what = name === '' ? 'Name a command' : `There is no command ${JSON.stringify(name)}`;
      throw new UsageError(`${what}: ${Object.keys(COMMANDS).join(', ')}, or --help`);
    }
    const work = await prepare(given);
    const place = findPlace();
    const { lines, fault } = await withDatabase(place, (database) => work(database, place));
    process.stdout.write(lines.map((line) => `${line}\n`).join(''));
    if (fault !== undefined) exitWith(new Error(fault));
  } catch (error) {
    exitWith(error);
  }
}
