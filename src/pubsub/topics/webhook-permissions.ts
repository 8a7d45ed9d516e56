import { z } from 'zod';
import { defineTopic } from '#pubsub/topic.ts';

const DAY_MS = 86_400_000;

/** What one entry tells at most; more go into further entries. */
export const PERMISSION_CHANGES_MAX = 1_000;

/**
 * One entry a user of whom GitHub's answer has become another, about repositories that are known here; key:
 * the user's id. For whoever is listening: what counts is in PostgreSQL.
 */
export const webhookPermissions = defineTopic({
  name: 'webhooks.permissions',
  payload: z.object({
    userId: z.uuid(),
    changes: z
      .array(z.object({ repositoryId: z.uuid(), isAllowed: z.boolean() }))
      .max(PERMISSION_CHANGES_MAX),
  }),
  retainMs: DAY_MS,
  retainBytesMax: 16 * 2 ** 20,
});

export type WebhookPermissions = z.infer<typeof webhookPermissions.payload>;
