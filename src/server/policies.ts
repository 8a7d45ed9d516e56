// What may run, how often, and at what cost: asked once an operation, before anything of it runs. Cost is granted
// from what this node holds where it can be; all else is asked in one round trip to Redis, whatever the number of rules.
import { GraphQLError, type GraphQLObjectType, type GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import type { Config } from '#config.ts';
import type { Context } from '#context.ts';
import { RateLimitedError } from '#lib/errors.ts';
import { networkOf } from '#lib/network.ts';
import type { Metrics } from '#metrics.ts';
import type { GivenUnits, Quota, Quotas, ReturnedUnits } from '#redis/quota.ts';
import { createShares, type Shares } from '#redis/quota-shares.ts';
import { type FieldRateLimit, rateLimitsOf } from '#schema/policy.ts';
import {
  afterReturn,
  type BudgetState,
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
   * Takes what the operation needs of every limit that it falls under. Throws `RateLimitedError`, at once or
   * later, where the budget of cost has too little left: nothing runs then. A root field over its own limit is
   * noted, and refuses by itself; its siblings run.
   */
  admit(request: PolicyRequest): Admission | Promise<Admission>;
  /** Throws `RateLimitedError` for who has just used up the budget by what was refused: asked before anything is read. */
  requireBudget(context: Context): void;
  /** Takes a fixed amount for what is refused before it runs, since reading it was work. */
  chargeRefused(context: Context): Promise<void>;
}

/** What an asker may spend. */
interface CostBudget {
  readonly quota: Quota;
  readonly shares: Shares;
}

/** A limit of a root field. */
interface FieldRule {
  readonly by: FieldRateLimit['by'];
  readonly name: string;
  readonly quota: Quota;
}

type RulesOfFields = Readonly<
  Record<PolicyRequest['kind'], ReadonlyMap<string, readonly FieldRule[]>>
>;

const WINDOW_SECONDS = 60;
const COST = 'cost';
const REFUSED_COST = 10;
const SPENT_MAX = 10_000;
const NOTHING: Admission = { settle() {} };
const NONE: ReadonlyMap<string, RateLimitedError> = new Map();

export function createPolicies(
  schema: GraphQLSchema,
  {
    quotas,
    metrics,
    config: { costPerMinute },
  }: { readonly quotas: Quotas; readonly metrics: Metrics; readonly config: Config },
): Policies {
  const rulesOfFields = readRules(schema);
  const costBudgets = {
    viewer: createCostBudget(quotas, costPerMinute.viewer),
    guest: createCostBudget(quotas, costPerMinute.guest),
  };
  const costBudgetOf = ({ viewer }: Context) =>
    viewer === null ? costBudgets.guest : costBudgets.viewer;
  /** Until when, by this process' clock, by asker. */
  const spent = new LRUCache<string, number>({ max: SPENT_MAX });

  const admitLimited = async (
    request: PolicyRequest,
    costBudget: CostBudget | null,
    rules: ReturnType<typeof rulesOf>,
  ): Promise<Admission> => {
    const { notes } = request.context.origin;
    // Asked together, they go together.
    const [given, ofCost] = await Promise.all([
      quotas.take(rules.map(({ budget }) => ({ ...budget, units: 1, isDivisible: false }))),
      costBudget?.shares.take(askerOf(request.context), request.cost) ?? null,
    ]);
    const ofRules = rules.flatMap((rule, index) => {
      const own = given[index];
      return own === undefined ? [] : [{ ...rule, given: own }];
    });
    let admission = NOTHING;
    if (costBudget === null || ofCost === null) {
      noteHeaders(notes, ofRules);
    } else {
      try {
        admission = charge(request, costBudget, ofCost, ofRules);
      } catch (error) {
        quotas.giveBack(ofRules.flatMap(returnOf));
        throw error;
      }
    }
    const refusals = refusalsOf(ofRules, metrics);
    notes.refusals = refusals;
    // Where one of a field's limits refuses, it does not run, and uses nothing of its others.
    const unused = ofRules.filter(({ responseName }) => refusals.has(responseName));
    quotas.giveBack(unused.flatMap(returnOf));
    const waits = [...refusals.values()].map(({ retryAfterSeconds }) => retryAfterSeconds);
    if (waits.length > 0) notes.headers['retry-after'] = String(Math.max(...waits));
    notes.extensions['rateLimit'] = ofRules.map(describeRule);
    return admission;
  };

  const charge = (
    { context, cost }: PolicyRequest,
    { quota, shares }: CostBudget,
    given: GivenUnits,
    ofRules: readonly BudgetState[],
  ): Admission => {
    const { notes } = context.origin;
    const budget = { name: COST, quota };
    if (given.given < cost) {
      const { remaining, retryAfterSeconds } = given;
      noteHeaders(notes, [...ofRules, { budget, given }]);
      metrics.rateLimited.inc({ limit: COST });
      notes.headers['retry-after'] = String(retryAfterSeconds);
      notes.extensions['cost'] = describeCost(quota, given, cost, 0);
      throw new RateLimitedError(
        `This operation costs ${cost}, and ${remaining} of ${quota.limit} a minute are left`,
        retryAfterSeconds,
      );
    }
    return {
      settle(actual) {
        const charged = Math.min(actual, cost);
        const left = afterReturn(given, quota, cost - charged);
        if (charged < cost) shares.giveBack(askerOf(context), cost - charged, given.isLocal);
        noteHeaders(notes, [...ofRules, { budget, given: left }]);
        notes.extensions['cost'] = describeCost(quota, left, cost, charged);
      },
    };
  };

  const rulesOf = ({ context, kind, rootFields }: PolicyRequest) =>
    rootFields.flatMap(({ responseName, fieldName }) =>
      (rulesOfFields[kind].get(fieldName) ?? []).map(({ by, name, quota }) => {
        const key = KEY_OF[by](context);
        return { responseName, fieldName, budget: { name, key, quota } };
      }),
    );

  return {
    requireBudget(context) {
      if (spent.size === 0) return;
      const waitMs = (spent.get(askerOf(context)) ?? 0) - performance.now();
      if (waitMs <= 0) return;
      metrics.rateLimited.inc({ limit: COST });
      throw new RateLimitedError(
        'Too many operations were refused that cannot run',
        Math.ceil(waitMs / 1_000),
      );
    },

    async chargeRefused(context) {
      const costBudget = costBudgetOf(context);
      if (costBudget === null) return;
      const key = askerOf(context);
      const wanted = { name: COST, key, quota: costBudget.quota, units: REFUSED_COST };
      const [given] = await quotas.take([{ ...wanted, isDivisible: true }]);
      if (given === undefined || given.given === REFUSED_COST) return;
      spent.set(key, performance.now() + given.retryAfterSeconds * 1_000);
    },

    admit(request) {
      const { context, cost, kind } = request;
      const costBudget = costBudgetOf(context);
      context.origin.notes.refusals = NONE;
      if (costBudget !== null && cost > costBudget.quota.limit)
        throw neverAffordable(cost, costBudget.quota);
      const rules = rulesOfFields[kind].size === 0 ? [] : rulesOf(request);
      if (rules.length > 0) return admitLimited(request, costBudget, rules);
      if (costBudget === null) return NOTHING;
      const given = costBudget.shares.take(askerOf(context), cost);
      return given instanceof Promise
        ? given.then((answer) => charge(request, costBudget, answer, []))
        : charge(request, costBudget, given, []);
    },
  };
}

function createCostBudget(quotas: Quotas, limit: number): CostBudget | null {
  if (limit === 0) return null;
  const quota = { limit, windowSeconds: WINDOW_SECONDS };
  return { quota, shares: createShares(quotas, { name: COST, quota }) };
}

function readRules(schema: GraphQLSchema): RulesOfFields {
  const rulesOf = (type: GraphQLObjectType | null | undefined) =>
    new Map(
      Object.values(type?.getFields() ?? {}).flatMap((field) => {
        const rules = rateLimitsOf(field).map(({ by, limit, windowSeconds }) => ({
          by,
          name: `${field.name}:${by}:${windowSeconds}`,
          quota: { limit, windowSeconds },
        }));
        return rules.length === 0 ? [] : [[field.name, rules] as const];
      }),
    );
  return {
    query: rulesOf(schema.getQueryType()),
    mutation: rulesOf(schema.getMutationType()),
    subscription: rulesOf(schema.getSubscriptionType()),
  };
}

function refusalsOf(
  rules: readonly CountedRule[],
  metrics: Metrics,
): ReadonlyMap<string, RateLimitedError> {
  const refusals = new Map<string, RateLimitedError>();
  for (const { responseName, fieldName, given } of rules) {
    if (given.given > 0) continue;
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
function returnOf({ budget, given: { given, isLocal } }: CountedRule): ReturnedUnits[] {
  return given === 0 ? [] : [{ ...budget, units: given, isLocal }];
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

/** Whose calls of a field are counted together. */
const KEY_OF: Readonly<Record<FieldRateLimit['by'], (context: Context) => string>> = {
  VIEWER: askerOf,
  ACCOUNT: (context) => context.viewer?.userId ?? networkOfContext(context),
  NETWORK: networkOfContext,
};

function networkOfContext({ origin }: Context): string {
  return networkOf(origin.client.ipAddress);
}

/** Waiting would not help. */
function neverAffordable(cost: number, { limit }: Quota): GraphQLError {
  return new GraphQLError(
    `This operation costs ${cost}, and all that may be used in a minute is ${limit}: ask for fewer or smaller pages`,
    { extensions: { code: 'LIMIT_EXCEEDED', limit: COST, maximum: limit } },
  );
}
