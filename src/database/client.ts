import pg from 'pg';
import { describeFailure } from './failure.ts';

export interface Sql {
  /** Throws `UnavailableError` when PostgreSQL is away or cannot answer now. */
  /** Statements with a `name` are prepared once a connection; `values` are never interpolated. */
  query<Row>(text: string, values?: readonly unknown[], name?: string): Promise<Row[]>;
}

/** Plain SQL for hot paths: one pool, shared with Prisma. */
export interface Database extends Sql {
  readonly pool: pg.Pool;
  /** Commits when `work` resolves; rolls back, and throws what it threw, when it rejects. */
  transaction<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly connectionString: string;
  readonly poolMax: number;
  /** An idle connection was lost; without a listener that would end the process. */
  readonly onIdleError: (error: Error) => void;
}

// A statement that takes longer is a fault, not a slow query: ingress and readiness depend on it.
const STATEMENT_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 5_000;
const IDLE_IN_TRANSACTION_MS = 30_000;

/** Opens nothing yet: connections are made on first use. */
export function createDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: options.connectionString,
    max: options.poolMax,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    // Of a machine that vanished in a transaction: its locks would be held until the network gives it up.
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    query_timeout: STATEMENT_TIMEOUT_MS + CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'naru',
  });
  pool.on('error', options.onIdleError);
  // A client that is just being handed out has no listener of its own for a moment, and a server that dies in
  // that moment would end this process. Whoever uses the client meets the error in the next statement.
  pool.on('connect', (client) => client.on('error', () => {}));
  return {
    pool,
    ...sqlOf(pool),
    async transaction(work) {
      const client = await pool.connect().catch((error: unknown) => {
        throw describeFailure(error);
      });
      // A connection that breaks between statements emits 'error' on the client too.
      let broken: Error | undefined;
      const onError = (error: Error) => {
        broken = error;
      };
      client.on('error', onError);
      try {
        const sql = sqlOf(client);
        await sql.query('BEGIN');
        const result = await work(sql);
        await sql.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((rollbackError: Error) => {
          broken ??= rollbackError;
        });
        throw error;
      } finally {
        client.off('error', onError);
        client.release(broken);
      }
    },
    close: () => pool.end(),
  };
}

function sqlOf(queryable: Pick<pg.Pool, 'query'>): Sql {
  return {
    async query<Row>(text: string, values: readonly unknown[] = [], name?: string) {
      const config =
        name === undefined ? { text, values: [...values] } : { name, text, values: [...values] };
      try {
        const result = await queryable.query(config);
        return result.rows as Row[];
      } catch (error) {
        throw describeFailure(error);
      }
    },
  };
}
