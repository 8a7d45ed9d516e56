import type { FastifyRequest } from 'fastify';
import { parseBearer } from '#auth/tokens.ts';
import { type Context, createContext, type Origin, type Services } from '#context.ts';
import { UnauthenticatedError } from '#lib/errors.ts';

const stopping = new WeakSet<object>();

/** From now on, requests of this HTTP server that wait for something are told to stop waiting. */
export function markStopping(server: object): void {
  stopping.add(server);
}

/** Throws `UnauthenticatedError` for credentials that do not count; without any the viewer is a guest. */
export function contextOf(app: Services, request: FastifyRequest): Promise<Context> {
  const { socket } = request.raw;
  const { server } = request.server;
  const lastEventId = request.headers['last-event-id'];
  return contextFor(app, request.headers.authorization, {
    requestId: request.id,
    // A stopping server finishes what is under way; who only waits is to come back elsewhere.
    isGone: () => socket.destroyed || stopping.has(server),
    // What a browser sends that has received nothing yet is empty.
    lastEventId: typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : null,
  });
}

/** Also throws `UnavailableError` where the viewer cannot be read at the moment. */
export async function contextFor(
  app: Services,
  authorization: string | undefined,
  origin: Omit<Origin, 'token'>,
): Promise<Context> {
  if (authorization === undefined) return createContext(app, { ...origin, token: null });
  const token = parseBearer(authorization);
  if (token === null) throw new UnauthenticatedError('Send `Authorization: Bearer naru_pat_…`');
  return createContext(app, { ...origin, token });
}
