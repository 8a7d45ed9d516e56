import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Services } from '#context.ts';
import { canMail } from '#resolvers/users/mail.ts';

interface Page {
  readonly html: string;
  readonly policy: string;
}

// A page depends on nothing but the settings, which stay what they are while the process lives.
const pages = new WeakMap<object, Page>();

/**
 * `GET /account`: signing in by cookie and everything that an account's owner does, whole in one answer.
 * The same for everybody: who is signed in, the page asks over GraphQL as any other client does.
 */
export async function getAccountPage(
  app: Services,
  _request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { html, policy } = pages.get(app.config) ?? renderPage(app);
  return reply
    .header('content-type', 'text/html; charset=utf-8')
    .header('content-security-policy', policy)
    .send(html);
}

// What a module imports stands before it: in one script they need no imports.
const SCRIPTS = ['words.js', 'api.js', 'view.js', 'page.js'];

/** The files of `account-page/` in one. */
function renderPage(app: Services): Page {
  const style = readPart('page.css');
  const script = SCRIPTS.map((name) =>
    readPart(name)
      .replace(/^import [^;]+;$/gm, '')
      .replace(/^export /gm, ''),
  ).join('\n');
  const html = readPart('page.html')
    .replace(' data-settings', settingsOf(app))
    // By functions: in a plain replacement, `$` means something.
    .replace('/* page.css */', () => style)
    .replace('/* page.js */', () => script);
  const page = { html, policy: policyOf(style, script) };
  pages.set(app.config, page);
  return page;
}

/** What the page offers: what is not configured is not shown. */
function settingsOf(app: Services): string {
  const { signUp, github } = app.config;
  return [
    signUp === 'closed' ? '' : ` data-sign-up="${signUp}"`,
    canMail(app) ? ' data-mail' : '',
    github.client === null ? '' : ' data-github',
  ].join('');
}

/**
 * Only this script and this style, by their hashes, and no text ever taken for HTML. No form is sent
 * by the browser itself: without the script, a password would end up in the address bar.
 */
function policyOf(style: string, script: string): string {
  return [
    "default-src 'none'",
    `script-src ${sourceOf(script)}`,
    `style-src ${sourceOf(style)}`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

function sourceOf(text: string): string {
  return `'sha256-${hash('sha256', text, 'base64')}'`;
}

function readPart(name: string): string {
  return readFileSync(new URL(`./account-page/${name}`, import.meta.url), 'utf8');
}
