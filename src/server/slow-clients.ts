// What a client may take its time for, and how much of it all there may be at once. Somebody who sends a
// byte now and then holds a connection, and what is kept for it, at no cost: each wait has an end.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Log } from '#log.ts';
import { BODY_BYTES_AT_ONCE_MAX, hasBody } from './body-budget.ts';

export interface ClientLimits {
  /** From connecting, or from a request's first byte, until its headers are complete; then 408. */
  readonly headersMs: number;
  /** From its headers until a request's body is complete; then 408. Webhooks have only the next limit. */
  readonly bodyMs: number;
  /** From a request's first byte to its last; then 408. Ten times what GitHub waits for an answer. */
  readonly requestMs: number;
  /** Nothing moves in either direction, e.g. an answer that nobody reads. Event streams and sockets have their own. */
  readonly stillMs: number;
  /** How often the first and the third are looked at: they end so much later at most. */
  readonly checkEveryMs: number;
  /** Open at once; more are closed as soon as they are accepted. */
  readonly connections: number;
  /** Of request bodies at once, those still to come included; more are 503. */
  readonly bodyBytesAtOnce: number;
}

export const CLIENT_LIMITS: ClientLimits = {
  headersMs: 15_000,
  bodyMs: 30_000,
  requestMs: 100_000,
  stillMs: 120_000,
  checkEveryMs: 2_000,
  connections: 20_000,
  bodyBytesAtOnce: BODY_BYTES_AT_ONCE_MAX,
};

const NOTICE_EVERY_MS = 10_000;
const TIMED_OUT = 'HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n';

/** The limits that Node and Fastify keep by themselves, as options of a Fastify server. */
export function serverLimits(limits: ClientLimits) {
  return {
    requestTimeout: limits.requestMs,
    connectionTimeout: limits.stillMs,
    http: {
      requestTimeout: limits.requestMs,
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: limits.checkEveryMs,
    },
  };
}

/** The others. */
export function registerClientLimits(
  fastify: FastifyInstance,
  log: Log,
  limits: ClientLimits,
): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    if (hasBody(request) && request.routeOptions.config.group !== 'ingress') {
      const timer = setTimeout(cut, limits.bodyMs, request, reply);
      // Emitted once the body has been read, or will not be.
      request.raw.once('close', () => clearTimeout(timer));
    }
    done();
  });
  fastify.server.maxConnections = limits.connections;
  let noticedAt = Number.NEGATIVE_INFINITY;
  fastify.server.on('drop', () => {
    const now = performance.now();
    if (now - noticedAt < NOTICE_EVERY_MS) return;
    noticedAt = now;
    log.warn({ connections: limits.connections }, 'Connections are refused: too many are open');
  });
}

/** As Node itself does: what reads the body learns that the connection is gone. */
function cut({ raw: { complete, socket } }: FastifyRequest, { raw }: FastifyReply): void {
  if (complete) return;
  // A response that waits for the one before it has no socket yet: it would be read as that one's answer.
  if (raw.socket === socket && !raw.headersSent && socket.writable) socket.write(TIMED_OUT);
  socket.destroySoon();
}
