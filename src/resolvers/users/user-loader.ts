import type { Account } from '#auth/viewer.ts';
import type { Sql } from '#database/client.ts';
import { createBatcher } from '#lib/batch.ts';

/** An account as it is now, whoever asks; calls of one moment, of whatever requests, share a statement. */
export type UserLoader = (id: string) => Promise<Account | undefined>;

export function createUserLoader(sql: Sql): UserLoader {
  return createBatcher<string, Account>(
    async (ids) => {
      const rows = await sql.query<Account>(
        `SELECT id, username, display_name AS "displayName", avatar_url AS "avatarUrl", email,
           email_verified_at AS "emailVerifiedAt", roles::text[] AS roles,
           disabled_at AS "disabledAt", deleted_at AS "deletedAt",
           created_at AS "createdAt", updated_at AS "updatedAt"
         FROM users WHERE id = ANY($1)`,
        [ids],
        'load-users',
      );
      return new Map(rows.map((row) => [row.id, row]));
    },
    { concurrency: 2, keysMax: 1_000 },
  );
}
