// What is known of a webhook beside its bytes: read once, before the transaction that stores it.
import type { Services } from '#context.ts';
import { parsePayload } from '#lib/body-text.ts';
import type { WebhookReceived } from '#pubsub/topics/webhooks.ts';
import { payloadKeysOf } from './payload-keys.ts';
import { isPermissionEvent } from './permissions/fence.ts';
import type { PermissionEvent } from './permissions/permission-event.ts';
import { eventNamesShownBy } from './providers/github-event.ts';
import { NO_FIELDS, type WebhookFields } from './providers/provider.ts';
import { PROVIDERS } from './providers/table.ts';

export interface Envelope {
  readonly fields: WebhookFields;
  /** For filters on what the payload says. */
  readonly payloadKeys: readonly bigint[];
  /** What GitHub tells by it of who may see what. */
  readonly permissionEvents: readonly PermissionEvent[];
}

/** Throws nothing, whatever the bytes are. */
export function readEnvelope(app: Services, received: WebhookReceived, raw: Uint8Array): Envelope {
  const payload = parsePayload(received.contentType, raw);
  return {
    fields: readFields(app, received, payload),
    payloadKeys: payloadKeysOf(payload),
    permissionEvents: permissionEventsOf(received, payload),
  };
}

/** A webhook whose fields cannot be read is kept without them: it must not hold up what follows. */
function readFields(app: Services, received: WebhookReceived, payload: unknown): WebhookFields {
  try {
    return PROVIDERS[received.provider].readFields({
      header: (name) => headerOf(received, name),
      payload,
      settings: received.settings ?? {},
    });
  } catch (error) {
    app.log.warn(
      { error, messageId: received.messageId },
      'A webhook is stored without its fields',
    );
    return NO_FIELDS;
  }
}

/**
 * By what the header says and by what the body shows, whichever of them is believed: asking GitHub once too
 * often is harmless, and once too seldom is not.
 */
function permissionEventsOf(received: WebhookReceived, payload: unknown): PermissionEvent[] {
  if (received.provider !== 'GITHUB' || received.verification !== 'VERIFIED') return [];
  const claimed = headerOf(received, 'x-github-event');
  const names = new Set([...(claimed === null ? [] : [claimed]), ...eventNamesShownBy(payload)]);
  return [...names].filter(isPermissionEvent).map((eventName) => ({ eventName, payload }));
}

function headerOf(received: WebhookReceived, name: string): string | null {
  return received.headers.find((header) => header.name === name)?.value ?? null;
}
