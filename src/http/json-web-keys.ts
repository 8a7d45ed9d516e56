import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Services } from '#context.ts';

const KEPT_SECONDS = 300;

/** RFC 7517: the public keys of access tokens, for services of your own that check them without asking. */
export async function getJsonWebKeys(
  app: Services,
  _request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  reply
    .header('content-type', 'application/jwk-set+json')
    .header('cache-control', `public, max-age=${KEPT_SECONDS}`);
  return JSON.stringify(app.accessTokens.keySet());
}
