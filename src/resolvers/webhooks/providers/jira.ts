import { storableText } from '#lib/storable-text.ts';
import { deliveryIdIn } from './delivery-id.ts';
import { generateSecret } from './generate-secret.ts';
import { payloadAt, textAt } from './payload-at.ts';
import type { ProviderAdapter } from './provider.ts';
import { timeOfSeconds } from './provider-time.ts';
import { verifySignedBody } from './signed-body.ts';

// WebSub allows other methods than sha256; Jira uses none.
const SIGNATURE = {
  header: 'x-hub-signature',
  algorithm: 'sha256',
  encoding: 'hex',
  prefix: 'sha256=',
} as const;

/** Jira, Cloud and Data Center: the webhooks that an administrator gave a secret. The body says it all. */
export const jira: ProviderAdapter = {
  mediaTypes: ['application/json'],
  verify: (input) => verifySignedBody(input, SIGNATURE),
  deliveryId: ({ headers }) => deliveryIdIn(headers, 'x-atlassian-webhook-identifier'),
  generateSecret,

  readFields: ({ payload }) => ({
    eventName: textAt(payload, 'webhookEvent'),
    action: textAt(payload, 'issue_event_type_name'),
    branch: null,
    sender: senderOf(payload),
    repository: null,
    occurredAt: timeOfMilliseconds(payloadAt(payload, 'timestamp')),
  }),
};

/** The account id, which Cloud gives everybody for good; Data Center has user names. */
function senderOf(payload: unknown): string | null {
  const user =
    payloadAt(payload, 'user') ??
    payloadAt(payload, 'comment', 'updateAuthor') ??
    payloadAt(payload, 'comment', 'author') ??
    payloadAt(payload, 'worklog', 'updateAuthor') ??
    payloadAt(payload, 'worklog', 'author');
  return storableText(payloadAt(user, 'accountId') ?? payloadAt(user, 'name'));
}

function timeOfMilliseconds(value: unknown): Date | null {
  return typeof value === 'number' ? timeOfSeconds(value / 1_000) : null;
}
