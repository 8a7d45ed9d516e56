import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Services } from '#context.ts';

type RecentMail = Services['mailer']['recent'][number];

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE = `
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
  article { border: 1px solid #8886; border-radius: 8px; padding: 0 1rem; margin: 1rem 0 }
  h2 { font-size: 1.1rem; margin-bottom: 0 }
  pre { white-space: pre-wrap; overflow-wrap: anywhere }`;

/** What Naru has mailed, newest first. Development only: the mails hold secrets. Elsewhere there is no such route. */
export async function getDevMail(
  app: Services,
  _request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  if (app.config.mode !== 'development') return reply.callNotFound();
  const mails = app.mailer.recent.toReversed();
  const list = mails.map((mail) => renderMail(mail, app.config.publicUrl)).join('\n');
  return reply
    .header('content-type', 'text/html; charset=utf-8')
    .header('content-security-policy', POLICY)
    .send(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Mail of this Naru</title>
<style>${STYLE}</style>
<h1>Mail of this Naru</h1>
${list === '' ? '<p>None yet.</p>' : list}
</html>
`);
}

function renderMail({ to, subject, text, sentAt }: RecentMail, publicUrl: string): string {
  return `<article>
<h2>${escapeHtml(subject)}</h2>
<p>To ${escapeHtml(to)}, <time>${sentAt.toISOString()}</time></p>
<pre>${linkOwn(text, publicUrl)}</pre>
</article>`;
}

/** The text as HTML, in which addresses of this Naru, and no others, are links. */
function linkOwn(text: string, publicUrl: string): string {
  const parts = text.split(/(https?:\/\/[^\s<>"]+)/);
  return parts
    .map((part) => {
      const shown = escapeHtml(part);
      return isOwn(part, publicUrl) ? `<a href="${shown}">${shown}</a>` : shown;
    })
    .join('');
}

function isOwn(part: string, publicUrl: string): boolean {
  return URL.canParse(part) && new URL(part).origin === new URL(publicUrl).origin;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');
}
