import type { FastifyInstance } from 'fastify';
import { type ExecutionArgs, GraphQLError } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Context, Services } from '#context.ts';
import { UnauthenticatedError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import type { Engine } from './engine.ts';
import { LIMITS } from './limits.ts';
import { maskError } from './mask.ts';
import { contextFor } from './request.ts';

const INIT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 12_000;
/** A socket with this much unsent for this long is not being read: it is closed with 1013. */
const UNSENT_BYTES_MAX = 1 << 20;
const UNSENT_FOR_MS = 30_000;
const CHECK_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;

export interface WebSocketDoor {
  /** Tells every client to come back later (1012) and takes no more. */
  close(): Promise<void>;
}

/** graphql-ws on `/graphql` by upgrade: queries, mutations and subscriptions, by the same engine. */
export function registerWebSocket(
  fastify: FastifyInstance,
  app: Services,
  engine: Engine,
): WebSocketDoor {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LIMITS.requestBytes,
    perMessageDeflate: false,
  });
  fastify.server.on('upgrade', (request, socket, head) => {
    if (request.url?.split('?', 1)[0] !== '/graphql') {
      socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n');
      return;
    }
    socket.on('error', () => socket.destroy());
    sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit('connection', ws, request));
  });
  sockets.on('connection', (socket) => {
    app.metrics.websocketConnections.inc();
    socket.on('close', () => app.metrics.websocketConnections.dec());
    socket.on('error', (error) => app.log.debug({ err: error }, 'A socket failed'));
  });

  const server = useServer<{ authorization?: unknown; Authorization?: unknown }>(
    {
      connectionInitWaitTimeout: INIT_TIMEOUT_MS,
      onConnect: async (ctx) => {
        try {
          await contextFor(app, authorizationOf(ctx), newId());
        } catch (error) {
          if (error instanceof UnauthenticatedError) return false; // 4403: it comes back with another token
          throw error;
        }
        return authorizationOf(ctx) !== undefined;
      },
      onSubscribe: async (ctx, _id, { query, operationName, variables }) => {
        if (Object.keys(ctx.subscriptions).length > LIMITS.operationsPerSocket) {
          return [
            new GraphQLError('Too many operations on one socket', {
              extensions: { code: 'LIMIT_EXCEEDED' },
            }),
          ];
        }
        const requestId = newId();
        try {
          const document = engine.parse(query);
          const errors = engine.validate(document);
          if (errors.length > 0) return errors;
          const contextValue = await contextFor(app, authorizationOf(ctx), requestId);
          const args = { schema: engine.schema, document, contextValue };
          return {
            ...args,
            ...(operationName != null && { operationName }),
            ...(variables != null && { variableValues: variables }),
          };
        } catch (error) {
          if (error instanceof UnauthenticatedError) {
            ctx.extra.socket.close(CloseCode.Forbidden, 'Forbidden');
          }
          return [maskError(error, { log: app.log, requestId })];
        }
      },
      execute: (args: ExecutionArgs) => engine.execute(requestOf(args)),
      subscribe: (args: ExecutionArgs) => engine.subscribe(requestOf(args)),
    },
    sockets,
    KEEP_ALIVE_MS,
  );
  const stopChecking = closeUnreadSockets(sockets);

  return {
    async close() {
      stopChecking();
      // A stock client that reads 1012 connects again; one that were told `complete` would not.
      const closed = [...sockets.clients].map((socket) => closeOne(socket));
      await Promise.all(closed);
      await server.dispose();
    },
  };
}

async function closeOne(socket: WebSocket): Promise<void> {
  if (socket.readyState === socket.CLOSED) return;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.close(1012, 'Restarting');
  const force = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
  await closed;
  clearTimeout(force);
}

function authorizationOf(ctx: {
  readonly connectionParams?: { authorization?: unknown; Authorization?: unknown } | undefined;
  readonly extra: {
    readonly request: { readonly headers: { authorization?: string | undefined } };
  };
}): string | undefined {
  const { connectionParams, extra } = ctx;
  const given = connectionParams?.authorization ?? connectionParams?.Authorization;
  return typeof given === 'string' ? given : extra.request.headers.authorization;
}

function requestOf(args: ExecutionArgs) {
  return {
    document: args.document,
    operationName: args.operationName,
    variables: args.variableValues,
    context: args.contextValue as Context,
    transport: 'websocket' as const,
  };
}

/** A peer that stopped reading never answers a close either, so it is ended soon after. */
function closeUnreadSockets(server: WebSocketServer): () => void {
  const unreadSince = new WeakMap<WebSocket, number>();
  const timer = setInterval(() => {
    const now = performance.now();
    for (const socket of server.clients) {
      if (socket.bufferedAmount <= UNSENT_BYTES_MAX) {
        unreadSince.delete(socket);
        continue;
      }
      const since = unreadSince.get(socket) ?? now;
      unreadSince.set(socket, since);
      if (now - since < UNSENT_FOR_MS) continue;
      socket.close(1013, 'Too slow: come back with your last cursor');
      setTimeout(() => socket.terminate(), 2_000).unref();
    }
  }, CHECK_MS);
  return () => clearInterval(timer);
}
