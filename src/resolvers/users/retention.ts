import type { Services } from '#context.ts';
import type { Sql } from '#database/client.ts';
import { REFRESH_GRACE_SECONDS } from './refresh.ts';

/** Days that a session is kept after its end: the account's next sign-in from that network knows it. */
const SESSION_KEPT_DAYS = 90;
const ONE_TIME_KEPT_DAYS = 1;
const STEP_ROWS = 5_000;
const STEPS_MAX = 200;

type HasDatabase = Pick<Services, 'database'>;

/** Forgets successors whose grace is over: nobody gets them a second time any more. */
export async function pruneSuccessors({ database }: HasDatabase): Promise<void> {
  await database.query(
    `UPDATE refresh_token SET successor_sealed = NULL WHERE id IN (
       SELECT id FROM refresh_token
       WHERE successor_sealed IS NOT NULL AND used_at < naru_now() - $1 * interval '1 second'
       FOR UPDATE SKIP LOCKED)`,
    [REFRESH_GRACE_SECONDS],
  );
}

/**
 * Removes what has been worthless for long: first the refresh tokens of sessions that are over, so that
 * no session is removed with many. A run ends after so many steps, and the next one goes on.
 */
export async function pruneCredentials({ database }: HasDatabase): Promise<void> {
  await inSteps(
    database,
    `
    DELETE FROM refresh_token WHERE id IN (
      SELECT r.id FROM session s JOIN refresh_token r ON r.session_id = s.id
      WHERE least(s.ended_at, s.expires_at) < naru_now() - interval '1 day' LIMIT ${STEP_ROWS})`,
  );
  await inSteps(
    database,
    `
    DELETE FROM session WHERE id IN (
      SELECT id FROM session WHERE expires_at < naru_now() - interval '${SESSION_KEPT_DAYS} days'
      LIMIT ${STEP_ROWS})`,
  );
  await inSteps(
    database,
    `
    DELETE FROM one_time_token WHERE id IN (
      SELECT id FROM one_time_token
      WHERE expires_at < naru_now() - interval '${ONE_TIME_KEPT_DAYS} days' LIMIT ${STEP_ROWS})`,
  );
}

async function inSteps(sql: Sql, text: string): Promise<void> {
  for (let step = 0; step < STEPS_MAX; step += 1) {
    const removed = await sql.query(`${text} RETURNING id`);
    if (removed.length < STEP_ROWS) return;
  }
}
