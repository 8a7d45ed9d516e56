import { NO_FIELDS, type ProviderAdapter } from './provider.ts';

/** Anybody may post here, so nothing that the body claims is believed: it is kept as it came. */
export const none: ProviderAdapter = {
  mediaTypes: null,
  verify: null,
  deliveryIdHeader: null,
  readFields: () => NO_FIELDS,
};
