import type { FastifyInstance } from 'fastify';
import type { ExecutionArgs } from 'graphql';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Context, Services } from '#context.ts';
import type { ChatClock } from '#http/chat-socket.ts';
import { UnauthenticatedError } from '#lib/errors.ts';
import { newId } from '#lib/ids.ts';
import type { AccessLog } from './access-log.ts';
import { createChatDoor } from './chat-upgrade.ts';
import type { CredentialWatch } from './credential-watch.ts';
import { type Documents, malformedParameters } from './documents.ts';
import type { Engine } from './engine.ts';
import { LIMITS, limitError } from './limits.ts';
import { maskError } from './mask.ts';
import { asParameters } from './parameters.ts';
import { CLOSE, closeWith, type SocketExtra, serveSocket } from './socket.ts';
import { createSocketProof } from './socket-proof.ts';
import { registerUpgrades, type UpgradeDoor, type Upgrades, type UpgradeTimes } from './upgrade.ts';

export interface SocketTimes extends UpgradeTimes {
  /** From opening to `connection_init`; then 4408. */
  readonly initTimeoutMs: number;
  readonly keepAliveMs: number;
  /** For the chat worker's clients, whose protocol has deadlines of its own. */
  readonly chatClock?: ChatClock;
}

const TIMES: SocketTimes = {
  initTimeoutMs: 10_000,
  keepAliveMs: 12_000,
  unsentForMs: 30_000,
  closeTimeoutMs: 2_000,
};

type Parameters = Record<string, unknown>;

interface SocketContext {
  readonly acknowledged: boolean;
  readonly connectionParams?: Readonly<Parameters> | undefined;
  readonly extra: SocketExtra;
}

/**
 * graphql-ws on `/graphql` by upgrade: queries, mutations and subscriptions, by the same engine. And beside it the
 * chat worker's clients, on their own paths.
 */
export function registerWebSocket(
  fastify: FastifyInstance,
  app: Services,
  { engine, documents }: { readonly engine: Engine; readonly documents: Documents },
  credentials: CredentialWatch,
  accessLog: AccessLog,
  given: Partial<SocketTimes> = {},
): Upgrades {
  const times = { ...TIMES, ...given };
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
  const graphql: UpgradeDoor = {
    sockets,
    takes: (url) => url.split('?', 1)[0] === '/graphql',
    serve(socket, request, ipAddress) {
      const refuse = (error: UnauthenticatedError) => closeRefused(socket, error);
      const proof = createSocketProof(app, credentials, { socket, request, ipAddress }, refuse);
      serveSocket(
        protocol,
        { socket, request, proof },
        { log: app.log, keepAliveMs: times.keepAliveMs },
      );
    },
  };
  const chat = createChatDoor(app, credentials, { clock: times.chatClock });
  return registerUpgrades(fastify, app, [graphql, chat], times);
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
