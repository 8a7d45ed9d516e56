import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { EXAMPLES } from './examples.ts';
import { CSRF_HEADER } from './page-rules.ts';

const compress = promisify(gzip);

/** A browser opening the page, as against a program that asks by GET. */
export function wantsExplorer(request: FastifyRequest): boolean {
  const { query } = request;
  const asks =
    typeof query === 'object' &&
    query !== null &&
    ['query', 'documentId', 'extensions'].some((name) => name in query);
  return (
    request.method === 'GET' && !asks && (request.headers.accept?.includes('text/html') ?? false)
  );
}

// All of the page is inline, its workers are blobs it makes itself, and it talks to where it is from.
const POLICY = [
  "default-src 'none'",
  "script-src 'unsafe-inline' 'unsafe-eval' blob:",
  'worker-src blob:',
  "style-src 'unsafe-inline'",
  'img-src data:',
  'font-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface Page {
  readonly html: Buffer;
  readonly zipped: Buffer;
}

let page: Promise<Page> | null = null;

/** GraphiQL, whole in one page: it loads nothing from anywhere, and executes nothing by itself. */
export async function sendExplorer(
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  page ??= renderPage();
  const { html, zipped } = await page;
  const takesGzip = request.headers['accept-encoding']?.includes('gzip') ?? false;
  reply
    .header('content-type', 'text/html; charset=utf-8')
    .header('vary', 'accept, accept-encoding')
    .header('cache-control', 'no-cache')
    .header('content-security-policy', POLICY);
  if (takesGzip) reply.header('content-encoding', 'gzip');
  return reply.send(takesGzip ? zipped : html);
}

/** Nine megabytes of editor, read only when somebody opens the page. */
async function renderPage(): Promise<Page> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const html = Buffer.from(
    renderGraphiQL({
      title: 'Naru GraphiQL',
      // Over a socket it would not send the headers that somebody typed, and so no token.
      subscriptionsProtocol: 'SSE',
      defaultTabs: EXAMPLES.map((query) => ({ query })),
      // A comment, so that the page reads the schema before anybody has a token; and what a cookie wants.
      headers: `{\n  // "Authorization": "Bearer paste-a-token-here",\n  "${CSRF_HEADER}": "1"\n}`,
      shouldPersistHeaders: true,
    }),
  );
  return { html, zipped: await compress(html) };
}
