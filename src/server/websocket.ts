import type { IncomingMessage } from 'node:http';
import proxyAddr from '@fastify/proxy-addr';
import type { FastifyInstance } from 'fastify';
import type { ExecutionArgs } from 'graphql';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { readCookie, sessionCookieName } from '#auth/cookies.ts';
import type { Context, Services } from '#context.ts';
import { UnauthenticatedError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import type { AccessLog } from './access-log.ts';
import { mayReach } from './addresses.ts';
import type { CredentialWatch } from './credential-watch.ts';
import { type Documents, malformedParameters } from './documents.ts';
import type { Engine } from './engine.ts';
import { LIMITS, limitError } from './limits.ts';
import { maskError } from './mask.ts';
import { isFromForeignPage, isFromTrustedPage } from './page-rules.ts';
import { asParameters } from './parameters.ts';
import { CLOSE, closeWith, type SocketExtra, serveSocket, UNSENT_BYTES_MAX } from './socket.ts';
import { createSocketProof } from './socket-proof.ts';

export interface SocketTimes {
  /** From opening to `connection_init`; then 4408. */
  readonly initTimeoutMs: number;
  readonly keepAliveMs: number;
  /** A socket with more than `UNSENT_BYTES_MAX` unsent for this long is closed with 1013. */
  readonly unsentForMs: number;
  /** What a peer has to answer a close, before its connection is cut. */
  readonly closeTimeoutMs: number;
}

const TIMES: SocketTimes = {
  initTimeoutMs: 10_000,
  keepAliveMs: 12_000,
  unsentForMs: 30_000,
  closeTimeoutMs: 2_000,
};

export interface WebSocketDoor {
  /** Tells every client to come back (1012) and takes no more. */
  close(): Promise<void>;
}

type Parameters = Record<string, unknown>;

interface SocketContext {
  readonly acknowledged: boolean;
  readonly connectionParams?: Readonly<Parameters> | undefined;
  readonly extra: SocketExtra;
}

/** graphql-ws on `/graphql` by upgrade: queries, mutations and subscriptions, by the same engine. */
export function registerWebSocket(
  fastify: FastifyInstance,
  app: Services,
  { engine, documents }: { readonly engine: Engine; readonly documents: Documents },
  credentials: CredentialWatch,
  accessLog: AccessLog,
  given: Partial<SocketTimes> = {},
): WebSocketDoor {
  const times = { ...TIMES, ...given };
  const trustsProxy = proxyAddr.compile([...app.config.trustedProxies]);
  let closing = false;

  const askedOf = ({ document, operationName, contextValue }: ExecutionArgs) => ({
    context: contextValue as Context,
    kind: engine.kindOf(document, operationName),
    name: operationName,
    trustedName: documents.trustedNameOf(document, operationName),
  });

  const protocol = makeServer<Parameters, SocketExtra>({
    connectionInitWaitTimeout: times.initTimeoutMs,
    onConnect: (ctx) => connect(app, ctx),
    onPing: (ctx, payload) => renew(app, ctx, payload),
    onSubscribe: async (ctx, _id, payload) => {
      if (Object.keys(ctx.subscriptions).length > LIMITS.operationsPerSocket) {
        const message = `At most ${LIMITS.operationsPerSocket} operations at once on one socket`;
        return [limitError('operationsPerSocket', message)];
      }
      const requestId = newId();
      try {
        const contextValue = await ctx.extra.proof.contextFor(requestId);
        const parameters = asParameters(payload);
        if (parameters === null) return [malformedParameters()];
        engine.policies.requireBudget(contextValue);
        const asked = documents.resolve(parameters, contextValue.viewer);
        if ('errors' in asked) {
          await engine.policies.chargeRefused(contextValue);
          return asked.errors;
        }
        const { operationName, variables } = parameters;
        return {
          schema: engine.schema,
          document: asked.document,
          contextValue,
          ...(operationName != null && { operationName }),
          ...(variables != null && { variableValues: variables }),
        };
      } catch (error) {
        if (error instanceof UnauthenticatedError) closeRefused(ctx.extra.socket, error);
        const log = app.log.child({ requestId });
        return [maskError(error, { log, requestId, config: app.config, viewer: null })];
      }
    },
    execute: (args: ExecutionArgs) =>
      accessLog.watchOperation(askedOf(args), engine.execute(requestOf(args))),
    subscribe: (args: ExecutionArgs) =>
      accessLog.watchOperation(askedOf(args), engine.subscribe(requestOf(args))),
  });

  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LIMITS.requestBytes,
    perMessageDeflate: false,
    handleProtocols,
  });
  sockets.on('connection', (socket, request) => {
    app.metrics.websocketConnections.inc();
    socket.on('close', () => app.metrics.websocketConnections.dec());
    const peer = { socket, request, ipAddress: proxyAddr(request, trustsProxy) };
    const refuse = (error: UnauthenticatedError) => closeRefused(socket, error);
    const proof = createSocketProof(app, credentials, peer, refuse);
    serveSocket(
      protocol,
      { socket, request, proof },
      { log: app.log, keepAliveMs: times.keepAliveMs },
    );
  });
  fastify.server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    const isStranger = !mayReach(app, 'api', proxyAddr(request, trustsProxy));
    const refusal = isStranger ? '403 Forbidden' : refusalOf(app, request);
    const status = closing ? '503 Service Unavailable' : refusal;
    if (status !== null) {
      // Half-open otherwise: nothing else would ever end it.
      socket.once('finish', () => socket.destroy());
      socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit('connection', ws, request));
  });
  const stopChecking = closeUnreadSockets(sockets, app, times);

  return {
    async close() {
      closing = true;
      stopChecking();
      // A stock client that reads 1012 connects again; one that were told `complete` would not.
      await Promise.all([...sockets.clients].map((socket) => closeOne(socket, times)));
    },
  };
}

/** A page of somebody else gets no socket, whatever it would prove itself with later. */
function refusalOf({ config }: Services, { url, headers }: IncomingMessage): string | null {
  if (url?.split('?', 1)[0] !== '/graphql') return '404 Not Found';
  const name = sessionCookieName(config.cookieSecure);
  const hasCookie = readCookie(headers.cookie, name) !== null;
  const isRefused =
    isFromForeignPage(config, headers) || (hasCookie && !isFromTrustedPage(config, headers));
  return isRefused ? '403 Forbidden' : null;
}

/** False is 4403, after which a stock client comes back with what may be another token. */
async function connect(app: Services, ctx: SocketContext): Promise<boolean> {
  const { socket, proof } = ctx.extra;
  try {
    return await proof.open(authorizationOf(ctx));
  } catch (error) {
    if (!(error instanceof UnauthenticatedError)) {
      app.log.error({ err: error }, 'The viewer of a socket cannot be read');
      closeWith(socket, CLOSE.later);
    }
    return false;
  }
}

/** A ping with `payload.authorization` renews what the socket proves itself with; its pong says that it did. */
async function renew(app: Services, ctx: SocketContext, payload: Parameters | undefined) {
  const authorization = payload?.['authorization'];
  if (typeof authorization !== 'string' || !ctx.acknowledged) return;
  const { socket, proof } = ctx.extra;
  try {
    await proof.renew(authorization);
  } catch (error) {
    if (error instanceof UnauthenticatedError) socket.close(CloseCode.Forbidden, 'Forbidden');
    else {
      app.log.error({ err: error }, 'The viewer of a socket cannot be read');
      closeWith(socket, CLOSE.later);
    }
  }
}

/** A stock client stops at 4401, and comes back from 4403 with what it refreshed meanwhile. */
function closeRefused(socket: WebSocket, { isExpired }: UnauthenticatedError): void {
  if (isExpired) socket.close(CloseCode.Forbidden, 'The access token has expired');
  else socket.close(CloseCode.Unauthorized, 'The session or token no longer counts');
}

function authorizationOf({ connectionParams, extra }: SocketContext): string | undefined {
  // The second is how GraphiQL sends what somebody typed as headers.
  const given = connectionParams?.['authorization'] ?? connectionParams?.['Authorization'];
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

function closeUnreadSockets(
  server: WebSocketServer,
  { log }: Services,
  times: SocketTimes,
): () => void {
  const unreadSince = new WeakMap<WebSocket, number>();
  const look = () => {
    const now = performance.now();
    for (const socket of server.clients) {
      if (socket.bufferedAmount <= UNSENT_BYTES_MAX) {
        unreadSince.delete(socket);
        continue;
      }
      const since = unreadSince.get(socket) ?? now;
      unreadSince.set(socket, since);
      if (now - since < times.unsentForMs || socket.readyState !== socket.OPEN) continue;
      log.info({ unsentBytes: socket.bufferedAmount }, 'A socket that is not read is closed');
      void closeOne(socket, times, CLOSE.later);
    }
  };
  const timer = setInterval(look, times.unsentForMs / 6);
  return () => clearInterval(timer);
}

/** A peer that does not answer the close, as one that stopped reading never does, is cut off. */
async function closeOne(
  socket: WebSocket,
  { closeTimeoutMs }: SocketTimes,
  code: { readonly code: number; readonly reason: string } = CLOSE.restarting,
): Promise<void> {
  if (socket.readyState === socket.CLOSED) return;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  closeWith(socket, code);
  const force = setTimeout(() => socket.terminate(), closeTimeoutMs);
  await closed;
  clearTimeout(force);
}
