import type { FastifyReply, FastifyRequest } from 'fastify';
import { readCookie, sessionCookieName, writeCookie } from '#auth/cookies.ts';
import { cookieCredential } from '#auth/credential.ts';
import type { Viewer } from '#auth/viewer.ts';
import type { Services } from '#context.ts';
import { ForbiddenError, InvalidInputError, UnauthenticatedError } from '#lib/errors.ts';
import { finishGitHub } from '#resolvers/users/github.ts';
import { startGitHub } from '#resolvers/users/github-journey.ts';

const BROWSER_SECONDS = 600;

/**
 * `GET /auth/github?returnTo=/path[&link=1][&repositories=private]`: 302 to GitHub, with a cookie that the way
 * back needs. `link=1` links to the account that is signed in, so only a page that we trust may send anybody
 * here. `repositories=private` asks an OAuth App's user for private repositories, too.
 */
export async function getAuthGitHub(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { cookieSecure } = app.config;
  // A picture on anybody's page would use up the starts of its visitors' network.
  if ((request.headers['sec-fetch-dest'] ?? 'document') !== 'document') {
    throw new ForbiddenError('Signing in with GitHub is a page to go to');
  }
  const query = queryOf(request);
  const isLink = query.get('link') === '1';
  if (isLink && !isSentByTrustedPage(app, request)) {
    throw new ForbiddenError('Linking is begun by a page of this server or of an allowed origin');
  }
  const places = query.getAll('returnTo');
  if (places.length > 1) throw new InvalidInputError('returnTo comes once', 'returnTo');
  const { location, browserSecret } = await startGitHub(app, {
    returnTo: places[0] ?? '/',
    isLink,
    wantsPrivateRepositories: query.get('repositories') === 'private',
    viewer: isLink ? await findViewer(app, request) : null,
    client: clientOf(request),
  });
  const cookie = { value: browserSecret, maxAgeSeconds: BROWSER_SECONDS };
  return reply
    .header('set-cookie', writeCookie(browserCookieName(cookieSecure), cookie, cookieSecure))
    .redirect(location, 302);
}

/** `GET /auth/github/callback`: where GitHub sends the browser back to. 303 to `returnTo`. */
export async function getAuthGitHubCallback(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { cookieSecure } = app.config;
  const { location, cookie } = await finishGitHub(app, {
    callbackParameters: queryOf(request),
    browserSecret: readCookie(request.headers.cookie, browserCookieName(cookieSecure)),
    findViewer: () => findViewer(app, request),
    client: clientOf(request),
  });
  const cookies = [writeCookie(browserCookieName(cookieSecure), null, cookieSecure)];
  if (cookie !== null) {
    cookies.push(writeCookie(sessionCookieName(cookieSecure), cookie, cookieSecure));
  }
  return reply.header('set-cookie', cookies).redirect(location, 303);
}

function browserCookieName(isSecure: boolean): string {
  return isSecure ? '__Host-naru-oauth' : 'naru-oauth';
}

/** Null for guests, and where the cookie's session has ended. */
async function findViewer(app: Services, request: FastifyRequest): Promise<Viewer | null> {
  const secret = readCookie(request.headers.cookie, sessionCookieName(app.config.cookieSecure));
  if (secret === null) return null;
  try {
    return await app.authenticate(cookieCredential(secret));
  } catch (error) {
    if (error instanceof UnauthenticatedError) return null;
    throw error;
  }
}

/**
 * Following a link names no `Origin`; a browser tells of the page in `Sec-Fetch-Site`, and names it in
 * `Referer`. Somebody else's page can leave both out, and then it is not trusted.
 */
function isSentByTrustedPage({ config }: Services, request: FastifyRequest): boolean {
  const { referer, 'sec-fetch-site': site } = request.headers;
  if (site === 'same-origin') return true;
  if (referer === undefined || !URL.canParse(referer)) return false;
  const { origin } = new URL(referer);
  return origin === new URL(config.publicUrl).origin || config.allowedOrigins.includes(origin);
}

function queryOf(request: FastifyRequest): URLSearchParams {
  const start = request.url.indexOf('?');
  return new URLSearchParams(start === -1 ? '' : request.url.slice(start));
}

function clientOf(request: FastifyRequest) {
  return { ipAddress: request.ip, userAgent: request.headers['user-agent'] ?? null };
}
