// Applies prisma/migrations at start, so that a deployment needs no command-line tool. It keeps the
// books of `prisma migrate deploy` (same table, rows, checksums and lock), so that both can be used
// on one database.
import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

export interface MigrateResult {
  /**
   * Names of the migrations that this call applied, oldest first; empty when there was nothing to
   * do.
   */
  readonly applied: string[];
}

/** The database and the migrations of this checkout do not fit together, or a migration failed. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

interface MigrationRow {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished_at: Date | null;
}

const PRISMA_LOCK = 72707369;
const LOCK_WAIT_SECONDS = 120;
const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));

const CREATE_TABLE = `CREATE TABLE _prisma_migrations (
    id                      VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum                VARCHAR(64) NOT NULL,
    finished_at             TIMESTAMPTZ,
    migration_name          VARCHAR(255) NOT NULL,
    logs                    TEXT,
    rolled_back_at          TIMESTAMPTZ,
    started_at              TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count     INTEGER NOT NULL DEFAULT 0
)`;

/**
 * Brings the database to this checkout's last migration; runs at the same time wait for each other.
 * Each migration and its row are one transaction: a failed or killed one leaves no trace, so that
 * the next run simply tries again. Throws `MigrationError` without changing anything when the
 * database's history is not a part of this checkout's.
 */
export async function migrate(
  connectionString: string,
  folder = MIGRATIONS_FOLDER,
): Promise<MigrateResult> {
  const migrations = await readMigrations(folder);
  const client = new pg.Client({ connectionString, application_name: 'naru-migrate' });
  // A connection lost between two queries is reported here only; the next query fails with it too.
  client.on('error', () => {});
  await client.connect();
  try {
    await takeLock(client);
    const known = await readHistory(client);
    refuseForeignHistory(migrations, known);
    const done = new Set(known.map((row) => row.migration_name));
    const applied: string[] = [];
    for (const migration of migrations) {
      if (done.has(migration.name)) continue;
      await apply(client, migration);
      applied.push(migration.name);
    }
    return { applied };
  } finally {
    // The lock belongs to the session and ends with it.
    await client.end().catch(() => {});
  }
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(
    names.toSorted().map(async (name) => {
      const bytes = await readFile(path.join(folder, name, 'migration.sql'));
      const checksum = createHash('sha256').update(bytes).digest('hex');
      return { name, sql: bytes.toString('utf8'), checksum };
    }),
  );
}

async function takeLock(client: pg.Client): Promise<void> {
  await client.query(`SET lock_timeout = '${LOCK_WAIT_SECONDS}s'`);
  try {
    await client.query('SELECT pg_advisory_lock($1)', [PRISMA_LOCK]);
  } catch (error) {
    if (!isDatabaseError(error) || error.code !== '55P03') throw error;
    const message = `Another process has been migrating this database for ${LOCK_WAIT_SECONDS} s; gave up waiting.`;
    throw new MigrationError(message, { cause: error });
  }
  await client.query('RESET lock_timeout');
}

async function readHistory(client: pg.Client): Promise<MigrationRow[]> {
  const table = await client.query(`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS known`);
  if (table.rows[0]?.known !== true) {
    await client.query(CREATE_TABLE);
    return [];
  }
  const history = await client.query<MigrationRow>(
    `SELECT migration_name, checksum, finished_at FROM _prisma_migrations
     WHERE rolled_back_at IS NULL ORDER BY started_at`,
  );
  return history.rows;
}

function refuseForeignHistory(migrations: Migration[], history: MigrationRow[]): void {
  const ours = new Map(migrations.map((migration) => [migration.name, migration]));
  for (const row of history) {
    const name = row.migration_name;
    if (row.finished_at === null) {
      throw new MigrationError(
        `Migration ${name} failed earlier and was left unfinished. Repair the database, then mark it with ` +
          `"npx prisma migrate resolve --rolled-back ${name}" (or --applied).`,
      );
    }
    const migration = ours.get(name);
    if (migration === undefined) {
      throw new MigrationError(
        `The database has migration ${name}, which this version of Naru does not know. Start the version that ` +
          'made it, or a newer one.',
      );
    }
    if (migration.checksum !== row.checksum) {
      throw new MigrationError(
        `Migration ${name} was changed after it had been applied to this database. Restore its migration.sql and ` +
          'put the change into a new migration.',
      );
    }
  }
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  const id = randomUUID();
  await client.query('BEGIN');
  try {
    await client.query(
      `INSERT INTO _prisma_migrations (id, checksum, started_at, migration_name, applied_steps_count)
       VALUES ($1, $2, clock_timestamp(), $3, 1)`,
      [id, migration.checksum, migration.name],
    );
    // Without parameters this is one simple query, which may hold any number of statements.
    await client.query(migration.sql);
    const finished = await client.query(
      'UPDATE _prisma_migrations SET finished_at = clock_timestamp() WHERE id = $1',
      [id],
    );
    if (finished.rowCount !== 1) throw new Error('it ended the transaction that it runs in');
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    const reason = error instanceof Error ? error.message : String(error);
    const where = isDatabaseError(error) ? describePosition(error, migration.sql) : '';
    throw new MigrationError(
      `Migration ${migration.name} failed and was rolled back${where}: ${reason}`,
      {
        cause: error,
      },
    );
  }
}

function describePosition(error: pg.DatabaseError, sql: string): string {
  if (error.position === undefined) return '';
  return ` (line ${sql.slice(0, Number(error.position)).split('\n').length})`;
}

function isDatabaseError(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError;
}
