import { createToken, hashToken, isToken } from '#auth/tokens.ts';
import type { Sql } from '#database/client.ts';
import type { OneTimePurpose } from '#generated/prisma/enums.ts';
import { newId } from '#lib/ids.ts';

/** How long each kind counts, in minutes. */
export const ONE_TIME_MINUTES: Readonly<Record<OneTimePurpose, number>> = {
  SIGN_UP: 24 * 60,
  VERIFY_EMAIL: 24 * 60,
  RESET_PASSWORD: 30,
  INVITATION: 7 * 24 * 60,
  GITHUB_STATE: 10,
};

export interface OneTimeToken<Payload> {
  readonly id: string;
  readonly userId: string | null;
  readonly payload: Payload;
}

/** The token is returned this once: only its hash is stored. */
export async function createOneTimeToken(
  sql: Sql,
  input: {
    readonly purpose: OneTimePurpose;
    readonly userId: string | null;
    readonly payload: object;
  },
): Promise<{ readonly id: string; readonly token: string; readonly expiresAt: Date }> {
  const token = createToken('oneTimeToken');
  const [row] = await sql.query<{ id: string; expiresAt: Date }>(
    `INSERT INTO one_time_token (id, purpose, token_hash, user_id, payload, expires_at)
     VALUES ($1, $2, $3, $4, $5, naru_now() + $6 * interval '1 minute')
     RETURNING id, expires_at AS "expiresAt"`,
    [
      newId(),
      input.purpose,
      hashToken(token),
      input.userId,
      JSON.stringify(input.payload),
      ONE_TIME_MINUTES[input.purpose],
    ],
    'create-one-time-token',
  );
  if (row === undefined) throw new Error('A one-time token was not stored');
  return { token, ...row };
}

const COUNTS = 'purpose = $1 AND token_hash = $2 AND expires_at > naru_now()';
const RETURNED = 'id, user_id AS "userId", payload';

/** What the token stands for while it counts; null otherwise. It may be used before it is consumed. */
export async function findOneTimeToken<Payload>(
  sql: Sql,
  purpose: OneTimePurpose,
  token: string,
): Promise<OneTimeToken<Payload> | null> {
  if (!isToken('oneTimeToken', token)) return null;
  const [found] = await sql.query<OneTimeToken<Payload>>(
    `SELECT ${RETURNED} FROM one_time_token WHERE ${COUNTS}`,
    [purpose, hashToken(token)],
    'find-one-time-token',
  );
  return found ?? null;
}

/**
 * One of many who try gets it; the others get null. Undone when the transaction is. Nothing of it is
 * kept: what it stands for may be personal, and has another place from now on.
 */
export async function consumeOneTimeToken<Payload>(
  sql: Sql,
  purpose: OneTimePurpose,
  token: string,
): Promise<OneTimeToken<Payload> | null> {
  if (!isToken('oneTimeToken', token)) return null;
  return consumeOneTimeHash(sql, purpose, hashToken(token).toString('hex'));
}

/** The same by the token's hash, in hex, for what was shown before. */
export async function consumeOneTimeHash<Payload>(
  sql: Sql,
  purpose: OneTimePurpose,
  hash: string,
): Promise<OneTimeToken<Payload> | null> {
  const [consumed] = await sql.query<OneTimeToken<Payload>>(
    `DELETE FROM one_time_token WHERE ${COUNTS} RETURNING ${RETURNED}`,
    [purpose, Buffer.from(hash, 'hex')],
    'consume-one-time-token',
  );
  return consumed ?? null;
}

/** What was asked for before counts no more: a new password or address makes the old mails worthless. */
export async function dropOneTimeTokens(
  sql: Sql,
  userId: string,
  purposes: readonly OneTimePurpose[],
): Promise<void> {
  await sql.query(
    'DELETE FROM one_time_token WHERE user_id = $1 AND purpose = ANY($2::one_time_purpose[])',
    [userId, purposes],
  );
}
