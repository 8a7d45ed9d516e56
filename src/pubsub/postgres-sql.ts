import pg from 'pg';
import { DomainError, UnavailableError } from '#lib/errors.ts';
import { withDeadline } from './deadline.ts';

const TIMEOUT_MS = 4_000;

// Connection, resources, operator's intervention, read-only standby, waiting too long, lost races.
const PASSING = /^(08|25006|40|53|55P03|57|58)/;

/**
 * One statement, prepared where it has a name. Rejects with `UnavailableError` for what passes, in time
 * even when the database hangs or the pool has no connection left; a mistake in the SQL stays what it is.
 */
export async function runSql<Row extends object>(
  pool: pg.Pool,
  text: string,
  values: readonly unknown[],
  name?: string,
  timeoutMs = TIMEOUT_MS,
): Promise<Row[]> {
  // The pool's own timeout ends the statement's connection, ours also covers waiting for one.
  const query = { text, values: [...values], query_timeout: timeoutMs, ...(name && { name }) };
  try {
    return (await withDeadline(pool.query<Row>(query), timeoutMs + 100)).rows;
  } catch (error) {
    if (error instanceof DomainError) throw error;
    if (error instanceof pg.DatabaseError && !PASSING.test(error.code ?? '')) throw error;
    throw new UnavailableError('The message log (PostgreSQL) cannot be reached', { cause: error });
  }
}
