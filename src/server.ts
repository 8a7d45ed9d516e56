import type { Socket } from 'node:net';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Services } from '#context.ts';
import { sendProblem } from '#http/problem.ts';
import { registerRoutes } from '#http/routes.ts';
import { createRequestIds } from '#lib/request-id.ts';
import { topics } from '#pubsub/topics.ts';
import { createSchema } from '#schema/index.ts';
import { createAccessLog } from '#server/access-log.ts';
import { registerAddresses } from '#server/addresses.ts';
import { registerBodyBudget } from '#server/body-budget.ts';
import { createCredentialWatch } from '#server/credential-watch.ts';
import { createDocuments } from '#server/documents.ts';
import { createEngine, type Engine } from '#server/engine.ts';
import { registerGraphQL } from '#server/graphql.ts';
import { pageHeaders, registerPageHeaders } from '#server/page-headers.ts';
import { createPolicies } from '#server/policies.ts';
import { markStopping } from '#server/request.ts';
import { createResponseCache } from '#server/response-cache.ts';
import {
  CLIENT_LIMITS,
  type ClientLimits,
  registerClientLimits,
  serverLimits,
} from '#server/slow-clients.ts';
import { createEventStreams, type EventStreamTimes } from '#server/sse.ts';
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
  readonly streamTimes?: Partial<EventStreamTimes>;
  readonly clientLimits?: Partial<ClientLimits>;
}

const REQUEST_ID = /^[\w.-]{1,64}$/;

/** All doors on one port: plain routes, GraphQL over HTTP and server-sent events, graphql-ws by upgrade. */
export async function createServer(app: Services, options: ServerOptions = {}): Promise<Server> {
  const nextRequestId = createRequestIds();
  const accessLog = createAccessLog(app);
  const clientLimits = { ...CLIENT_LIMITS, ...options.clientLimits };
  const { http, ...timeouts } = serverLimits(clientLimits);
  const fastify: FastifyInstance = Fastify({
    // Its own notices (where it listens, and the like) are ours to give.
    loggerInstance: app.log.child(
      {},
      { level: app.log.isLevelEnabled('warn') ? 'warn' : app.log.level },
    ) as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    // One logger for all: a child each request costs more than most requests have to say.
    childLoggerFactory: (logger) => logger,
    ...timeouts,
    trustProxy: app.config.trustedProxies.length > 0 && [...app.config.trustedProxies],
    // Clients that offer HTTP/2 over plain HTTP ask for an upgrade as well: they are just answered.
    http: {
      ...http,
      shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
    },
    forceCloseConnections: 'idle',
    // For what is refused before a route is found, e.g. a path that is not percent-encoded UTF-8.
    frameworkErrors: (error, request, reply) => {
      // No hook has run for these.
      accessLog.watch(request, reply);
      const headers = { ...pageHeaders(app.config), 'x-request-id': request.id };
      void sendProblem(error, request, reply.headers(headers));
    },
    routerOptions: { maxParamLength: 2_048 },
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : nextRequestId();
    },
  });
  accessLog.register(fastify);
  observeRequests(fastify, app);
  await registerPageHeaders(fastify, app);
  registerAddresses(fastify, app);
  registerBodyBudget(fastify, app.metrics, clientLimits.bodyBytesAtOnce);
  registerClientLimits(fastify, app.log, clientLimits);
  const schema = createSchema();
  const policies = createPolicies(schema, app);
  const engine = createEngine(schema, { metrics: app.metrics, policies });
  const documents = await createDocuments(engine, app.config);
  const credentials = createCredentialWatch(app);
  const streams = createEventStreams(engine, credentials, options.streamTimes);
  const cache = createResponseCache({
    schema,
    bus: app.bus,
    topics,
    onError: (error) => app.log.warn({ err: error }, 'No answer that may change is kept for now'),
  });
  await registerGraphQL(fastify, app, { engine, documents }, streams, cache);
  await registerRoutes(fastify, app);
  const sockets = registerWebSocket(
    fastify,
    app,
    { engine, documents },
    credentials,
    accessLog,
    options.socketTimes,
  );
  const closeUnused = trackUnused(fastify);
  let closing = false;
  // Node closes what is idle when it stops; what becomes idle later would keep it for over a minute.
  fastify.addHook('onResponse', (_request, _reply, done) => {
    if (closing) setImmediate(() => fastify.server.closeIdleConnections());
    done();
  });
  fastify.addHook('preClose', async () => {
    closing = true;
    markStopping(fastify.server);
    // Connections first: ending what they carry would tell clients that all is over.
    credentials.close();
    streams.close();
    await sockets.close();
    await engine.endStreams();
    await cache.close();
    closeUnused();
  });

  return {
    fastify,
    engine,
    listen: () => fastify.listen({ host: app.config.host, port: app.config.port }),
    close: () => fastify.close(),
  };
}

/** Browsers connect ahead of need; a connection that never asked anything counts as busy for Node. */
function trackUnused(fastify: FastifyInstance): () => void {
  const connections = new Set<Socket>();
  fastify.server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  return () => {
    for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
  };
}

// Hooks that call back rather than promise: these run for every request.
function observeRequests(fastify: FastifyInstance, app: Services): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none';
    const status = `${Math.floor(reply.statusCode / 100)}xx`;
    app.metrics.httpRequestSeconds.observe({ route, status }, reply.elapsedTime / 1000);
    done();
  });
}
