import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import type { Config } from '#config.ts';
import type { Services } from '#context.ts';
import { CSRF_HEADER } from './page-rules.ts';

const PREFLIGHT_SECONDS = 600;
const HSTS_SECONDS = 365 * 86_400;

// For answers that are data: nothing in them is to be run, framed, guessed at or kept. The few pages say
// what they need themselves.
const HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

/** What is on every answer unless it says otherwise itself. */
export function pageHeaders({ publicUrl }: Pick<Config, 'publicUrl'>): Record<string, string> {
  const isSecure = publicUrl.startsWith('https://');
  return {
    ...HEADERS,
    ...(isSecure && { 'strict-transport-security': `max-age=${HSTS_SECONDS}` }),
  };
}

/** Security headers on every answer, and CORS for the origins that are allowed. */
export async function registerPageHeaders(
  fastify: FastifyInstance,
  { config }: Pick<Services, 'config'>,
): Promise<void> {
  const headers = pageHeaders(config);
  fastify.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers);
    done();
  });
  if (config.allowedOrigins.length === 0) return;
  await fastify.register(cors, {
    // Exact: an origin that is not listed is answered without a word of CORS.
    origin: (origin, answer) =>
      answer(null, origin !== undefined && config.allowedOrigins.includes(origin)),
    credentials: true,
    methods: ['GET', 'POST'],
    allowedHeaders: [
      'content-type',
      'authorization',
      'last-event-id',
      'if-none-match',
      'idempotency-key',
      'x-idempotency-key',
      'x-request-id',
      CSRF_HEADER,
    ],
    exposedHeaders: [
      'x-request-id',
      'retry-after',
      'ratelimit',
      'ratelimit-policy',
      'idempotency-replayed',
      'etag',
    ],
    maxAge: PREFLIGHT_SECONDS,
  });
}
