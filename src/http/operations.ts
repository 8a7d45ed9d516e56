import type { FastifyReply, FastifyRequest } from 'fastify';
import { readAuthorization } from '#auth/credential.ts';
import { isOperator, type Viewer } from '#auth/viewer.ts';
import type { Services } from '#context.ts';
import { allowsAddress } from '#lib/address-rule.ts';
import { ForbiddenError, UnauthenticatedError } from '#lib/errors.ts';
import { equalInConstantTime } from '#lib/hmac.ts';

const CHECK_TIMEOUT_MS = 2_000;

/** Alive: the process answers. Says nothing of what it stands on, so that nobody restarts it for that. */
export async function getHealth(): Promise<unknown> {
  return { status: 'ok' };
}

/** Ready for traffic: all it stands on answers. Which part does not is told to operators only. */
export async function getReady(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const [postgresql, redis, bus] = await Promise.all([
    isUp(() => app.database.query('SELECT 1')),
    isUp(() => app.redis.ping()),
    isUp(() => app.bus.check()),
  ]);
  const parts = { postgresql, redis, bus };
  const isReady = Object.values(parts).every(Boolean);
  reply.code(isReady ? 200 : 503).header('cache-control', 'no-store');
  const status = isReady ? 'ready' : 'unavailable';
  return (await mayOperate(app, request)) ? { status, parts } : { status };
}

/** Prometheus' text format. For operators: see `mayOperate`; other addresses do not come as far as here. */
export async function getMetrics(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  if (!(await mayOperate(app, request))) {
    throw request.headers.authorization === undefined
      ? new UnauthenticatedError('Metrics need the operations token or an operator’s token')
      : new ForbiddenError('Metrics are for operators');
  }
  reply.header('content-type', app.metrics.registry.contentType);
  return app.metrics.registry.metrics();
}

function isUp(check: () => Promise<unknown>): Promise<boolean> {
  return withinTimeout(
    check().then(() => true),
    false,
  );
}

/** The answer, or `otherwise` when it fails or does not come in time. */
async function withinTimeout<Answer>(answer: Promise<Answer>, otherwise: Answer): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), CHECK_TIMEOUT_MS);
  });
  return Promise.race([answer.catch(() => otherwise), timeout]).finally(() => clearTimeout(timer));
}

/**
 * Whoever asks from an address that is denied, or not among those that are allowed: never. From one that is
 * allowed: always. Where none is listed: the holder of OPERATIONS_TOKEN (which works while PostgreSQL is
 * down), an operator whose token has `operations:read`, and in development, where no operations token is
 * set, anybody.
 */
async function mayOperate(app: Services, request: FastifyRequest): Promise<boolean> {
  const { operationsToken, mode, addresses } = app.config;
  if (!allowsAddress(addresses.operations, request.ip)) return false;
  if (addresses.operations.allow.length > 0) return true;
  const authorization = request.headers.authorization;
  if (authorization === undefined) return operationsToken === null && mode === 'development';
  if (operationsToken !== null) {
    if (equalInConstantTime(authorization, `Bearer ${operationsToken}`)) return true;
  }
  const viewer = await withinTimeout<Viewer | null>(
    readAuthorization(authorization, app.accessTokens).then(app.authenticate),
    null,
  );
  return isOperator(viewer) && (viewer?.scopes.has('operations:read') ?? false);
}
