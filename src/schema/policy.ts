import type { Scope } from '#auth/scopes.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, type PageArguments } from '#lib/page.ts';

/** Whose token may use a field: enforced, and printed in the schema as `@auth`, from the same words. */
export function withScope(...scopes: readonly Scope[]) {
  return { authScopes: { scopes }, directives: { auth: { scopes } } };
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
