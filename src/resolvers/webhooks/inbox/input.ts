// What the inbox's mutations take, within which bounds. Faults name the field as the client wrote it.
import { InvalidInputError } from '#lib/errors.ts';
import { assertFilter, type WebhookFilter } from '#resolvers/webhooks/filter.ts';

export const LEASE_SECONDS_MAX = 12 * 3_600;
/** Receipts or ids in one call. */
export const SETTLE_MAX = 1_000;

/** Throws `InvalidInputError` unless the number is one of those from `minimum` to `maximum`. */
export function assertWithin(name: string, value: number, minimum: number, maximum: number): void {
  if (value >= minimum && value <= maximum) return;
  throw new InvalidInputError(`Must be ${minimum} to ${maximum}`, `input.${name}`);
}

/** Throws `InvalidInputError` for no value at all or more than `SETTLE_MAX`. */
export function assertCount(name: string, values: readonly string[]): void {
  if (values.length >= 1 && values.length <= SETTLE_MAX) return;
  throw new InvalidInputError(`Give 1 to ${SETTLE_MAX}`, `input.${name}`);
}

/** `assertFilter` for a filter that is a field of `input`; states are refused. */
export function assertInputFilter(filter: WebhookFilter): void {
  try {
    assertFilter(filter);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new InvalidInputError(error.message, `input.${error.field}`);
  }
}
