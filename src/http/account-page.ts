import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Services } from '#context.ts';
import { canMail } from '#resolvers/users/mail.ts';

type Part = 'page.html' | 'page.css' | 'page.js';

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

function renderPage(app: Services): Page {
  const style = readPart('page.css');
  const script = readPart('page.js');
  const parts: Readonly<Record<string, string>> = { style, script, settings: settingsOf(app) };
  const html = readPart('page.html').replace(/\{\{(\w+)\}\}/g, (_mark, name) => parts[name] ?? '');
  const page = { html, policy: policyOf(style, script) };
  pages.set(app.config, page);
  return page;
}

/** What the page offers: what is not configured is not shown. */
function settingsOf(app: Services): string {
  const { signUp, github } = app.config;
  const signUpSetting = signUp === 'closed' ? '' : ` data-sign-up="${signUp}"`;
  return `${signUpSetting}${canMail(app) ? ' data-mail' : ''}${github.client === null ? '' : ' data-github'}`;
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

function readPart(name: Part): string {
  return readFileSync(new URL(`./account-page/${name}`, import.meta.url), 'utf8');
}
