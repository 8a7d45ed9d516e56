import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Services } from '#context.ts';
import { sendProblem } from '#http/problem.ts';
import { registerRoutes } from '#http/routes.ts';
import { newId } from '#lib/ids.ts';
import { createSchema } from '#schema/index.ts';
import { createEngine, type Engine } from '#server/engine.ts';
import { registerGraphQL } from '#server/graphql.ts';
import { registerWebSocket, type SocketTimes } from '#server/websocket.ts';

export interface Server {
  readonly fastify: FastifyInstance;
  readonly engine: Engine;
  /** Resolves with the base URL once it accepts connections. Rejects when the port is taken. */
  listen(): Promise<string>;
  /** Takes no more, tells live clients to come back, finishes what is under way. */
  close(): Promise<void>;
}

export interface ServerOptions {
  /** Instead of what is usual; for tests, which cannot wait that long. */
  readonly socketTimes?: Partial<SocketTimes>;
}

const REQUEST_ID = /^[\w.-]{1,64}$/;
// A body that trickles in slower than this is given up: ten times what GitHub waits for an answer.
const REQUEST_TIMEOUT_MS = 100_000;

/** All doors on one port: plain routes, GraphQL over HTTP and server-sent events, graphql-ws by upgrade. */
export async function createServer(app: Services, options: ServerOptions = {}): Promise<Server> {
  const fastify: FastifyInstance = Fastify({
    // Its own notices (where it listens, and the like) are ours to give.
    loggerInstance: app.log.child(
      {},
      { level: app.log.isLevelEnabled('warn') ? 'warn' : app.log.level },
    ) as FastifyBaseLogger,
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'requestId',
    }),
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    // For what is refused before a route is found, e.g. a path that is not percent-encoded UTF-8.
    frameworkErrors: (error, request, reply) => {
      void sendProblem(error, request, reply.header('x-request-id', request.id));
    },
    routerOptions: { maxParamLength: 2_048 },
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : newId();
    },
  });
  observeRequests(fastify, app);
  const engine = createEngine(createSchema(), app.metrics);
  await registerGraphQL(fastify, app, engine);
  await registerRoutes(fastify, app);
  const sockets = registerWebSocket(fastify, app, engine, options.socketTimes);
  let closing = false;
  // Node closes what is idle when it stops; what becomes idle later would keep it for over a minute.
  fastify.addHook('onResponse', async () => {
    if (closing) setImmediate(() => fastify.server.closeIdleConnections());
  });
  fastify.addHook('preClose', async () => {
    closing = true;
    // Sockets first: ending their streams would tell clients that all is over.
    await sockets.close();
    await engine.endStreams();
  });

  return {
    fastify,
    engine,
    listen: () => fastify.listen({ host: app.config.host, port: app.config.port }),
    close: () => fastify.close(),
  };
}

function observeRequests(fastify: FastifyInstance, app: Services): void {
  fastify.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  fastify.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    const seconds = reply.elapsedTime / 1000;
    const status = `${Math.floor(reply.statusCode / 100)}xx`;
    app.metrics.httpRequestSeconds.observe({ route, status }, seconds);
    const level = reply.statusCode >= 500 ? 'warn' : 'debug';
    app.log[level](
      {
        requestId: request.id,
        method: request.method,
        route,
        statusCode: reply.statusCode,
        seconds,
      },
      'answered',
    );
  });
}
