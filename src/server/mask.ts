import { type ExecutionResult, GraphQLError } from 'graphql';
import type { Context } from '#context.ts';
import { isPrismaAway } from '#database/failure.ts';
import {
  CursorExpiredError,
  DomainError,
  InvalidInputError,
  RateLimitedError,
  UnavailableError,
} from '#lib/errors.ts';
import { mayReadSchema } from './introspection.ts';

type Asker = Pick<Context, 'log' | 'requestId' | 'config' | 'viewer'>;

/** What a client is told of an error: domain errors as they are, the rest hidden and logged once. */
export function maskError(error: unknown, ctx: Asker): GraphQLError {
  const told = describeError(error, ctx);
  return mayReadSchema(ctx.config, ctx.viewer) ? told : withoutSuggestion(told);
}

/** All that is told of what came of an operation. */
export function maskResult(result: ExecutionResult, asker: Asker): ExecutionResult {
  if (!result.errors?.length) return result;
  const errors = result.errors.map((error) => maskError(error, asker));
  // Errors first and then the data, if any: the same bytes from a compiled operation as from another.
  return 'data' in result ? { errors, data: result.data } : { errors };
}

/** Names that nobody asked for, as GraphQL adds them behind what is wrong with another. */
export function withoutSuggestion(error: GraphQLError): GraphQLError {
  const message = error.message.replace(/ Did you mean .*$/s, '');
  return message === error.message ? error : restate(error, message, error.extensions);
}

function describeError(error: unknown, ctx: Asker): GraphQLError {
  const located = error instanceof GraphQLError ? error : null;
  const cause = toDomainError(causeOf(error));
  const path = located?.path;
  if (cause instanceof DomainError) {
    if (cause.cause !== undefined) ctx.log.warn({ err: cause.cause, path }, cause.message);
    return restate(located, cause.message, { code: cause.code, ...detailsOf(cause) });
  }
  // Raised by GraphQL itself (variables, arguments, page sizes): about what the client sent.
  if (located !== null && (cause === null || path === undefined)) {
    if (typeof located.extensions['code'] === 'string') return located;
    return restate(located, withoutValue(located), {
      ...located.extensions,
      code: 'INVALID_INPUT',
    });
  }
  ctx.log.error({ err: cause ?? error, path }, 'A GraphQL field failed');
  const extensions = { code: 'INTERNAL_SERVER_ERROR', requestId: ctx.requestId };
  return restate(located, 'Unexpected error', extensions);
}

/**
 * Of a variable that does not fit GraphQL repeats the value, all of it, and with it the password beside
 * what is wrong; clients write such messages to their logs. The place and the reason are enough.
 */
function withoutValue({ message, originalError }: GraphQLError): string {
  const [variable] = /^Variable "\$\w+"/.exec(message) ?? [];
  if (variable === undefined || !message.includes(' got invalid value ')) return message;
  const reason = originalError?.message ?? '';
  const [place = ''] = / at "[\w.[\]]+"$/.exec(message.slice(0, -`; ${reason}`.length)) ?? [];
  return `${variable} got an invalid value${place}; ${reason.split(':', 1)[0]}`;
}

/** The same place in the same document, with other words. */
export function restate(
  located: GraphQLError | null,
  message: string,
  extensions: Record<string, unknown>,
): GraphQLError {
  if (located === null) return new GraphQLError(message, { extensions });
  const { nodes, source, positions, path } = located;
  return new GraphQLError(message, {
    nodes: nodes ?? null,
    source: source ?? null,
    positions: positions ?? null,
    path: path ?? null,
    extensions,
  });
}

/** The error that was thrown, inside as many wrappers as GraphQL put around it. */
function causeOf(error: unknown): unknown {
  let current = error;
  while (current instanceof GraphQLError && current.originalError) current = current.originalError;
  return current instanceof GraphQLError ? null : current;
}

/** The database being away is the client's business however it was met. */
function toDomainError(cause: unknown): unknown {
  if (!isPrismaAway(cause)) return cause;
  return new UnavailableError('PostgreSQL cannot answer now', { cause });
}

function detailsOf(error: DomainError): Record<string, unknown> {
  if (error instanceof InvalidInputError) return { field: error.field };
  if (error instanceof CursorExpiredError) return { earliestCursor: error.earliestCursor };
  if (error instanceof RateLimitedError || error instanceof UnavailableError) {
    return { retryAfterSeconds: error.retryAfterSeconds };
  }
  return {};
}
