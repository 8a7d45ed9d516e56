import type { IncomingHttpHeaders } from 'node:http';

export interface IncomingWebhook {
  readonly method: string;
  /** As it came, with percent-encoding and without the query, which may carry secrets. */
  readonly path: string;
  /** As the sender addressed it, query included: some sign it. Neither stored nor logged. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Uint8Array;
  readonly receivedAt: Date;
}
