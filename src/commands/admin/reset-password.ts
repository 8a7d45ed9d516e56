import { setPassword } from '#resolvers/users/set-password.ts';
import { parseUsername } from '#resolvers/users/username.ts';
import { readPassword, withPasswords } from './password.ts';
import { type Prepare, readOptions, requireOption } from './work.ts';

export const prepareResetPassword: Prepare = async (given) => {
  const values = readOptions(given, {
    username: { type: 'string' },
    'password-stdin': { type: 'boolean', default: false },
  });
  const username = parseUsername(requireOption(values.username, 'username'), '--username');
  const password = await readPassword({ isPiped: values['password-stdin'] });
  return async (database) => {
    const { endedSessions } = await withPasswords((passwords) =>
      setPassword({ database, passwords }, { username, password }),
    );
    return { lines: [`${username} has another password; sessions ended: ${endedSessions}`] };
  };
};
