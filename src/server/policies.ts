// What may run, how often, and at what cost: asked once an operation, before anything of it runs, in one
// round trip to Redis whatever the number of rules.
import { GraphQLError, type GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Config } from '#config.ts';
import type { Context } from '#context.ts';
import { RateLimitedError } from '#lib/errors.ts';
import { networkOf } from '#lib/network.ts';
import type { Metrics } from '#metrics.ts';
import type { GivenUnits, Quotas, ReturnedUnits, WantedUnits } from '#redis/quota.ts';
import { type FieldRateLimit, rateLimitsOf } from '#schema/policy.ts';
import {
  afterReturn,
  type Budget,
  type CountedRule,
  describeCost,
  describeRule,
  noteHeaders,
} from './policy-notes.ts';
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
  /** Throws `RateLimitedError` for who has just used up the budget by what was refused: asked before anything is read. */
  requireBudget(context: Context): void;
  /** Takes a fixed amount for what is refused before it runs, since reading it was work. */
  chargeRefused(context: Context): Promise<void>;
}

const WINDOW_SECONDS = 60;
const COST = 'cost';
const REFUSED_COST = 10;
const SPENT_MAX = 10_000;
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

  const budgetOf = (context: Context): Budget | null => {
    const limit = context.viewer === null ? costPerMinute.guest : costPerMinute.viewer;
    const quota = { limit, windowSeconds: WINDOW_SECONDS };
    return limit === 0 ? null : { name: COST, key: askerOf(context), quota };
  };

  /** Until when, by this process' clock, by asker. */
  const spent = new LRUCache<string, number>({ max: SPENT_MAX });

  return {
    requireBudget(context) {
      const waitMs = (spent.get(askerOf(context)) ?? 0) - performance.now();
      if (waitMs <= 0) return;
      metrics.rateLimited.inc({ limit: COST });
      throw new RateLimitedError(
        'Too many operations were refused that cannot run',
        Math.ceil(waitMs / 1_000),
      );
    },

    async chargeRefused(context) {
      const budget = budgetOf(context);
      if (budget === null) return;
      const [given] = await quotas.take([{ ...budget, units: REFUSED_COST, isDivisible: true }]);
      if (given === undefined || given.given === REFUSED_COST) return;
      spent.set(budget.key, performance.now() + given.retryAfterSeconds * 1_000);
    },

    async admit(request) {
      const { context, cost } = request;
      const { notes } = context.origin;
      const rules = limits.size === 0 ? [] : rulesOf(request);
      const budget = budgetOf(context);
      notes.refusals = NONE;
      if (budget === null && rules.length === 0) return NOTHING;
      if (budget !== null && cost > budget.quota.limit) throw neverAffordable(cost, budget);

      const wanted: WantedUnits[] = rules.map((rule) => one(rule.budget, 1));
      if (budget !== null) wanted.push(one(budget, cost));
      const given = await quotas.take(wanted);
      const ofRules = rules.map((rule, index) => ({ ...rule, given: given[index] }));
      const ofCost = budget === null ? undefined : given.at(-1);
      if (budget !== null && ofCost !== undefined && ofCost.given < cost) {
        noteHeaders(notes.headers, wanted, given);
        quotas.giveBack(ofRules.flatMap(({ budget: taken, given: back }) => returnOf(taken, back)));
        metrics.rateLimited.inc({ limit: COST });
        notes.headers['retry-after'] = String(ofCost.retryAfterSeconds);
        notes.extensions['cost'] = describeCost(budget, ofCost, cost, 0);
        throw new RateLimitedError(
          `This operation costs ${cost}, and ${ofCost.remaining} of ${budget.quota.limit} a minute are left`,
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
        const waits = [...refusals.values()].map(({ retryAfterSeconds }) => retryAfterSeconds);
        if (waits.length > 0) notes.headers['retry-after'] = String(Math.max(...waits));
        notes.extensions['rateLimit'] = ofRules.map(describeRule);
      }
      if (budget === null || ofCost === undefined) {
        noteHeaders(notes.headers, wanted, given);
        return NOTHING;
      }
      return {
        settle(actual) {
          const charged = Math.min(actual, cost);
          const { isLocal } = ofCost;
          const left = afterReturn(ofCost, budget.quota, cost - charged);
          if (charged < cost) quotas.giveBack([{ ...budget, units: cost - charged, isLocal }]);
          noteHeaders(notes.headers, wanted, [...given.slice(0, -1), left]);
          notes.extensions['cost'] = describeCost(budget, left, cost, charged);
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
  rules: readonly CountedRule[],
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

/**
 * Each session by itself, and an account's tokens together: whoever has stolen one uses up nothing of the session
 * in which its owner ends it.
 */
function askerOf(context: Context): string {
  const { viewer } = context;
  if (viewer === null) return networkOfContext(context);
  return viewer.proof.kind === 'session' ? `${viewer.userId} ${viewer.proof.id}` : viewer.userId;
}

function networkOfContext({ origin }: Context): string {
  return networkOf(origin.client.ipAddress);
}

function one(budget: Budget, units: number): WantedUnits {
  return { ...budget, units, isDivisible: false };
}

/** Waiting would not help. */
function neverAffordable(cost: number, { quota: { limit } }: Budget): GraphQLError {
  return new GraphQLError(
    `This operation costs ${cost}, and all that may be used in a minute is ${limit}: ask for fewer or smaller pages`,
    { extensions: { code: 'LIMIT_EXCEEDED', limit: COST, maximum: limit } },
  );
}
