import type { Sql } from './client.ts';

/** The database's clock, which decides every deadline; tests can move it. */
export async function databaseNow(sql: Sql): Promise<Date> {
  const [row] = await sql.query<{ now: Date }>('SELECT naru_now() AS now');
  if (row === undefined) throw new Error('The database did not tell the time');
  return row.now;
}
