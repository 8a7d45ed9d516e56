import {
  IdempotencyInProgressError,
  IdempotencyMismatchError,
  RateLimitedError,
} from '#lib/errors.ts';
import { IDEMPOTENCY_HOURS, IDEMPOTENCY_KEYS_MAX } from '#resolvers/users/idempotency.ts';

/** What a mutation with an `idempotencyKey` can answer beside its own errors. */
export const IDEMPOTENCY_ERRORS = [
  IdempotencyInProgressError,
  IdempotencyMismatchError,
  RateLimitedError,
];

/** The field `idempotencyKey` of the input of every mutation that creates something or moves value. */
export const IDEMPOTENCY_KEY = {
  description:
    'A text of the client’s own, 1–255 printable ASCII characters without spaces, the same when it sends the ' +
    'same call again: it is then done once, and answered again by what the viewer may see now. The header ' +
    '`Idempotency-Key` says the same for a request with one mutation. Kept for the account and this mutation ' +
    `for ${IDEMPOTENCY_HOURS} hours, ${IDEMPOTENCY_KEYS_MAX} at a time; other input with the same key is an ` +
    '`IdempotencyMismatchError`. What failed is forgotten, and may be tried again with its key.',
};
