// Lists that show the first of what there is: how many is an argument.
import { InvalidInputError } from '#lib/errors.ts';

/** `limit`, where it is 1–`max`. Throws `InvalidInputError` that names the argument. */
export function requireLimit(limit: number, max: number): number {
  if (limit >= 1 && limit <= max) return limit;
  throw new InvalidInputError(`Ask for 1 to ${max}`, 'limit');
}

/** What such a field costs, also of a limit that is refused later. */
export function limitComplexity(limit: number, max: number, field = 1) {
  return { field, multiplier: Math.min(Math.max(limit, 1), max) };
}
