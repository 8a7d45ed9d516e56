import { namedDeliveryId, namedEvent } from './named-headers.ts';
import { NO_FIELDS, type ProviderAdapter } from './provider.ts';

/**
 * Anybody may post here, so nothing that the body claims is believed: it is kept as it came. Which
 * headers name the delivery and the event is the operator's word, and they are as unsigned as the rest.
 */
export const none: ProviderAdapter = {
  mediaTypes: null,
  verify: null,
  deliveryId: ({ headers, settings }) => namedDeliveryId(headers, settings),
  readFields: ({ header, settings }) => ({ ...NO_FIELDS, eventName: namedEvent(header, settings) }),
  generateSecret: null,
};
