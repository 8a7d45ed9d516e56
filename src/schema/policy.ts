import type { Scope } from '#auth/scopes.ts';
import type { Role } from '#auth/viewer.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, type PageArguments } from '#lib/page.ts';

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

/** A connection costs its page: each item counts as often as the page can hold it. */
export function pageComplexity({ first, last }: PageArguments): {
  field: number;
  multiplier: number;
} {
  const asked = first ?? last ?? PAGE_SIZE_DEFAULT;
  return { field: 1, multiplier: Math.min(Math.max(asked, 1), PAGE_SIZE_MAX) };
}
