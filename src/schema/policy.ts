import type { Scope } from '#auth/scopes.ts';
import type { Role } from '#auth/viewer.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, type PageArguments } from '#lib/page.ts';
import { CREDENTIAL_LIMITS } from '#resolvers/users/credential-limits.ts';
import type { CacheControl } from './cache-control.ts';

/** Whose token may use a field: enforced, and printed in the schema as `@auth`, from the same words. */
export function withScope(...scopes: readonly Scope[]) {
  return { authScopes: { scopes }, directives: { auth: { scopes } } };
}

/** The same for fields that also want one of the roles: both must hold. */
export function withAccess({
  scopes,
  roles,
}: {
  scopes: readonly Scope[];
  roles: readonly Role[];
}) {
  return {
    authScopes: { $all: { scopes, anyRole: roles } },
    directives: { auth: { scopes, roles } },
  };
}

/** For what only an account's owner may do: a personal access token is not enough. */
export function withSession() {
  return { authScopes: { session: true }, directives: { auth: { session: true } } };
}

/** For everybody, guests included: said, so that a mutation without a rule is a fault. */
export function withOpen() {
  return { directives: { auth: { open: true } } };
}

/** What a field costs when it is more than the usual 1: counted, and printed as `@cost`. */
export function withCost(weight: number) {
  return { complexity: weight, directives: { cost: { weight } } };
}

/** Of whom the calls of a field are counted together: an account, whose guests' network, or as the name says. */
export type RateLimitBy = keyof typeof RATE_LIMIT_BY;

export const RATE_LIMIT_BY = {
  VIEWER:
    'The session that is asking, or all personal access tokens of the account; for guests their network.',
  ACCOUNT: 'The account that is asking, by whatever sessions and tokens; for guests their network.',
  NETWORK: 'The IPv4 address, or the IPv6 /64, that the request comes from.',
  SESSION: 'The session that is asking.',
  LOGIN: 'The login that was given, whoever asks.',
  LOGIN_AND_NETWORK: 'The login that was given, as asked for from one network.',
  MAILBOX: 'The e-mail address that was given, whoever asks.',
  MAILBOX_AND_NETWORK: 'The e-mail address that was given, as asked for from one network.',
} as const;

/** `limit` executions, which come back evenly over `windowSeconds`; each alias is one. */
export interface FieldRateLimit {
  readonly by: 'VIEWER' | 'ACCOUNT' | 'NETWORK';
  readonly limit: number;
  readonly windowSeconds: number;
}

/** How often a root field may run: counted before anything runs, enforced, and printed as `@rateLimit`. */
export function withRateLimit(...rateLimits: readonly FieldRateLimit[]) {
  return { extensions: { rateLimits }, directives: { rateLimit: repeated(rateLimits) } };
}

export function rateLimitsOf({
  extensions,
}: {
  readonly extensions?: Readonly<Record<string, unknown>> | null | undefined;
}): readonly FieldRateLimit[] {
  return (extensions?.['rateLimits'] as readonly FieldRateLimit[] | undefined) ?? [];
}

/** The limits on credentials, which the rules themselves count: printed as `@rateLimit`. */
export function withCredentialLimits(
  limits: readonly { readonly by: RateLimitBy; readonly name: keyof typeof CREDENTIAL_LIMITS }[],
) {
  return {
    directives: {
      rateLimit: repeated(
        limits.map(({ by, name }) => {
          const { points, perSeconds } = CREDENTIAL_LIMITS[name];
          return { limit: points, windowSeconds: perSeconds, by };
        }),
      ),
    },
  };
}

/** The plugin prints one directive for each of a list, and its types know of one only. */
function repeated<Arguments>(all: readonly Arguments[]): Arguments {
  return all as unknown as Arguments;
}

/**
 * For a field of the query whose answer may be kept: it must be the same for everybody, or `PRIVATE`, and
 * whatever changes it within `maxAge` seconds is a topic. Enforced, and printed as `@cacheControl`.
 */
export function withCacheControl({
  maxAge,
  scope = 'PUBLIC',
  ...more
}: Pick<CacheControl, 'maxAge'> & Partial<CacheControl>) {
  return { directives: { cacheControl: { maxAge, scope, ...more } } };
}

/** Two policies of one field. */
export function withBoth<
  Left extends { readonly directives: object },
  Right extends { readonly directives: object },
>(left: Left, right: Right): Left & Right {
  return { ...left, ...right, directives: { ...left.directives, ...right.directives } };
}

/** A connection costs its page: each item counts as often as the page can hold it. */
export function pageComplexity({ first, last }: PageArguments): {
  field: number;
  multiplier: number;
} {
  const asked = first ?? last ?? PAGE_SIZE_DEFAULT;
  return { field: 1, multiplier: Math.min(Math.max(asked, 1), PAGE_SIZE_MAX) };
}
