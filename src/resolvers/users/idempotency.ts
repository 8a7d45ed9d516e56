// Mutations that count once: the same call again, by the same account with the same key, is answered from
// what the first one did. Here because a key belongs to an account, and every domain may call this one.
import type { Viewer } from '#auth/viewer.ts';
import type { Context, Origin, Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import {
  IdempotencyInProgressError,
  IdempotencyMismatchError,
  InvalidInputError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { fingerprintOf } from '#lib/fingerprint.ts';

export const IDEMPOTENCY_HOURS = 24;
export const IDEMPOTENCY_KEYS_MAX = 1_000;

const KEY = /^[\x21-\x7e]{1,255}$/;
const STEP_ROWS = 5_000;
const STEPS_MAX = 200;

/** Ids and counts: what an answer can be made from again, with nothing that is shown once or may be revoked. */
export type Reference = Readonly<Record<string, string | number | boolean | null>>;

export interface OnceCall<Fresh, Replayed, Known extends Reference> {
  /** The mutation's name: a key counts for one. */
  readonly field: string;
  /** As coerced, so that what means the same is the same; the key is a part of it and of no fingerprint. */
  readonly input: { readonly idempotencyKey?: string | null | undefined };
  readonly effect: () => Promise<{ readonly answer: Fresh; readonly reference: Known }>;
  /**
   * Answers again, by what the viewer may see now; throws what a first call would where that is gone. The
   * reference may be that of a node of another version, so its fields keep their meaning.
   */
  readonly replay: (reference: Known) => Promise<Replayed>;
}

/**
 * Runs the effect in the caller's transaction, and there is nothing after it but the commit; or answers
 * again what it did before. Without a key it just runs. What the effect throws takes the key with it, and
 * so does a crash: both happen, or neither. The lock of the key is only tried, so no order of locks
 * matters to it. Throws `InvalidInputError` for a key that is none, `IdempotencyInProgressError`,
 * `IdempotencyMismatchError`, and `RateLimitedError` past 1,000 keys of the field in the last 24 hours.
 */
export async function runOnce<Fresh, Replayed, Known extends Reference>(
  sql: Sql,
  { origin }: Pick<Context, 'origin'>,
  { userId }: Pick<Viewer, 'userId'>,
  { field, input, effect, replay }: OnceCall<Fresh, Replayed, Known>,
): Promise<Fresh | Replayed> {
  const { idempotencyKey, ...rest } = input;
  const key = readKey(origin, idempotencyKey);
  if (key === null) return (await effect()).answer;
  // The key itself is stored nowhere: who knows what a client writes into it.
  const hash = fingerprintOf([userId, field, key]);
  const fingerprint = fingerprintOf(rest);
  const isMine = await tryKey(sql, hash);
  // A statement of its own: the one that took the lock does not see what its last holder stored. And
  // without the lock, too: another replay may hold it, and what is stored is done.
  const known = await findReference<Known>(sql, hash, fingerprint);
  if (known !== null) {
    const answer = await replay(known);
    noteReplay(origin, field);
    return answer;
  }
  if (!isMine) {
    throw new IdempotencyInProgressError('A call with this idempotency key is under way still');
  }
  // Once before, so that what is refused costs nothing; once more when it is stored, which is exact.
  await requireRoom(sql, userId, field);
  const { answer, reference } = await effect();
  await storeReference(sql, { hash, userId, field, fingerprint, reference });
  return answer;
}

/** The key of the input, or of the header; null where neither is given. */
function readKey({ idempotencyKey: header }: Origin, given: string | null | undefined) {
  if (given != null && header !== null && given !== header) throw invalid('is not the header’s');
  const key = given ?? header;
  if (key !== null && !KEY.test(key)) throw invalid('has 1–255 printable ASCII characters');
  return key;
}

function invalid(what: string): InvalidInputError {
  return new InvalidInputError(`The idempotency key ${what}`, 'input.idempotencyKey');
}

/** Takes the lock of the key until the transaction ends; false where somebody has it. */
async function tryKey(sql: Sql, hash: Buffer): Promise<boolean> {
  const [tried] = await sql.query<{ isMine: boolean }>(
    'SELECT pg_try_advisory_xact_lock($1) AS "isMine"',
    [hash.readBigInt64BE()],
    'try-idempotency-key',
  );
  return tried?.isMine === true;
}

async function findReference<Known extends Reference>(
  sql: Sql,
  hash: Buffer,
  fingerprint: Buffer,
): Promise<Known | null> {
  const [known] = await sql.query<{ fingerprint: Buffer; reference: Known }>(
    `SELECT fingerprint, reference FROM idempotency_key
     WHERE hash = $1 AND expires_at > naru_now()`,
    [hash],
    'find-idempotency-key',
  );
  if (known === undefined) return null;
  if (!known.fingerprint.equals(fingerprint)) {
    throw new IdempotencyMismatchError('This idempotency key was used for other input');
  }
  return known.reference;
}

/** For each mutation: a leaked token that may call one of them must not use up the keys of the others. */
async function requireRoom(sql: Sql, userId: string, field: string): Promise<void> {
  const [live] = await sql.query<{ keys: number; seconds: number | null }>(
    `SELECT count(*)::int AS keys,
       ceil(extract(epoch FROM min(expires_at) - naru_now()))::int AS seconds
     FROM idempotency_key
     WHERE user_id = $1 AND field = $2 AND expires_at > (SELECT naru_now())`,
    [userId, field],
    'count-idempotency-keys',
  );
  if (live === undefined || live.keys < IDEMPOTENCY_KEYS_MAX) return;
  throw new RateLimitedError(
    `An account uses at most ${IDEMPOTENCY_KEYS_MAX} idempotency keys for a mutation in ${IDEMPOTENCY_HOURS} hours`,
    Math.max(1, live.seconds ?? 1),
  );
}

async function storeReference(
  sql: Sql,
  call: {
    readonly hash: Buffer;
    readonly userId: string;
    readonly field: string;
    readonly fingerprint: Buffer;
    readonly reference: Reference;
  },
): Promise<void> {
  const { hash, userId, field, fingerprint, reference } = call;
  // The account's keys are counted one after another; and whoever deletes the account comes before, so
  // that nothing is stored, or after, and erases it.
  const [account] = await sql.query(
    'SELECT id FROM users WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE',
    [userId],
    'lock-idempotency-account',
  );
  if (account === undefined) throw new UnauthenticatedError('The account was deleted meanwhile');
  await requireRoom(sql, userId, field);
  // What is there already has expired, and is not pruned yet.
  await sql.query(
    `INSERT INTO idempotency_key (hash, user_id, field, fingerprint, reference, expires_at)
     VALUES ($1, $2, $3, $4, $5, naru_now() + interval '${IDEMPOTENCY_HOURS} hours')
     ON CONFLICT (hash) DO UPDATE SET fingerprint = excluded.fingerprint,
       reference = excluded.reference, created_at = naru_now(), expires_at = excluded.expires_at`,
    [hash, userId, field, fingerprint, JSON.stringify(reference)],
    'store-idempotency-key',
  );
}

function noteReplay({ notes: { headers, extensions } }: Origin, field: string): void {
  headers['idempotency-replayed'] = 'true';
  const known = extensions['idempotency'] as { readonly replayed: readonly string[] } | undefined;
  extensions['idempotency'] = { replayed: [...(known?.replayed ?? []), field] };
}

/** Removes keys that have expired. A run ends after so many steps, and the next one goes on. */
export async function pruneIdempotencyKeys({
  database,
}: Pick<Services, 'database'>): Promise<void> {
  for (let step = 0; step < STEPS_MAX; step += 1) {
    // What a call is just replacing is passed over: it is not old any more.
    const removed = await database.query(
      `DELETE FROM idempotency_key WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM idempotency_key WHERE expires_at <= naru_now()
         LIMIT ${STEP_ROWS} FOR UPDATE SKIP LOCKED)) RETURNING 1`,
    );
    if (removed.length < STEP_ROWS) return;
  }
}
