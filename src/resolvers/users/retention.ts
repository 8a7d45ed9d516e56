import type { Services } from '#context.ts';
import { REFRESH_GRACE_SECONDS } from './refresh.ts';

/** Days that a session is kept after its end: the account's next sign-in from that network knows it. */
const SESSION_KEPT_DAYS = 90;
const ONE_TIME_KEPT_DAYS = 1;

type HasDatabase = Pick<Services, 'database'>;

/** Forgets successors whose grace is over: nobody gets them a second time any more. */
export async function pruneSuccessors({ database }: HasDatabase): Promise<void> {
  await database.query(
    `UPDATE refresh_token SET successor_sealed = NULL
     WHERE successor_sealed IS NOT NULL AND used_at < naru_now() - $1 * interval '1 second'`,
    [REFRESH_GRACE_SECONDS],
  );
}

/** Removes sessions and one-time tokens that have been worthless for long. */
export async function pruneCredentials({ database }: HasDatabase): Promise<void> {
  await database.query(
    `DELETE FROM session WHERE expires_at < naru_now() - $1 * interval '1 day'`,
    [SESSION_KEPT_DAYS],
  );
  await database.query(
    `DELETE FROM one_time_token WHERE expires_at < naru_now() - $1 * interval '1 day'`,
    [ONE_TIME_KEPT_DAYS],
  );
}
