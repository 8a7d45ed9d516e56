// What the inbox's mutations take, within which bounds. Faults name the field as the client wrote it.
import { InvalidInputError } from '#lib/errors.ts';

export const LEASE_SECONDS_MAX = 12 * 3_600;
export const REASON_LENGTH_MAX = 1_000;
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

/** Throws `InvalidInputError` for a reason that cannot be kept. */
export function assertReason(reason: string): void {
  const isKept =
    reason.length <= REASON_LENGTH_MAX && !reason.includes('\u0000') && reason.isWellFormed();
  if (isKept) return;
  throw new InvalidInputError(
    `At most ${REASON_LENGTH_MAX} characters, no U+0000, no half of a surrogate pair`,
    'input.reason',
  );
}
