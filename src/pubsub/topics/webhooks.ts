import { z } from 'zod';
import { defineTopic } from '#pubsub/topic.ts';

const DAY_MS = 86_400_000;

const header = z.object({ name: z.string(), value: z.string() });

/**
 * One entry a webhook that came in; key: the source's path; id: the message's id; attachment: the raw
 * body, unless it is too large for the bus and `bodyIn` says that PostgreSQL keeps it. It is the log that ingress answers from; readers follow its projection.
 */
export const webhookReceived = defineTopic({
  name: 'webhooks.received',
  payload: z.object({
    messageId: z.uuid(),
    sourceId: z.uuid().nullable(),
    provider: z.enum(['GITHUB', 'NONE']),
    verification: z.enum(['VERIFIED', 'UNSIGNED', 'UNVERIFIED']),
    path: z.string(),
    method: z.string(),
    headers: z.array(header),
    contentType: z.string().nullable(),
    deliveryId: z.string().nullable(),
    receivedAt: z.iso.datetime(),
    bodyIn: z.enum(['entry', 'database']).optional(),
  }),
  retainMs: 7 * DAY_MS,
  retainBytesMax: 4 * 2 ** 30,
});

export type WebhookReceived = z.infer<typeof webhookReceived.payload>;

/** One entry a batch that became readable; key: the feed's key; position: the head it reached. */
export const webhookStored = defineTopic({
  name: 'webhooks.stored',
  payload: z.object({ position: z.string().regex(/^[0-9]+$/) }),
  retainMs: DAY_MS,
  retainBytesMax: 64 * 2 ** 20,
});
