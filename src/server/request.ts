import type { FastifyRequest } from 'fastify';
import { parseBearer } from '#auth/tokens.ts';
import { type Context, createContext, type Services } from '#context.ts';
import { UnauthenticatedError } from '#lib/errors.ts';

/** Throws `UnauthenticatedError` for credentials that do not count; without any the viewer is a guest. */
export function contextOf(app: Services, request: FastifyRequest): Promise<Context> {
  return contextFor(app, request.headers.authorization, request.id);
}

export async function contextFor(
  app: Services,
  authorization: string | undefined,
  requestId: string,
): Promise<Context> {
  if (authorization === undefined) return createContext(app, { token: null }, requestId);
  const token = parseBearer(authorization);
  if (token === null) throw new UnauthenticatedError('Send `Authorization: Bearer naru_pat_…`');
  return createContext(app, { token }, requestId);
}
