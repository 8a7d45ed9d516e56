// How much of request bodies a node holds at once. Each body has a limit of its own, but many at once come
// to a multiple of it, and are in memory before anything is known of who sends them.
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { UnavailableError } from '#lib/errors.ts';
import { networkOf } from '#lib/network.ts';
import type { Metrics } from '#metrics.ts';

export const BODY_BYTES_AT_ONCE_MAX = 256 * 2 ** 20;
/** Of it, for one network: who declares much and sends nothing keeps nobody else's bodies out. */
const NETWORK_SHARE = 1 / 4;

/** Refuses a body that would come on top of too many, with 503 and before it is read. */
export function registerBodyBudget(
  fastify: FastifyInstance,
  { bodiesRefused }: Metrics,
  maximum: number,
): void {
  const budget = createBudget(maximum);
  fastify.addHook('onRequest', (request, reply, done) => {
    const bytes = bytesToCome(request);
    const { socket } = request.raw;
    // Of a connection that is gone nothing comes, and nothing would tell when to give it back.
    if (bytes === 0 || socket.destroyed) return done();
    const give = budget.take(socket, networkOf(request.ip), bytes);
    if (give === null) {
      bodiesRefused.inc();
      // What is still on its way of the body is not waited for.
      reply.header('connection', 'close');
      return done(new UnavailableError('Too much is being received right now'));
    }
    holderOf(request, reply).once('close', give);
    done();
  });
}

export function hasBody({ headers }: FastifyRequest): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** The most that may be read of it: what is longer is refused at the limit. */
function bytesToCome(request: FastifyRequest): number {
  // The body of a GET is never read.
  if (!hasBody(request) || request.method === 'GET' || request.method === 'HEAD') return 0;
  const { bodyLimit } = request.routeOptions;
  const length = request.headers['content-length'];
  return length === undefined ? bodyLimit : Math.min(Number(length), bodyLimit);
}

/** A body is held until its answer is done; but an event stream goes on for days, so only until it is read. */
function holderOf({ raw, headers, routeOptions }: FastifyRequest, reply: FastifyReply) {
  const mayStream = headers.accept?.includes('text/event-stream') ?? false;
  return mayStream && routeOptions.config.group !== 'ingress' ? raw : reply.raw;
}

/**
 * Counted by connection, too, since a response that waits for the one before it is not told that the
 * connection is gone: what is left of a connection's is given back with it.
 */
function createBudget(maximum: number) {
  const heldBy = new WeakMap<Socket, Set<() => void>>();
  const usedBy = new Map<string, number>();
  let used = 0;

  const add = (network: string, bytes: number) => {
    used += bytes;
    const ofNetwork = (usedBy.get(network) ?? 0) + bytes;
    if (ofNetwork === 0) usedBy.delete(network);
    else usedBy.set(network, ofNetwork);
  };

  const heldOf = (socket: Socket): Set<() => void> => {
    const known = heldBy.get(socket);
    if (known !== undefined) return known;
    const held = new Set<() => void>();
    heldBy.set(socket, held);
    socket.once('close', () => {
      for (const give of held) give();
    });
    return held;
  };

  return {
    /** Null where there is no room; else gives it back, once. */
    take(socket: Socket, network: string, bytes: number): (() => void) | null {
      const ofNetwork = (usedBy.get(network) ?? 0) + bytes;
      if (used + bytes > maximum || ofNetwork > maximum * NETWORK_SHARE) return null;
      const held = heldOf(socket);
      add(network, bytes);
      const give = () => {
        if (held.delete(give)) add(network, -bytes);
      };
      held.add(give);
      return give;
    },
  };
}
