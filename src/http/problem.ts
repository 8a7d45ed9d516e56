import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  DomainError,
  InvalidInputError,
  PayloadTooLargeError,
  RateLimitedError,
  UnavailableError,
  UnsupportedMediaTypeError,
} from '#lib/errors.ts';

/** The JSON of every refusal over plain HTTP: `{ error: { code, message, requestId, … } }`. */
export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const problem = toDomainError(error, request);
  if (problem === null) {
    request.log.error({ err: error, requestId: request.id }, 'A request failed');
    return reply.code(500).send({
      error: { code: 'INTERNAL_SERVER_ERROR', message: 'Unexpected error', requestId: request.id },
    });
  }
  if (problem instanceof RateLimitedError || problem instanceof UnavailableError) {
    reply.header('retry-after', problem.retryAfterSeconds);
  }
  if (problem.cause !== undefined) {
    request.log.warn({ err: problem.cause, requestId: request.id }, problem.message);
  }
  const { code, message } = problem;
  return reply
    .code(problem.status)
    .send({ error: { code, message, ...detailsOf(problem), requestId: request.id } });
}

function toDomainError(error: unknown, request: FastifyRequest): DomainError | null {
  if (error instanceof DomainError) return error;
  // Fastify's own refusals, all about what the client sent.
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (status === 413) {
    const limit = request.routeOptions.bodyLimit ?? 0;
    return new PayloadTooLargeError(`A body here has at most ${limit} bytes`, limit);
  }
  if (status === 415) {
    return new UnsupportedMediaTypeError('The Content-Type is no media type, or none taken here');
  }
  if (status >= 400 && status < 500 && error instanceof Error) {
    return new InvalidInputError(error.message);
  }
  return null;
}

function detailsOf(error: DomainError): Record<string, unknown> {
  if (error instanceof InvalidInputError) return { field: error.field };
  if (error instanceof PayloadTooLargeError) return { limitBytes: error.limitBytes };
  if (error instanceof RateLimitedError || error instanceof UnavailableError) {
    return { retryAfterSeconds: error.retryAfterSeconds };
  }
  return {};
}
