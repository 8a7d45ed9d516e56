import type { Role } from '#auth/viewer.ts';
import { UsageError } from '#commands/usage-error.ts';
import { Role as ROLES } from '#generated/prisma/enums.ts';
import { ConflictError } from '#lib/errors.ts';
import { recordAudit, SYSTEM_ACTOR } from '#resolvers/users/audit.ts';
import { createAccount, parseEmailField, requireGoodPassword } from '#resolvers/users/sign-up.ts';
import { parseDisplayName, parseUsername } from '#resolvers/users/username.ts';
import { readPassword, withPasswords } from './password.ts';
import { type Prepare, readOptions, requireOption } from './work.ts';

/** Nobody has confirmed the address: a password reset by mail does. */
export const prepareCreate: Prepare = async (given) => {
  const values = readOptions(given, {
    username: { type: 'string' },
    email: { type: 'string' },
    'display-name': { type: 'string' },
    role: { type: 'string' },
    'password-stdin': { type: 'boolean', default: false },
  });
  const username = parseUsername(requireOption(values.username, 'username'), '--username');
  const email = parseEmailField(requireOption(values.email, 'email'), '--email');
  const displayName = parseDisplayName(values['display-name'] ?? username, '--display-name');
  const roles = parseRoles(requireOption(values.role, 'role'));
  const password = await readPassword({ isPiped: values['password-stdin'] });
  requireGoodPassword(password, 'password', [username, email, displayName]);

  return async (database) => {
    const passwordHash = await withPasswords((passwords) => passwords.hash(password));
    await database.transaction(async (sql) => {
      const userId = await createAccount(sql, {
        username,
        displayName,
        email,
        isEmailVerified: false,
        passwordHash,
        roles,
      });
      if (userId === null) throw new ConflictError('The username or e-mail address is taken');
      await recordAudit(sql, SYSTEM_ACTOR, {
        action: 'ACCOUNT_CREATED',
        subject: { type: 'User', id: userId },
        details: { by: 'COMMAND_LINE', roles },
      });
    });
    return { lines: [`${username} may sign in: ${roles.join(', ')}`] };
  };
};

function parseRoles(text: string): Role[] {
  const roles = text.split(',').map((role) => role.trim().toUpperCase());
  const unknown = roles.find((role) => !isRole(role));
  if (unknown !== undefined) {
    const known = Object.keys(ROLES).join(', ');
    throw new UsageError(`There is no role ${JSON.stringify(unknown)}: there are ${known}`);
  }
  return [...new Set(roles.filter(isRole))];
}

function isRole(text: string): text is Role {
  return Object.hasOwn(ROLES, text);
}
