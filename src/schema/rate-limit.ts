// How the schema obeys `@rateLimit`: the engine takes the units before anything runs, the field asks for
// what came of it. A plugin, so that the refusal is one of the results that the field declares.
import SchemaBuilder, {
  BasePlugin,
  type PothosOutputFieldConfig,
  type SchemaTypes,
} from '@pothos/core';
import type { GraphQLFieldResolver } from 'graphql';
import type { Context } from '#context.ts';
import { rateLimitsOf } from './policy.ts';

declare global {
  export namespace PothosSchemaTypes {
    export interface Plugins<Types extends SchemaTypes> {
      rateLimit: RateLimitPlugin<Types>;
    }
  }
}

type Resolver = GraphQLFieldResolver<unknown, object, object>;

class RateLimitPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(resolver: Resolver, field: PothosOutputFieldConfig<Types>): Resolver {
    // What a stream hands out is no call of the client's.
    return field.kind === 'Subscription' ? resolver : obeying(resolver, field);
  }

  override wrapSubscribe(
    subscribe: Resolver | undefined,
    field: PothosOutputFieldConfig<Types>,
  ): Resolver | undefined {
    return subscribe && obeying(subscribe, field);
  }
}

function obeying<Types extends SchemaTypes>(
  resolver: Resolver,
  { kind, parentType, name, extensions }: PothosOutputFieldConfig<Types>,
): Resolver {
  if (rateLimitsOf({ extensions }).length === 0) return resolver;
  if (!['Query', 'Mutation', 'Subscription'].includes(kind)) {
    throw new TypeError(`Only root fields have rate limits, and ${parentType}.${name} is none.`);
  }
  return (parent, args, context, info) => {
    const { refusals } = (context as Context).origin.notes;
    if (refusals === undefined) throw new Error(`Nobody has counted this call of ${name}.`);
    const refusal = refusals.get(String(info.path.key));
    if (refusal !== undefined) throw refusal;
    return resolver(parent, args, context, info);
  };
}

/** Its name, by which a builder takes it. */
export const RATE_LIMIT_PLUGIN = 'rateLimit';

SchemaBuilder.registerPlugin(RATE_LIMIT_PLUGIN, RateLimitPlugin);
