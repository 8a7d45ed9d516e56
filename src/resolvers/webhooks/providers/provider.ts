import type { IncomingHttpHeaders } from 'node:http';
import type { SourceSettings } from './settings.ts';

/** What is known of a webhook beside its bytes. Null where the sender did not say, or said nonsense. */
export interface WebhookFields {
  readonly eventName: string | null;
  readonly action: string | null;
  readonly branch: string | null;
  readonly sender: string | null;
  readonly repository: RepositoryFields | null;
  /** When it happened, as the signed body tells. */
  readonly occurredAt: Date | null;
}

export interface RepositoryFields {
  readonly providerId: string;
  readonly fullName: string;
  /** Its name before this webhook, where it tells of a new one. */
  readonly previousName: string | null;
  /** Where it lives, e.g. `https://github.com`, from the signed body; null where that does not tell. */
  readonly origin: string | null;
}

export const NO_FIELDS: WebhookFields = {
  eventName: null,
  action: null,
  branch: null,
  sender: null,
  repository: null,
  occurredAt: null,
};

/** Why a webhook is not believed. `NO_SECRET`: there was nothing to verify it with. */
export type VerificationFailure =
  | 'SIGNATURE_MISSING'
  | 'SIGNATURE_MALFORMED'
  | 'SIGNATURE_MISMATCH'
  | 'TIMESTAMP_TOO_OLD'
  | 'TIMESTAMP_IN_FUTURE'
  | 'NO_SECRET';

export interface VerificationInput {
  readonly headers: IncomingHttpHeaders;
  /** Name and value by turns, as they came: a header that came twice shows here. */
  readonly rawHeaders: readonly string[];
  /** As the sender addressed it: our public origin, then path and query as they came. */
  readonly url: string;
  /** Untouched. */
  readonly body: Uint8Array;
  /** Those that count now, newest first; at least one. */
  readonly secrets: readonly string[];
  readonly settings: SourceSettings;
  /** How far a timestamp may be from `now`, either way. */
  readonly toleranceSeconds: number;
  readonly now: Date;
}

/** How one kind of sender signs, names and shapes what it sends: one file and one row of the table. */
export interface ProviderAdapter {
  /** Media types that it sends; null where any will do. */
  readonly mediaTypes: readonly string[] | null;
  /** Null when the webhook is genuine. Itself null where nothing is signed. Constant in time over secrets. */
  readonly verify: ((input: VerificationInput) => VerificationFailure | null) | null;
  /**
   * The sender's own id of this delivery, which a redelivery repeats; null where it gives none. `payload`
   * parses the body when called: only for those whose id is nowhere else.
   */
  readonly deliveryId: (input: {
    readonly headers: IncomingHttpHeaders;
    readonly settings: SourceSettings;
    readonly payload: () => unknown;
  }) => string | null;
  /** Reads a stored webhook. `payload` is the parsed JSON, undefined where it did not parse. */
  readonly readFields: (input: {
    readonly header: (name: string) => string | null;
    readonly payload: unknown;
    readonly settings: SourceSettings;
  }) => WebhookFields;
  /** What the sender wants to hear in place of 202 for this genuine webhook, which is then not stored. */
  readonly answerChallenge?: (payload: () => unknown) => ProviderAnswer | null;
  /** What is answered in place of our 202 once it is stored, for senders that act on the answer. */
  readonly acknowledgement?: ProviderAnswer;
  /** A secret in the form that the provider wants, for sources whose operator brings none; null: must be brought. */
  readonly generateSecret: (() => string) | null;
  /** What is wrong with a secret that an operator brings, in words; null when nothing is. Absent: any 1 to 1,024 characters. */
  readonly findSecretFault?: (secret: string) => string | null;
}

export interface ProviderAnswer {
  readonly contentType: string;
  readonly body: string;
}
