// What clients are told of their limits, beside the answer: headers over HTTP, extensions on every transport.
import type { ExecutionResult } from 'graphql';
import type { Context } from '#context.ts';
import { policyItem, stateItem } from '#lib/rate-limit-header.ts';
import type { GivenUnits, Quota, WantedUnits } from '#redis/quota.ts';

export interface Budget {
  readonly name: string;
  readonly key: string;
  readonly quota: Quota;
}

/** One limit of one root field of the operation, and what was given of it. */
export interface CountedRule {
  readonly responseName: string;
  readonly fieldName: string;
  readonly budget: Budget;
  readonly given: GivenUnits | undefined;
}

/** What is left once units have been given back. */
export function afterReturn(
  given: GivenUnits,
  { limit, windowSeconds }: Quota,
  units: number,
): GivenUnits {
  const remaining = Math.min(given.remaining + units, limit);
  const resetSeconds = Math.ceil(((limit - remaining) * windowSeconds) / limit);
  return { ...given, remaining, resetSeconds };
}

export function describeRule({ fieldName, responseName, budget: { quota }, given }: CountedRule) {
  return {
    field: fieldName,
    responseName,
    limit: quota.limit,
    windowSeconds: quota.windowSeconds,
    remaining: given?.remaining ?? 0,
    resetSeconds: given?.resetSeconds ?? 0,
  };
}

export function describeCost(
  { quota }: Budget,
  given: GivenUnits,
  requested: number,
  actual: number,
) {
  const { remaining, resetSeconds } = given;
  const { limit, windowSeconds } = quota;
  return { requested, actual, limit, windowSeconds, remaining, resetSeconds };
}

/** Of several takes of one budget the last tells how it stands. */
export function noteHeaders(
  headers: Record<string, string>,
  wanted: readonly WantedUnits[],
  given: readonly GivenUnits[],
): void {
  const policies = new Map<string, string>();
  const states = new Map<string, string>();
  for (const [index, { name, quota }] of wanted.entries()) {
    const state = given[index];
    policies.set(name, policyItem(name, quota));
    if (state !== undefined) states.set(name, stateItem(name, state));
  }
  headers['ratelimit-policy'] = [...policies.values()].join(', ');
  headers['ratelimit'] = [...states.values()].join(', ');
}

/** What was noted while it ran, for every transport. */
export function withNotes(result: ExecutionResult, { origin }: Context): ExecutionResult {
  const { extensions } = origin.notes;
  return Object.keys(extensions).length === 0 ? result : { ...result, extensions };
}
