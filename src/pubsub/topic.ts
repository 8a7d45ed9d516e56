import type { z } from 'zod';

/**
 * A named stream on the bus. Payloads are parsed with `payload` on the way in and on the way out.
 * An entry older than `retainMs`, or pushed out by `retainBytesMax`, may be gone: whatever must
 * outlive that is kept in PostgreSQL.
 */
export interface Topic<Payload> {
  /** Lower-case words joined by dots, e.g. `webhooks.received`. */
  readonly name: string;
  readonly payload: z.ZodType<Payload>;
  readonly retainMs: number;
  readonly retainBytesMax: number;
}

/** Declares a topic; throws at start when its name could not be a subject on every bus. */
export function defineTopic<Payload>(topic: Topic<Payload>): Topic<Payload> {
  if (!/^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)*$/.test(topic.name)) {
    throw new TypeError(
      `Topic name ${JSON.stringify(topic.name)} is not lower-case words and dots`,
    );
  }
  return topic;
}
