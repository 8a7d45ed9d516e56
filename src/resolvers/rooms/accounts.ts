import type { Sql } from '#database/client.ts';
import { InvalidInputError, NotFoundError } from '#lib/errors.ts';
import { parseUsername } from '#resolvers/users/username.ts';

export const ACCOUNTS_MAX = 100;

export interface NamedAccounts {
  readonly userIds?: readonly string[] | null | undefined;
  readonly usernames?: readonly string[] | null | undefined;
}

/**
 * Ids of the accounts, each once, those named by id first. Whether an id is one of an account is not looked at:
 * who lets it into a room does. Throws `InvalidInputError` for too many, and `NotFoundError` that names who is
 * not there.
 */
export async function findAccounts(
  sql: Sql,
  { userIds, usernames }: NamedAccounts,
): Promise<string[]> {
  const ids = userIds ?? [];
  const names = (usernames ?? []).map((name) => parseUsername(name, 'input.usernames'));
  if (ids.length + names.length > ACCOUNTS_MAX) {
    throw new InvalidInputError(
      `At most ${ACCOUNTS_MAX} accounts at once`,
      names.length === 0 ? 'input.userIds' : 'input.usernames',
    );
  }
  if (names.length === 0) return [...new Set(ids)];
  const rows = await sql.query<{ id: string; username: string }>(
    'SELECT id, username FROM users WHERE username = ANY($1) AND deleted_at IS NULL',
    [names],
    'find-accounts-by-name',
  );
  const idOf = new Map(rows.map(({ id, username }) => [username, id]));
  const missing = names.filter((name) => !idOf.has(name));
  if (missing.length > 0) {
    throw new NotFoundError(`There is no such account: ${[...new Set(missing)].join(', ')}`);
  }
  return [...new Set([...ids, ...names.flatMap((name) => idOf.get(name) ?? [])])];
}
