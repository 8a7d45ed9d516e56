import { getDirective } from '@graphql-tools/utils';
import type { GraphQLSchema } from 'graphql';

/** With whom an answer may be shared. */
export type CacheScope = keyof typeof CACHE_SCOPES;

export const CACHE_SCOPES = {
  PUBLIC: 'With everybody: guests and accounts are answered the same.',
  PRIVATE:
    'With nobody: only the same account is answered with it again, by the same session or token.',
} as const;

/** What `@cacheControl` says about a field of the query. */
export interface CacheControl {
  /** Seconds. */
  readonly maxAge: number;
  readonly scope: CacheScope;
  /** Names of topics: an answer is forgotten when one of them has an entry. */
  readonly invalidatedBy: readonly string[];
}

/** By the name of the query's field. Throws `TypeError` for a declaration where none is enforced. */
export function readCacheControls(schema: GraphQLSchema): ReadonlyMap<string, CacheControl> {
  const controls = new Map<string, CacheControl>();
  for (const type of Object.values(schema.getTypeMap())) {
    if (!('getFields' in type)) continue;
    for (const field of Object.values(type.getFields())) {
      const [declared] = getDirective(schema, field, 'cacheControl') ?? [];
      if (declared === undefined) continue;
      if (type !== schema.getQueryType()) {
        throw new TypeError(
          `${type.name}.${field.name} cannot be cached: only a field of the query`,
        );
      }
      const { maxAge, scope = 'PUBLIC', invalidatedBy = [] } = declared;
      if (!(maxAge >= 1)) throw new TypeError(`${field.name} cannot be cached for ${maxAge} s`);
      controls.set(field.name, { maxAge, scope, invalidatedBy });
    }
  }
  return controls;
}
