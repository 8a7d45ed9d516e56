// Connection, read-only standby, lost races, resources, waiting too long, operator's intervention, system.
const PASSING_STATES = /^(08|25006|40|53|55P03|57|58)/;
const SQL_STATE = /^[0-9A-Z]{5}$/;

/**
 * Whether a failure met while talking to PostgreSQL speaks of the server or of the way to it, so that
 * the same statement may succeed later. A mistake of ours (`TypeError` and the like) never passes.
 */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (SQL_STATE.test(code)) return isPassingState(code);
  // The driver and the network throw plain errors; several addresses refused are one AggregateError.
  return error.constructor === Error || error instanceof AggregateError;
}

/** The same of PostgreSQL's own word for it, its SQLSTATE. */
export function isPassingState(code: string): boolean {
  return SQL_STATE.test(code) && PASSING_STATES.test(code);
}
