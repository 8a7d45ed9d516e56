import type { VerificationFailure, VerificationInput } from './provider.ts';

// Only as senders write them: a second spelling of the same second would be a second text to sign.
const SECONDS = /^(0|[1-9][0-9]{0,11})$/;

/** Whether a text is whole seconds since 1970 in the one spelling that senders use. */
export function isTimestamp(text: string): boolean {
  return SECONDS.test(text);
}

/**
 * Whether the signed time, in seconds since 1970, is near enough to now; for after the signature has
 * agreed, so that too old means a delivery that was late or played again, never a forged one.
 */
export function judgeTimestamp(
  timestamp: string,
  { now, toleranceSeconds }: Pick<VerificationInput, 'now' | 'toleranceSeconds'>,
): VerificationFailure | null {
  const ageSeconds = Math.floor(now.getTime() / 1_000) - Number(timestamp);
  if (ageSeconds > toleranceSeconds) return 'TIMESTAMP_TOO_OLD';
  return ageSeconds < -toleranceSeconds ? 'TIMESTAMP_IN_FUTURE' : null;
}
