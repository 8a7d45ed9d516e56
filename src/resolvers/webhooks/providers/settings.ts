import { z } from 'zod';

const headerName = z.string().regex(/^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/);

/** What an adapter takes beside secrets. Each provider uses those that its file names, and ignores the rest. */
export const sourceSettings = z.object({
  /** HMAC, TOKEN: the header with the signature or the token, in lower case. */
  header: headerName.optional(),
  /** HMAC. */
  algorithm: z.enum(['sha1', 'sha256', 'sha384', 'sha512']).optional(),
  /** HMAC: how the digest is written. */
  encoding: z.enum(['hex', 'base64']).optional(),
  /** HMAC: what stands before the digest, e.g. `sha256=`. */
  prefix: z.string().max(100).optional(),
  /** HMAC, TOKEN, NONE: headers with the delivery's id and the event's name, in lower case. */
  deliveryIdHeader: headerName.optional(),
  eventNameHeader: headerName.optional(),
  /** TWILIO: the URL that is configured there, where it is not the one under PUBLIC_URL. */
  publicUrl: z.url().max(2_000).optional(),
});

export type SourceSettings = z.infer<typeof sourceSettings>;
