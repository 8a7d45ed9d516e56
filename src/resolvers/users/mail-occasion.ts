import type { Context } from '#context.ts';
import type { MailOccasion } from './mail-texts.ts';

/** Mail to this address, caused by whoever asks. */
export function occasionOf({ config, origin }: Context, to: string): MailOccasion {
  return { to, publicUrl: config.publicUrl, ipAddress: origin.client.ipAddress };
}
