import type { FastifyReply, FastifyRequest } from 'fastify';
import type { KeptAnswer } from './response-cache.ts';

/**
 * The answer to a GET whose client, and for PUBLIC ones whatever stands between, may keep it: 304 and
 * no body where the client says that it has these very bytes.
 */
export function sendKept(
  request: FastifyRequest,
  reply: FastifyReply,
  { text, digest, scope, secondsLeft }: KeptAnswer,
  mediaType: string,
): FastifyReply {
  // One text goes out under two media types: these are two representations.
  const isJson = mediaType.startsWith('application/json');
  const etag = `"${digest}${isJson ? '' : '-graphql'}"`;
  reply
    .header('etag', etag)
    .header('cache-control', `${scope.toLowerCase()}, max-age=${secondsLeft}`);
  // Else a browser would hand what one token was answered to the next one that asks.
  if (scope === 'PRIVATE') {
    reply.header('vary', [reply.getHeader('vary') ?? [], 'authorization'].flat().join(', '));
  }
  if (hasETag(request.headers['if-none-match'], etag)) return reply.code(304).send();
  return reply.code(200).header('content-type', mediaType).send(text);
}

/** By weak comparison, as RFC 9110 (13.1.2) wants it for a GET. */
function hasETag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((one) => one.trim().replace(/^W\//, '') === etag);
}

/** The answer to a POST, which nobody may keep: with what is said beside it to this request alone. */
export function textOfKept(
  { text }: KeptAnswer,
  extensions: Readonly<Record<string, unknown>>,
): string {
  if (Object.keys(extensions).length === 0) return text;
  return `${text.slice(0, -1)},"extensions":${JSON.stringify(extensions)}}`;
}
