// What searching costs at most. Bodies and a text can be made so that comparing them takes milliseconds each, and no
// index helps: what is bounded is the time, and how many take it at once.
import type { Context } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { RateLimitedError, UnavailableError } from '#lib/errors.ts';
import { createSlots } from '#lib/slots.ts';
import { createTurns } from '#lib/turns.ts';

/** For each, PostgreSQL works for so long and no longer. */
export const SEARCH_MS_MAX = 2_000;
/** Of this node, each with a connection of the pool. */
const AT_ONCE_MAX = 2;
const ASKED_BY_ACCOUNT_MAX = 10;
const WAIT_MS_MAX = 10_000;

const slots = createSlots(AT_ONCE_MAX);
const turns = createTurns();
const asked = new Map<string, number>();

/**
 * Lets few statements at a time search, and of an account one after another: whoever's take long hold up their own
 * and no more. Throws `RateLimitedError` where the account waits for too many, `UnavailableError` for a search that
 * takes too long, and where its turn does not come soon.
 */
export async function boundSearch<Row>(
  ctx: Context,
  userId: string,
  read: (sql: Sql) => Promise<Row[]>,
): Promise<Row[]> {
  const count = asked.get(userId) ?? 0;
  if (count >= ASKED_BY_ACCOUNT_MAX) {
    throw new RateLimitedError(
      `At most ${ASKED_BY_ACCOUNT_MAX} searches at once: wait for the answers`,
      Math.ceil(SEARCH_MS_MAX / 1_000),
    );
  }
  asked.set(userId, count + 1);
  const since = performance.now();
  try {
    return await turns(userId, () => slots(() => search(ctx, since, read)));
  } finally {
    const left = (asked.get(userId) ?? 1) - 1;
    if (left === 0) asked.delete(userId);
    else asked.set(userId, left);
  }
}

async function search<Row>(
  ctx: Context,
  since: number,
  read: (sql: Sql) => Promise<Row[]>,
): Promise<Row[]> {
  // Whoever waited in vain, or is not there any more, takes no time of those behind them.
  if (ctx.isGone() || performance.now() - since > WAIT_MS_MAX) {
    throw new UnavailableError('Too much is being searched right now: try again in a moment');
  }
  try {
    return await ctx.database.transaction(async (sql) => {
      await sql.query(`SET LOCAL statement_timeout = ${SEARCH_MS_MAX}`);
      return read(sql);
    });
  } catch (error) {
    if (!isStopped(error)) throw error;
    throw new UnavailableError('This search takes too long: search for something more specific', {
      cause: error,
    });
  }
}

const QUERY_CANCELED = '57014';

/** Whether PostgreSQL ended the statement at its time. */
function isStopped(error: unknown): boolean {
  if (!(error instanceof UnavailableError) || !(error.cause instanceof Error)) return false;
  return 'code' in error.cause && error.cause.code === QUERY_CANCELED;
}
