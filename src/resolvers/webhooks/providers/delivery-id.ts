import type { IncomingHttpHeaders } from 'node:http';

/**
 * The first of these headers that is there, as it came: ingress refuses ids of another form, among
 * them those that came twice, which Node joins with a comma and a space.
 */
export function deliveryIdIn(
  headers: IncomingHttpHeaders,
  ...names: readonly string[]
): string | null {
  const values = names.map((name) => headers[name]);
  const value = values.find((candidate) => candidate !== undefined);
  return typeof value === 'string' ? value : null;
}
