import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Services } from '#context.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { policyItem, stateItem } from '#lib/rate-limit-header.ts';
import { admitWebhook, type OnCounted, receiveWebhook } from '#resolvers/webhooks/ingest.ts';
import type { ProviderAnswer } from '#resolvers/webhooks/providers/provider.ts';

/**
 * 202 with the message's id, which `node` takes, once the bus holds the webhook, and never before; or 200
 * with what a provider acts on, the id then in `X-Naru-Message-Id`, or asks for to see that the address is ours.
 */
export async function postWebhook(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const receivedAt = new Date();
  const path = request.url.split('?', 1)[0] ?? request.url;
  const received = await receiveWebhook(
    app,
    {
      method: request.method,
      path,
      url: app.config.publicUrl + request.url,
      headers: request.headers,
      rawHeaders: request.raw.rawHeaders,
      body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
      receivedAt,
    },
    noteIn(reply),
  );
  if ('challenge' in received) return answerWith(reply, received.challenge);
  const { id, source, acknowledgement } = received;
  const messageId = encodeGlobalId('WebhookMessage', id);
  if (acknowledgement !== undefined) {
    return answerWith(reply.header('x-naru-message-id', messageId), acknowledgement);
  }
  return reply.code(202).send({
    status: 'accepted',
    webhookPath: path,
    source,
    receivedAt: receivedAt.toISOString(),
    id: messageId,
  });
}

function answerWith(reply: FastifyReply, { contentType, body }: ProviderAnswer): FastifyReply {
  return reply.code(200).type(contentType).send(body);
}

/** Refuses a network that sent too many; for all that comes in, whatever it turns out to be. */
export function limitWebhooks(
  app: Services,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  return admitWebhook(app, request.ip, noteIn(reply));
}

/** An item for each limit, in one header. */
function noteIn(reply: FastifyReply): OnCounted {
  const append = (header: string, item: string) => {
    const before = reply.getHeader(header);
    reply.header(header, typeof before === 'string' ? `${before}, ${item}` : item);
  };
  return (name, quota, given) => {
    append('ratelimit-policy', policyItem(name, quota));
    append('ratelimit', stateItem(name, given));
  };
}

const UNREAD_OUTCOMES: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media_type_refused',
};

/** For what Fastify refuses before the handler runs, chiefly a body over the limit. */
export function countUnreadWebhook(app: Services, error: { readonly code?: string }): void {
  if (!error.code?.startsWith('FST_ERR_CTP_')) return;
  const outcome = UNREAD_OUTCOMES[error.code] ?? 'malformed';
  app.metrics.webhookRequests.inc({ provider: 'UNKNOWN', outcome });
}
