// What may run, how often, and at what cost: asked once an operation, before anything of it runs, in one
// round trip to Redis whatever the number of rules.
import type { GraphQLSchema } from 'graphql';
import type { Config } from '#config.ts';
import type { Context } from '#context.ts';
import { RateLimitedError } from '#lib/errors.ts';
import { networkOf } from '#lib/network.ts';
import { policyItem, stateItem } from '#lib/rate-limit-header.ts';
import type { Metrics } from '#metrics.ts';
import type { GivenUnits, Quota, Quotas, ReturnedUnits, WantedUnits } from '#redis/quota.ts';
import { type FieldRateLimit, rateLimitsOf } from '#schema/policy.ts';
import type { RootField } from './root-fields.ts';

export interface PolicyRequest {
  readonly context: Context;
  readonly kind: 'query' | 'mutation' | 'subscription';
  readonly rootFields: readonly RootField[];
  readonly cost: number;
}

/** What was taken for an operation. */
export interface Admission {
  /** To be told once, when it has run: what was estimated too high goes back. */
  settle(actual: number): void;
}

export interface Policies {
  /**
   * Takes what the operation needs of every limit that it falls under. Throws `RateLimitedError` where
   * the budget of cost has too little left: nothing runs then. A root field over its own limit is noted, and
   * refuses by itself; its siblings run.
   */
  admit(request: PolicyRequest): Promise<Admission>;
}

interface Budget {
  readonly name: string;
  readonly key: string;
  readonly quota: Quota;
}

const WINDOW_SECONDS = 60;
const COST = 'cost';
const NOTHING: Admission = { settle() {} };

export function createPolicies(
  schema: GraphQLSchema,
  {
    quotas,
    metrics,
    config: { costPerMinute },
  }: { readonly quotas: Quotas; readonly metrics: Metrics; readonly config: Config },
): Policies {
  const limits = limitsOfRootFields(schema);

  const rulesOf = ({ context, kind, rootFields }: PolicyRequest) =>
    rootFields.flatMap(({ responseName, fieldName }) =>
      (limits.get(`${kind}.${fieldName}`) ?? []).map((limit) => ({
        responseName,
        fieldName,
        budget: {
          name: `${fieldName}:${limit.by}:${limit.windowSeconds}`,
          key: limit.by === 'VIEWER' ? askerOf(context) : networkOfContext(context),
          quota: { limit: limit.limit, windowSeconds: limit.windowSeconds },
        },
      })),
    );

  return {
    async admit(request) {
      const { context, cost } = request;
      const { notes } = context.origin;
      const perMinute = context.viewer === null ? costPerMinute.guest : costPerMinute.viewer;
      const budget: Budget | null =
        perMinute === 0
          ? null
          : {
              name: COST,
              key: askerOf(context),
              quota: { limit: perMinute, windowSeconds: WINDOW_SECONDS },
            };
      const rules = limits.size === 0 ? [] : rulesOf(request);
      notes.refusals = NONE;
      if (budget === null && rules.length === 0) return NOTHING;

      const wanted: WantedUnits[] = rules.map((rule) => ({
        ...rule.budget,
        units: 1,
        isDivisible: false,
      }));
      if (budget !== null) wanted.push({ ...budget, units: cost, isDivisible: false });
      const given = await quotas.take(wanted);
      const ofCost = budget === null ? undefined : given.at(-1);
      const ofRules = rules.map((rule, index) => ({ ...rule, given: given[index] }));
      noteHeaders(notes.headers, wanted, given);

      if (budget !== null && ofCost !== undefined && ofCost.given < cost) {
        quotas.giveBack(ofRules.flatMap(({ budget: taken, given: back }) => returnOf(taken, back)));
        metrics.rateLimited.inc({ limit: COST });
        notes.headers['retry-after'] = String(ofCost.retryAfterSeconds);
        notes.extensions['cost'] = describeCost(budget, ofCost, cost, 0);
        throw new RateLimitedError(
          `This operation costs ${cost}, and ${ofCost.remaining} of ${perMinute} a minute are left`,
          ofCost.retryAfterSeconds,
        );
      }
      if (ofRules.length > 0) {
        const refusals = refusalsOf(ofRules, metrics);
        notes.refusals = refusals;
        // Where one of a field's limits refuses, it does not run, and uses nothing of its others.
        quotas.giveBack(
          ofRules.flatMap(({ responseName, given: back, budget: taken }) =>
            refusals.has(responseName) ? returnOf(taken, back) : [],
          ),
        );
        notes.extensions['rateLimit'] = ofRules.map(
          ({ fieldName, responseName, budget, given }) => ({
            field: fieldName,
            responseName,
            limit: budget.quota.limit,
            windowSeconds: budget.quota.windowSeconds,
            remaining: given?.remaining ?? 0,
            resetSeconds: given?.resetSeconds ?? 0,
          }),
        );
      }
      return {
        settle(actual) {
          if (budget === null || ofCost === undefined) return;
          const charged = Math.min(actual, cost);
          const { isLocal } = ofCost;
          if (charged < cost) quotas.giveBack([{ ...budget, units: cost - charged, isLocal }]);
          notes.extensions['cost'] = describeCost(budget, ofCost, cost, charged);
        },
      };
    },
  };
}

const NONE: ReadonlyMap<string, RateLimitedError> = new Map();

function limitsOfRootFields(schema: GraphQLSchema): ReadonlyMap<string, readonly FieldRateLimit[]> {
  const roots = [
    ['query', schema.getQueryType()],
    ['mutation', schema.getMutationType()],
    ['subscription', schema.getSubscriptionType()],
  ] as const;
  return new Map(
    roots.flatMap(([kind, type]) =>
      Object.values(type?.getFields() ?? {}).flatMap((field) => {
        const limits = rateLimitsOf(field);
        return limits.length === 0 ? [] : [[`${kind}.${field.name}`, limits] as const];
      }),
    ),
  );
}

function refusalsOf(
  rules: readonly {
    readonly responseName: string;
    readonly fieldName: string;
    readonly given: GivenUnits | undefined;
  }[],
  metrics: Metrics,
): ReadonlyMap<string, RateLimitedError> {
  const refusals = new Map<string, RateLimitedError>();
  for (const { responseName, fieldName, given } of rules) {
    if (given === undefined || given.given > 0) continue;
    metrics.rateLimited.inc({ limit: fieldName });
    const seconds = given.retryAfterSeconds;
    refusals.set(
      responseName,
      new RateLimitedError(`${fieldName} may run again in ${seconds} s`, seconds),
    );
  }
  return refusals;
}

/** All that was given of one budget, to where it came from. */
function returnOf(budget: Budget, given: GivenUnits | undefined): ReturnedUnits[] {
  if (given === undefined || given.given === 0) return [];
  return [{ ...budget, units: given.given, isLocal: given.isLocal }];
}

function askerOf(context: Context): string {
  return context.viewer === null ? networkOfContext(context) : context.viewer.userId;
}

function networkOfContext({ origin }: Context): string {
  return networkOf(origin.client.ipAddress);
}

function describeCost(budget: Budget, given: GivenUnits, requested: number, actual: number) {
  return {
    requested,
    actual,
    limit: budget.quota.limit,
    windowSeconds: budget.quota.windowSeconds,
    remaining: given.remaining + (given.given - actual),
    resetSeconds: given.resetSeconds,
  };
}

/** Of several takes of one budget the last tells how it stands. */
function noteHeaders(
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
