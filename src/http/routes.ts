import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { RouteGroup } from '#config.ts';
import type { Services } from '#context.ts';
import { getAccountPage } from './account-page.ts';
import { getAuthGitHub, getAuthGitHubCallback } from './auth-github.ts';
import { getDevMail } from './dev-mail.ts';
import { getJsonWebKeys } from './json-web-keys.ts';
import { getHealth, getMetrics, getReady } from './operations.ts';
import { sendProblem } from './problem.ts';
import { BROADCAST_BODY_BYTES_MAX, getLastMessage, postBroadcast } from './rooms.ts';
import { countUnreadWebhook, limitWebhooks, postWebhook } from './webhooks.ts';

type Handler = (app: Services, request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whose list of addresses guards the route: `api` where it is left out, none where it is null. */
    group?: RouteGroup | null;
  }
}

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly group: RouteGroup | null;
  readonly handler: Handler;
}

const routes: readonly Route[] = [
  // For whatever balances load, from wherever that is. What `/ready` tells beyond that is guarded by itself.
  { method: 'GET', path: '/health', group: null, handler: getHealth },
  { method: 'GET', path: '/ready', group: null, handler: getReady },
  { method: 'GET', path: '/metrics', group: 'operations', handler: getMetrics },
  { method: 'GET', path: '/account', group: 'api', handler: getAccountPage },
  { method: 'GET', path: '/auth/github', group: 'api', handler: getAuthGitHub },
  { method: 'GET', path: '/auth/github/callback', group: 'api', handler: getAuthGitHubCallback },
  { method: 'GET', path: '/.well-known/jwks.json', group: 'api', handler: getJsonWebKeys },
  { method: 'GET', path: '/dev/mail', group: 'api', handler: getDevMail },
  { method: 'GET', path: '/api/last-message/:roomId', group: 'api', handler: getLastMessage },
];

/** Whatever it says that it is, the handler reads it, so that what is wrong with it is told in its own words. */
const unreadRoutes: readonly Route[] = [
  { method: 'POST', path: '/api/broadcast', group: 'api', handler: postBroadcast },
];

/** Bodies reach these as the bytes that came: a signature is over those and nothing else. */
const rawRoutes: readonly Route[] = [
  { method: 'POST', path: '/webhook', group: 'ingress', handler: postWebhook },
  { method: 'POST', path: '/webhook/*', group: 'ingress', handler: postWebhook },
];

/** Every plain HTTP route of Naru; `/graphql` is the server's own. */
export async function registerRoutes(fastify: FastifyInstance, app: Services): Promise<void> {
  fastify.setErrorHandler((error, request, reply) => sendProblem(error, request, reply));
  fastify.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send({ error: { code: 'NOT_FOUND', message: 'No such route', requestId: request.id } }),
  );
  for (const route of routes) add(fastify, app, route, undefined);
  await fastify.register(async (scope) => {
    takeBytes(scope);
    for (const route of unreadRoutes) add(scope, app, route, BROADCAST_BODY_BYTES_MAX);
  });
  await fastify.register(async (scope) => {
    takeBytes(scope);
    // Before its body is read: what is refused costs no memory.
    scope.addHook('onRequest', (request, reply) => limitWebhooks(app, request, reply));
    scope.addHook('onError', async (_request, _reply, error) => countUnreadWebhook(app, error));
    for (const route of rawRoutes) add(scope, app, route, app.config.webhookBodyBytesMax);
  });
}

/** Bodies as the bytes that came. */
function takeBytes(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
}

function add(
  fastify: FastifyInstance,
  app: Services,
  { method, path, group, handler }: Route,
  bodyLimit: number | undefined,
): void {
  fastify.route({
    method,
    url: path,
    config: { group },
    ...(bodyLimit !== undefined && { bodyLimit }),
    handler: (request, reply) => handler(app, request, reply),
  });
}
