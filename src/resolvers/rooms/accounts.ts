import type { Sql } from '#database/client.ts';
import { InvalidInputError } from '#lib/errors.ts';
import { parseUsername } from '#resolvers/users/username.ts';

export const ACCOUNTS_MAX = 100;

export interface NamedAccounts {
  readonly userIds?: readonly string[] | null | undefined;
  readonly usernames?: readonly string[] | null | undefined;
}

export type NamedAccount = { readonly userId: string } | { readonly username: string };

/**
 * Ids of the accounts, each once, those named by id first. Throws `InvalidInputError` for too many, and for the first
 * that is not there, which its `field` names.
 */
export async function findAccounts(
  sql: Sql,
  { userIds, usernames }: NamedAccounts,
): Promise<string[]> {
  const ids = userIds ?? [];
  const names = (usernames ?? []).map((name, index) =>
    parseUsername(name, `input.usernames.${index}`),
  );
  if (ids.length + names.length > ACCOUNTS_MAX) {
    throw new InvalidInputError(
      `At most ${ACCOUNTS_MAX} accounts at once`,
      names.length === 0 ? 'input.userIds' : 'input.usernames',
    );
  }
  if (ids.length + names.length === 0) return [];
  const known = await readAccounts(sql, ids, names);
  const byId = ids.map((id, index) => known.get(id) ?? refuse(`input.userIds.${index}`));
  const byName = names.map((name, index) => known.get(name) ?? refuse(`input.usernames.${index}`));
  return [...new Set([...byId, ...byName])];
}

/** As `findAccounts`, of one. */
export async function findAccount(sql: Sql, named: NamedAccount): Promise<string> {
  if ('userId' in named) {
    const { userId } = named;
    return (await readAccounts(sql, [userId], [])).get(userId) ?? refuse('input.userId');
  }
  const name = parseUsername(named.username, 'input.username');
  return (await readAccounts(sql, [], [name])).get(name) ?? refuse('input.username');
}

/** Ids by what the accounts were named by: no name looks like an id, which is longer. */
async function readAccounts(
  sql: Sql,
  ids: readonly string[],
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await sql.query<{ id: string; username: string }>(
    `SELECT id, username FROM users
     WHERE (id = ANY($1::uuid[]) OR username = ANY($2)) AND deleted_at IS NULL`,
    [ids, names],
    'find-named-accounts',
  );
  return new Map(
    rows.flatMap(({ id, username }): [string, string][] => [
      [id, id],
      [username, id],
    ]),
  );
}

function refuse(field: string): never {
  throw new InvalidInputError('There is no such account', field);
}
