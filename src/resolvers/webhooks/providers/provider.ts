import type { IncomingHttpHeaders } from 'node:http';

/** What is known of a webhook beside its bytes. Null where the sender did not say, or said nonsense. */
export interface WebhookFields {
  readonly eventName: string | null;
  readonly action: string | null;
  readonly branch: string | null;
  readonly sender: string | null;
  readonly repository: { readonly providerId: string; readonly fullName: string } | null;
}

export const NO_FIELDS: WebhookFields = {
  eventName: null,
  action: null,
  branch: null,
  sender: null,
  repository: null,
};

/** How one kind of sender signs, names and shapes what it sends: one file and one row of the table. */
export interface ProviderAdapter {
  /** Media types that it sends; null where any will do. */
  readonly mediaTypes: readonly string[] | null;
  /** Null where this provider signs nothing, so that there is nothing to verify. */
  readonly verify:
    | ((input: {
        readonly headers: IncomingHttpHeaders;
        readonly body: Uint8Array;
        readonly secret: string;
      }) => boolean)
    | null;
  /** The header with the sender's own id of this delivery; a redelivery repeats it. */
  readonly deliveryIdHeader: string | null;
  /** Reads a stored webhook. `payload` is the parsed JSON, undefined where it did not parse. */
  readonly readFields: (input: {
    readonly header: (name: string) => string | null;
    readonly payload: unknown;
  }) => WebhookFields;
}
