// The items of the headers `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-10 has them.

/** What may be used: `q` units in `w` seconds. */
export function policyItem(
  name: string,
  { limit, windowSeconds }: { readonly limit: number; readonly windowSeconds: number },
): string {
  return `"${name}";q=${limit};w=${windowSeconds}`;
}

/** How it stands: `r` units are left, and all are back in `t` seconds. */
export function stateItem(
  name: string,
  { remaining, resetSeconds }: { readonly remaining: number; readonly resetSeconds: number },
): string {
  return `"${name}";r=${remaining};t=${resetSeconds}`;
}
