import type { FastifyRequest } from 'fastify';
import { parseBearer } from '#auth/tokens.ts';
import { type Context, createContext, type Services } from '#context.ts';
import { UnauthenticatedError, UnavailableError } from '#lib/errors.ts';
import { isPassing } from '#lib/passing-failure.ts';

/** Throws `UnauthenticatedError` for credentials that do not count; without any the viewer is a guest. */
export function contextOf(app: Services, request: FastifyRequest): Promise<Context> {
  return contextFor(app, request.headers.authorization, request.id);
}

/** Also throws `UnavailableError` where the viewer cannot be read at the moment. */
export async function contextFor(
  app: Services,
  authorization: string | undefined,
  requestId: string,
): Promise<Context> {
  if (authorization === undefined) return createContext(app, { token: null }, requestId);
  const token = parseBearer(authorization);
  if (token === null) throw new UnauthenticatedError('Send `Authorization: Bearer naru_pat_…`');
  try {
    return await createContext(app, { token }, requestId);
  } catch (cause) {
    if (!isPassing(cause)) throw cause;
    throw new UnavailableError('Nobody can be signed in at the moment', { cause });
  }
}
