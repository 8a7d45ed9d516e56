import type { IncomingHttpHeaders } from 'node:http';
import { redactHeaders } from '#lib/redact-headers.ts';
import { storableText } from '#lib/storable-text.ts';
import { deliveryIdIn } from './delivery-id.ts';
import type { SourceSettings } from './settings.ts';

// For senders that are in no list: an operator says which headers name the delivery and the event.

/** Null, too, where the header that is named carries a credential: ids are kept in clear. */
export function namedDeliveryId(
  headers: IncomingHttpHeaders,
  { deliveryIdHeader }: SourceSettings,
): string | null {
  if (deliveryIdHeader === undefined) return null;
  const id = deliveryIdIn(headers, deliveryIdHeader);
  const [kept] = redactHeaders([deliveryIdHeader, id ?? '']);
  return kept?.value === id ? id : null;
}

export function namedEvent(
  header: (name: string) => string | null,
  { eventNameHeader }: SourceSettings,
): string | null {
  return eventNameHeader === undefined ? null : storableText(header(eventNameHeader));
}
