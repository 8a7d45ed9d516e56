// Browsers send cookies along with what any page asks for. These rules tell a page that may act for
// whoever is signed in from one that may not.
import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '#config.ts';

/** A header that no page of another origin can send without being asked for by CORS first. */
export const CSRF_HEADER = 'x-naru-csrf';

type Headers = Readonly<IncomingHttpHeaders>;
type PageConfig = Pick<Config, 'publicUrl' | 'allowedOrigins' | 'mode'>;

/** Whether a browser says that a page of ours, or of an allowed origin, asks. */
export function isFromTrustedPage(config: PageConfig, headers: Headers): boolean {
  const { origin, host } = headers;
  if (headers['sec-fetch-site'] === 'same-origin') return true;
  return origin !== undefined && isTrustedOrigin(config, origin, host);
}

/** The whole rule for a request that a cookie proves: a trusted page, and a header that forms cannot send. */
export function mayUseCookie(config: PageConfig, headers: Headers): boolean {
  return headers[CSRF_HEADER] !== undefined && isFromTrustedPage(config, headers);
}

/** Whether the request names an origin, and it is none of ours: no matter what it proves itself with. */
export function isFromForeignPage(config: PageConfig, headers: Headers): boolean {
  return headers.origin !== undefined && !isFromTrustedPage(config, headers);
}

/** Exact: no patterns, no `null`, and a host's other ports and subdomains are other origins. */
export function isTrustedOrigin(
  { publicUrl, allowedOrigins, mode }: PageConfig,
  origin: string,
  host: string | undefined,
): boolean {
  if (origin === new URL(publicUrl).origin || allowedOrigins.includes(origin)) return true;
  // A developer's machine is called by several names, on a port that may have been taken.
  return mode !== 'production' && isLoopback(origin) && origin === `http://${host}`;
}

function isLoopback(origin: string): boolean {
  return /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(origin);
}
