import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { readCookie, sessionCookieName, writeCookie } from '#auth/cookies.ts';
import { type Credential, cookieCredential, readAuthorization } from '#auth/credential.ts';
import { type Context, createContext, type Origin, type Services } from '#context.ts';
import { ForbiddenError, InvalidInputError, UnauthenticatedError } from '#lib/errors.ts';
import { CSRF_HEADER, isFromForeignPage, isFromTrustedPage, mayUseCookie } from './page-rules.ts';

const stopping = new WeakSet<object>();

/** From now on, requests of this HTTP server that wait for something are told to stop waiting. */
export function markStopping(server: object): void {
  stopping.add(server);
}

/** One answer, which may set a cookie; an EventSource's stream; or anything else. */
export type Wanted = 'answer' | 'event-stream' | 'other';

/**
 * Throws `UnauthenticatedError` for credentials that do not count, `ForbiddenError` for a cookie that
 * somebody else's page may have sent; without any the viewer is a guest. A cookie whose session has
 * ended makes a guest, too. It is not taken away: this answer may come after that of a new sign-in.
 */
export async function contextOf(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply,
  wanted: Wanted,
): Promise<Context> {
  const isEventStream = wanted === 'event-stream';
  const { headers } = request;
  if (isEventStream && isFromForeignPage(app.config, headers)) throw foreignPage();
  const credential = await readCredential(app, headers, headers.authorization, () =>
    // EventSource sends no headers of its own, and its answers are for the page's eyes only.
    isEventStream ? isFromTrustedPage(app.config, headers) : mayUseCookie(app.config, headers),
  );
  const origin = originOf(app, request, wanted === 'answer' ? reply : null, credential);
  try {
    return await createContext(app, origin);
  } catch (error) {
    const isOver = credential?.kind === 'cookie' && error instanceof UnauthenticatedError;
    // An EventSource that is answered with 401 stops; as a guest it would come back for ever.
    if (!isOver || isEventStream) throw error;
    return createContext(app, { ...origin, credential: null });
  }
}

function originOf(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply | null,
  credential: Credential | null,
): Origin {
  const { headers, raw, server } = request;
  const { cookieSecure } = app.config;
  const lastEventId = headers['last-event-id'];
  return {
    requestId: request.id,
    credential,
    client: { ipAddress: request.ip, userAgent: headers['user-agent'] ?? null },
    // A stopping server finishes what is under way; who only waits is to come back elsewhere.
    isGone: () => raw.socket.destroyed || stopping.has(server.server),
    // What a browser sends that has received nothing yet is empty.
    lastEventId: typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : null,
    // Also where no cookie came: a page of somebody else must not sign its visitor in as somebody.
    setSessionCookie:
      reply !== null && mayUseCookie(app.config, headers)
        ? (cookie) => {
            const name = sessionCookieName(cookieSecure);
            reply.header('set-cookie', writeCookie(name, cookie, cookieSecure));
          }
        : null,
    idempotencyKey: readIdempotencyKey(headers),
    notes: { headers: {}, extensions: {} },
  };
}

/** As the draft standard writes it, a quoted string, or bare, as most clients send it. */
function readIdempotencyKey(headers: IncomingHttpHeaders): string | null {
  const given = [headers['idempotency-key'], headers['x-idempotency-key']]
    .filter((value) => typeof value === 'string')
    .map(
      (value) => /^"(?<key>.*)"$/.exec(value)?.groups?.['key']?.replace(/\\(.)/g, '$1') ?? value,
    );
  if (new Set(given).size > 1) {
    throw new InvalidInputError(
      'Idempotency-Key and X-Idempotency-Key have different keys: send one',
      'Idempotency-Key',
    );
  }
  return given[0] ?? null;
}

/** `Authorization` wins over a cookie, which comes along unasked. `mayUse`: whether the page's cookie counts. */
export async function readCredential(
  app: Services,
  headers: IncomingHttpHeaders,
  authorization: string | undefined,
  mayUse: () => boolean,
): Promise<Credential | null> {
  if (authorization !== undefined) return readAuthorization(authorization, app.accessTokens);
  const secret = readCookie(headers.cookie, sessionCookieName(app.config.cookieSecure));
  if (secret === null) return null;
  if (!mayUse()) throw foreignPage();
  return cookieCredential(secret);
}

function foreignPage(): ForbiddenError {
  return new ForbiddenError(
    `With a cookie, send an Origin that is allowed here (ALLOWED_ORIGINS) and the header ${CSRF_HEADER}`,
  );
}
