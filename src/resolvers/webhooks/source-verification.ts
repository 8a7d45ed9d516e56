import { PayloadTooLargeError, UnauthenticatedError, UnavailableError } from '#lib/errors.ts';
import type { IncomingWebhook } from './incoming-webhook.ts';
import type { VerificationFailure } from './providers/provider.ts';
import type { SourceSettings } from './providers/settings.ts';
import { PROVIDERS } from './providers/table.ts';
import type { Source } from './source.ts';

/** Throws `PayloadTooLargeError` for a body over the source's own limit. */
export function requireRoom({ bodyBytesMax }: Source, { body }: IncomingWebhook): void {
  if (bodyBytesMax === null || body.byteLength <= bodyBytesMax) return;
  throw new PayloadTooLargeError(
    `A body of this source has at most ${bodyBytesMax} bytes`,
    bodyBytesMax,
  );
}

/** Throws `UnavailableError` where what is stored is no settings of this version. */
export function settingsOf({ settings }: Source): SourceSettings {
  if (settings !== null) return settings;
  throw new UnavailableError('This source cannot be verified as it is set up');
}

/**
 * Why the webhook is not believed, where its source only watches for that; null where it is, or where
 * nothing is signed. Throws `UnauthenticatedError` where the source enforces it, and `UnavailableError`
 * where it cannot be told: a sender that tries again later then loses nothing.
 */
export function findFailure(
  source: Source,
  settings: SourceSettings,
  { headers, rawHeaders, url, body, receivedAt }: IncomingWebhook,
): VerificationFailure | null {
  const { verify } = PROVIDERS[source.provider];
  if (verify === null) return null;
  const secrets = source.secrets();
  const failure =
    secrets.length === 0
      ? 'NO_SECRET'
      : verify({
          headers,
          rawHeaders,
          url,
          body,
          secrets,
          settings,
          toleranceSeconds: source.toleranceSeconds,
          now: receivedAt,
        });
  if (failure === null) return null;
  const isInDoubt = failure === 'SIGNATURE_MISMATCH' || failure === 'NO_SECRET';
  if (isInDoubt && source.hasClosedSecret()) {
    throw new UnavailableError('A secret of this source cannot be read');
  }
  if (source.mode === 'MONITOR') return failure;
  if (secrets.length === 0) throw new UnavailableError(FAILURES[failure]);
  throw new UnauthenticatedError(FAILURES[failure]);
}

const FAILURES: Readonly<Record<VerificationFailure, string>> = {
  SIGNATURE_MISSING: 'The signature is missing',
  SIGNATURE_MALFORMED: 'The signature is not of the form that this provider sends',
  SIGNATURE_MISMATCH: 'The signature does not match what was sent',
  TIMESTAMP_TOO_OLD: 'The timestamp is too old',
  TIMESTAMP_IN_FUTURE: 'The timestamp is in the future',
  NO_SECRET: 'This source has no secret to verify this with',
};
