import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Services } from '#context.ts';
import { getAccountPage } from './account-page.ts';
import { getAuthGitHub, getAuthGitHubCallback } from './auth-github.ts';
import { getDevMail } from './dev-mail.ts';
import { getJsonWebKeys } from './json-web-keys.ts';
import { getHealth, getMetrics, getReady } from './operations.ts';
import { sendProblem } from './problem.ts';
import { countUnreadWebhook, postWebhook } from './webhooks.ts';

type Handler = (app: Services, request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly handler: Handler;
}

const routes: readonly Route[] = [
  { method: 'GET', path: '/health', handler: getHealth },
  { method: 'GET', path: '/ready', handler: getReady },
  { method: 'GET', path: '/metrics', handler: getMetrics },
  { method: 'GET', path: '/account', handler: getAccountPage },
  { method: 'GET', path: '/auth/github', handler: getAuthGitHub },
  { method: 'GET', path: '/auth/github/callback', handler: getAuthGitHubCallback },
  { method: 'GET', path: '/.well-known/jwks.json', handler: getJsonWebKeys },
  { method: 'GET', path: '/dev/mail', handler: getDevMail },
];

/** Bodies reach these as the bytes that came: a signature is over those and nothing else. */
const rawRoutes: readonly Route[] = [
  { method: 'POST', path: '/webhook', handler: postWebhook },
  { method: 'POST', path: '/webhook/*', handler: postWebhook },
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
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) =>
      done(null, body),
    );
    scope.addHook('onError', async (_request, _reply, error) => countUnreadWebhook(app, error));
    for (const route of rawRoutes) add(scope, app, route, app.config.webhookBodyBytesMax);
  });
}

function add(
  fastify: FastifyInstance,
  app: Services,
  { method, path, handler }: Route,
  bodyLimit: number | undefined,
): void {
  fastify.route({
    method,
    url: path,
    ...(bodyLimit !== undefined && { bodyLimit }),
    handler: (request, reply) => handler(app, request, reply),
  });
}
