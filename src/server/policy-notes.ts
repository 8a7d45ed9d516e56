// What clients are told of their limits, beside the answer: headers over HTTP, extensions on every transport.
import type { ExecutionResult } from 'graphql';
import type { AnswerNotes, Context } from '#context.ts';
import { policyItem, stateItem } from '#lib/rate-limit-header.ts';
import type { Budget, GivenUnits, Quota } from '#redis/quota.ts';

/** One limit of one root field of the operation, and what was given of it. */
export interface CountedRule {
  readonly responseName: string;
  readonly fieldName: string;
  readonly budget: Budget;
  readonly given: GivenUnits;
}

/** How one budget stands. */
export interface BudgetState {
  readonly budget: Pick<Budget, 'name' | 'quota'>;
  readonly given: GivenUnits;
}

/** What is left once units have been given back. */
export function afterReturn(
  given: GivenUnits,
  { limit, windowSeconds }: Quota,
  units: number,
): GivenUnits {
  if (units === 0) return given;
  const remaining = Math.min(given.remaining + units, limit);
  const resetSeconds = Math.ceil(((limit - remaining) * windowSeconds) / limit);
  return { ...given, remaining, resetSeconds };
}

export function describeRule({ fieldName, responseName, budget: { quota }, given }: CountedRule) {
  const { remaining, resetSeconds } = given;
  const { limit, windowSeconds } = quota;
  return { field: fieldName, responseName, limit, windowSeconds, remaining, resetSeconds };
}

export function describeCost(
  { limit, windowSeconds }: Quota,
  { remaining, resetSeconds }: GivenUnits,
  requested: number,
  actual: number,
) {
  return { requested, actual, limit, windowSeconds, remaining, resetSeconds };
}

/** Of several takes of one budget the last tells how it stands. */
export function noteHeaders({ headers }: AnswerNotes, states: readonly BudgetState[]): void {
  const byName = new Map(states.map((state) => [state.budget.name, state]));
  const last = [...byName.values()];
  headers['ratelimit-policy'] = last
    .map(({ budget: { name, quota } }) => policyItem(name, quota))
    .join(', ');
  headers['ratelimit'] = last
    .map(({ budget: { name }, given }) => stateItem(name, given))
    .join(', ');
}

/** What was noted while it ran, for every transport. */
export function withNotes(result: ExecutionResult, { origin }: Context): ExecutionResult {
  const { extensions } = origin.notes;
  return Object.keys(extensions).length === 0 ? result : { ...result, extensions };
}
