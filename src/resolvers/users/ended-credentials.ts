import type { Credential } from '#auth/credential.ts';
import type { Config } from '#config.ts';
import type { Sql } from '#database/client.ts';
import { FIND_ENDED } from './credential-statements.ts';

/**
 * Those of the credentials that count no more. One statement for each kind, however many they are, and
 * almost nothing to read while they stand: for what is open, and asks again and again.
 */
export type FindEnded = (credentials: readonly Credential[]) => Promise<Credential[]>;

type Of<Kind extends Credential['kind']> = Extract<Credential, { kind: Kind }>;

/** Asking counts as use of those that stand, as any call does. */
export function createEndedFinder(
  sql: Sql,
  { sessionIdleHours }: Pick<Config, 'sessionIdleHours'>,
): FindEnded {
  const find = async (
    credentials: readonly Credential[],
    statement: string,
    values: readonly unknown[],
    name: string,
  ): Promise<Credential[]> => {
    if (credentials.length === 0) return [];
    const rows = await sql.query<{ place: number }>(statement, values, name);
    const places = new Set(rows.map(({ place }) => place));
    return credentials.filter((_, index) => places.has(index + 1));
  };

  return async (credentials) => {
    const tokens = credentials.filter((one): one is Of<'token'> => one.kind === 'token');
    const cookies = credentials.filter((one): one is Of<'cookie'> => one.kind === 'cookie');
    const access = credentials.filter((one): one is Of<'access'> => one.kind === 'access');
    const ids = access.map(({ sessionId }) => sessionId);
    const ends = access.map(({ expiresAt }) => expiresAt);
    const ended = await Promise.all([
      find(tokens, FIND_ENDED.tokens, [tokens.map(toBytes)], 'find-ended-tokens'),
      find(
        cookies,
        FIND_ENDED.cookies,
        [cookies.map(toBytes), sessionIdleHours],
        'find-ended-cookies',
      ),
      find(access, FIND_ENDED.access, [ids, sessionIdleHours, ends], 'find-ended-access'),
    ]);
    return ended.flat();
  };
}

function toBytes({ hash }: { readonly hash: string }): Buffer {
  return Buffer.from(hash, 'hex');
}
