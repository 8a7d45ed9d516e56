// The closed set of failures that clients are told about. Anything else is a bug: masked and logged.

/** Every code a client can meet, over GraphQL and HTTP. `docs/errors.md` says what each one means. */
export const ERROR_STATUS = {
  INVALID_INPUT: 400,
  CURSOR_INVALID: 400,
  UNAUTHENTICATED: 401,
  INVALID_CREDENTIALS: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  IDEMPOTENCY_IN_PROGRESS: 409,
  IDEMPOTENCY_MISMATCH: 409,
  CURSOR_EXPIRED: 410,
  FEED_RESET: 410,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RATE_LIMITED: 429,
  UNAVAILABLE: 503,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** A failure with a stable code and a message written for the client; `cause` is for the log only. */
export abstract class DomainError extends Error {
  abstract readonly code: ErrorCode;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }

  get status(): number {
    return ERROR_STATUS[this.code];
  }
}

/** `field` is the path of the offending input, e.g. `input.limit`; null where it is the whole request. */
export class InvalidInputError extends DomainError {
  readonly code = 'INVALID_INPUT';
  readonly field: string | null;

  constructor(message: string, field: string | null = null, options?: ErrorOptions) {
    super(message, options);
    this.field = field;
  }
}

/** A cursor that this Naru never gave out, or gave out for another feed. */
export class CursorInvalidError extends DomainError {
  readonly code = 'CURSOR_INVALID';
}

/** What follows the cursor is past retention. `earliestCursor` is where reading can start again. */
export class CursorExpiredError extends DomainError {
  readonly code = 'CURSOR_EXPIRED';
  readonly earliestCursor: string;

  constructor(message: string, earliestCursor: string) {
    super(message);
    this.earliestCursor = earliestCursor;
  }
}

/** The feed was rebuilt or restored since the cursor was given out: start over from a fresh read. */
export class FeedResetError extends DomainError {
  readonly code = 'FEED_RESET';
}

export class UnauthenticatedError extends DomainError {
  readonly code = 'UNAUTHENTICATED';
  /** An access token's time is over, and its session may go on: refreshing helps. */
  readonly isExpired: boolean;

  constructor(message: string, options?: ErrorOptions & { isExpired?: boolean }) {
    super(message, options);
    this.isExpired = options?.isExpired ?? false;
  }
}

/** Login, password or one-time token do not match. Never says which, nor whether there is such an account. */
export class InvalidCredentialsError extends DomainError {
  readonly code = 'INVALID_CREDENTIALS';
}

export class ForbiddenError extends DomainError {
  readonly code = 'FORBIDDEN';
}

export class NotFoundError extends DomainError {
  readonly code = 'NOT_FOUND';
}

export class ConflictError extends DomainError {
  readonly code = 'CONFLICT';
}

/** The same call is under way still: again, a little later, it is answered. */
export class IdempotencyInProgressError extends DomainError {
  readonly code = 'IDEMPOTENCY_IN_PROGRESS';
}

/** The key was used for other input. Nothing was done: a call of its own needs a key of its own. */
export class IdempotencyMismatchError extends DomainError {
  readonly code = 'IDEMPOTENCY_MISMATCH';
}

export class PayloadTooLargeError extends DomainError {
  readonly code = 'PAYLOAD_TOO_LARGE';
  readonly limitBytes: number;

  constructor(message: string, limitBytes: number) {
    super(message);
    this.limitBytes = limitBytes;
  }
}

export class UnsupportedMediaTypeError extends DomainError {
  readonly code = 'UNSUPPORTED_MEDIA_TYPE';
}

export class RateLimitedError extends DomainError {
  readonly code = 'RATE_LIMITED';
  readonly retryAfterSeconds: number;

  constructor(message: string, retryAfterSeconds: number) {
    super(message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Something Naru stands on (PostgreSQL, Redis, the bus) cannot serve right now; trying again is right. */
export class UnavailableError extends DomainError {
  readonly code = 'UNAVAILABLE';
  readonly retryAfterSeconds: number;

  constructor(message: string, options?: ErrorOptions & { retryAfterSeconds?: number }) {
    super(message, options);
    this.retryAfterSeconds = options?.retryAfterSeconds ?? 5;
  }
}
