import { z } from 'zod';
import { defineTopic } from '#pubsub/topic.ts';

const DAY_MS = 86_400_000;

/** Who sends. Whoever publishes has the type of it, so that no provider is missing here. */
const PROVIDERS = [
  'GITHUB',
  'NONE',
  'GITLAB',
  'BITBUCKET',
  'GITEA',
  'JIRA',
  'STRIPE',
  'SLACK',
  'SHOPIFY',
  'TWILIO',
  'STANDARD_WEBHOOKS',
  'HMAC',
  'TOKEN',
] as const;

const headerNames = z.object({
  header: z.string(),
  deliveryIdHeader: z.string(),
  eventNameHeader: z.string(),
});

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
    provider: z.enum(PROVIDERS),
    /** The source's settings when it came, as far as its fields are read by them; empty where there are none. */
    settings: headerNames.partial().optional(),
    verification: z.enum(['VERIFIED', 'UNSIGNED', 'UNVERIFIED']),
    /** Why it is UNVERIFIED; absent for all others and where no source vouches. */
    verificationFailure: z.string().optional(),
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
