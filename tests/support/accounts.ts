// Accounts of a suite's own, and what is done to them through the doors.
import { randomUUID } from 'node:crypto';
import type { Role } from '#auth/viewer.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { post } from './graphql-client.ts';

/** How a world runs a statement: an app's `database.query`, or a connection to that of its nodes. */
export type Query = <Row extends object>(
  text: string,
  values?: readonly unknown[],
) => Promise<Row[]>;

export interface TestAccount {
  readonly userId: string;
  /** As the API writes it. */
  readonly id: string;
  readonly login: string;
}

/** A new account with the seeded password, beside the seeded ones. */
export async function addAccount(
  query: Query,
  roles: readonly Role[] = ['USER'],
): Promise<TestAccount> {
  const userId = newId();
  const login = `u-${randomUUID().slice(0, 24)}`;
  await query(
    `WITH account AS (
       INSERT INTO users (id, username, display_name, email, email_verified_at, roles)
       VALUES ($1, $2, 'Somebody', $2 || '@example.com', naru_now(), $3::role[]) RETURNING id
     )
     INSERT INTO password (user_id, hash) SELECT account.id, p.hash
     FROM account, password p JOIN users u ON u.id = p.user_id WHERE u.username = 'alice'`,
    [userId, login, roles],
  );
  return { userId, id: encodeGlobalId('User', userId), login };
}

/**
 * What a mutation came to: the type of its result, `INPUT` of its name being its only argument; or the
 * code of the error that it was refused with before it began.
 */
export async function run(
  url: string,
  name: string,
  input: object,
  token: string | null = null,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input`;
  const query = `mutation ($input: ${type}!) { result: ${name}(input: $input) { __typename } }`;
  const { result } = await post(url, { query, variables: { input } }, token, headers);
  return result.data?.result?.__typename ?? result.errors?.[0]?.extensions.code ?? 'NOTHING';
}

/** Who the token says is asking; null for nobody, also where the request is refused for it. */
export async function viewerOf(url: string, token: string): Promise<string | null> {
  const { result } = await post(url, { query: '{ viewer { username } }' }, token);
  return result.data?.viewer?.username ?? null;
}

/** Moves the database's clock on; never back. */
export async function passTime(query: Query, seconds: number): Promise<void> {
  await query(
    `INSERT INTO clock_offset ("offset") VALUES (make_interval(secs => $1))
     ON CONFLICT (singleton) DO UPDATE SET "offset" = clock_offset."offset" + excluded."offset"`,
    [seconds],
  );
}
