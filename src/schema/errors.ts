import {
  ConflictError,
  type DomainError,
  type ERROR_STATUS,
  ForbiddenError,
  IdempotencyInProgressError,
  IdempotencyMismatchError,
  InvalidCredentialsError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
  UnavailableError,
} from '#lib/errors.ts';
import { builder } from './builder.ts';

const CODE_MEANINGS: Readonly<Record<keyof typeof ERROR_STATUS, string>> = {
  INVALID_INPUT: 'Something in the input is not acceptable; `field` names it.',
  CURSOR_INVALID: 'The cursor was not given out by this feed.',
  UNAUTHENTICATED: 'Nobody is signed in, or the token is unknown, expired or revoked.',
  INVALID_CREDENTIALS: 'Login, password or one-time token do not match.',
  FORBIDDEN: 'The viewer, or its token, may not do this.',
  NOT_FOUND: 'There is no such thing that the viewer may know of.',
  CONFLICT: 'The state of things does not allow it.',
  IDEMPOTENCY_IN_PROGRESS: 'The same call is under way still; try again.',
  IDEMPOTENCY_MISMATCH: 'The idempotency key was used for other input.',
  CURSOR_EXPIRED: 'What follows the cursor is no longer kept.',
  FEED_RESET: 'The feed was rebuilt since the cursor was given out.',
  PAYLOAD_TOO_LARGE: 'The body is larger than the limit that the message names.',
  UNSUPPORTED_MEDIA_TYPE: 'The body has a media type that is not taken here.',
  RATE_LIMITED: 'Too much at once; try again after `retryAfterSeconds`.',
  UNAVAILABLE: 'Something Naru stands on is away; try again.',
};

const ErrorCodeEnum = builder.enumType('ErrorCode', {
  description: 'Every stable code; `docs/errors.md` says for each whether trying again helps.',
  values: Object.fromEntries(
    Object.entries(CODE_MEANINGS).map(([code, description]) => [code, { description }]),
  ) as Record<keyof typeof ERROR_STATUS, { description: string }>,
});

const ErrorInterface = builder.interfaceRef<DomainError>('Error').implement({
  description: 'A failure that a mutation declares as one of its results.',
  fields: (t) => ({
    code: t.field({
      type: ErrorCodeEnum,
      description: 'Stable; decide on this, not on the message.',
      resolve: (error) => error.code,
    }),
    message: t.exposeString('message', { description: 'For people; may change.' }),
  }),
});

builder.objectType(InvalidInputError, {
  name: 'InvalidInputError',
  description: 'The input is not acceptable. Sending it again will not help.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    field: t.exposeString('field', {
      nullable: true,
      description: 'Path of the offending input, e.g. `input.name`; null for the input as a whole.',
    }),
  }),
});

builder.objectType(UnauthenticatedError, {
  name: 'UnauthenticatedError',
  description: 'Nobody is signed in, or the credentials no longer count.',
  interfaces: [ErrorInterface],
});

builder.objectType(InvalidCredentialsError, {
  name: 'InvalidCredentialsError',
  description:
    'Login, password or one-time token do not match. The same answer, after the same work, whether or not ' +
    'there is such an account.',
  interfaces: [ErrorInterface],
});

builder.objectType(RateLimitedError, {
  name: 'RateLimitedError',
  description: 'Too many attempts. Nothing was tried.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    retryAfterSeconds: t.exposeInt('retryAfterSeconds', {
      description: 'Wait at least this long, in seconds.',
    }),
  }),
});

builder.objectType(ForbiddenError, {
  name: 'ForbiddenError',
  description: 'The viewer, or the scopes of its token, do not allow this.',
  interfaces: [ErrorInterface],
});

builder.objectType(NotFoundError, {
  name: 'NotFoundError',
  description: 'There is no such thing that the viewer may know of.',
  interfaces: [ErrorInterface],
});

builder.objectType(ConflictError, {
  name: 'ConflictError',
  description: 'The state of things does not allow it now.',
  interfaces: [ErrorInterface],
});

builder.objectType(IdempotencyInProgressError, {
  name: 'IdempotencyInProgressError',
  description:
    'A call with this idempotency key is under way still. The same call again, a little later, is answered.',
  interfaces: [ErrorInterface],
});

builder.objectType(IdempotencyMismatchError, {
  name: 'IdempotencyMismatchError',
  description:
    'The idempotency key was used within 24 hours, for other input. Nothing was done: another call ' +
    'needs another key.',
  interfaces: [ErrorInterface],
});

builder.objectType(UnavailableError, {
  name: 'UnavailableError',
  description: 'Something Naru stands on is away. Trying again is right.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    retryAfterSeconds: t.exposeInt('retryAfterSeconds', {
      description: 'Wait at least this long, in seconds.',
    }),
  }),
});
