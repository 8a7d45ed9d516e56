import { randomBytes } from 'node:crypto';
import type { Sql } from '#database/client.ts';
import { parseEmail } from '#lib/email.ts';
import { ConflictError, InvalidInputError } from '#lib/errors.ts';
import type { GitHubUser } from '#outbound/github.ts';
import { createAccount } from './sign-up.ts';
import { parseDisplayName, parseUsername } from './username.ts';

const USERNAME_CHARACTERS_MAX = 32;
const SUFFIX_BYTES = 3;
const ATTEMPTS_MAX = 5;

/**
 * A new account for somebody whom GitHub vouches for, without a password; returns its id. The name is
 * the login's, with a suffix where that is taken. An address that an account has already is left out:
 * whoever owns it at GitHub does not own that account, and accounts are never merged.
 */
export async function createGitHubAccount(
  sql: Sql,
  { person, email }: { readonly person: GitHubUser; readonly email: string | null },
): Promise<string> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const free = email === null ? null : await freeEmail(sql, email);
    const userId = await createAccount(sql, {
      username: usernameOf(person.login, attempt),
      displayName: displayNameOf(person),
      avatarUrl: person.avatarUrl,
      email: free,
      isEmailVerified: free !== null,
      passwordHash: null,
      roles: ['USER'],
    });
    if (userId !== null) return userId;
  }
  throw new ConflictError('No free username was found: try again');
}

async function freeEmail(sql: Sql, text: string): Promise<string | null> {
  const email = parseEmail(text);
  const [taken] = await sql.query('SELECT id FROM users WHERE email = $1', [email]);
  return taken === undefined ? email : null;
}

/** An Enterprise Server's logins have characters that ours have not, and any may be too long or short. */
function usernameOf(login: string, attempt: number): string {
  const suffix = attempt === 0 ? '' : `-${randomBytes(SUFFIX_BYTES).toString('hex')}`;
  const wanted = login
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]/g, '-')
    .slice(0, USERNAME_CHARACTERS_MAX - suffix.length)
    .replaceAll(/^[._-]+|[._-]+$/g, '');
  const username = wanted.length < 3 ? `github-${wanted || 'user'}` : wanted;
  return parseUsername(username + suffix, 'login');
}

function displayNameOf({ name, login }: GitHubUser): string {
  try {
    return parseDisplayName(name ?? login, 'name');
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    return parseDisplayName(login, 'login');
  }
}
