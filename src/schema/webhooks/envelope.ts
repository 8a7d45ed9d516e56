// What is read from a signed body beside what `message.ts` tells of every webhook.
import type { VerificationFailure as Failure } from '#resolvers/webhooks/providers/provider.ts';
import { builder } from '#schema/builder.ts';
import { WebhookMessage } from './message.ts';
import { WebhookRepository } from './repository.ts';

const FAILURES = {
  SIGNATURE_MISSING: { description: 'The header with the signature or the token is not there.' },
  SIGNATURE_MALFORMED: { description: 'It is not of its form, or came more than once.' },
  SIGNATURE_MISMATCH: { description: 'It fits none of the source’s secrets.' },
  TIMESTAMP_TOO_OLD: { description: 'It was signed too long ago.' },
  TIMESTAMP_IN_FUTURE: { description: 'It was signed at a time that is still to come.' },
  NO_SECRET: { description: 'The source has no secret that counts.' },
} as const satisfies Record<Failure, { readonly description: string }>;

const VerificationFailure = builder.enumType('VerificationFailure', {
  description: 'Why a source does not vouch for a webhook.',
  values: FAILURES,
});

builder.objectFields(WebhookMessage, (t) => ({
  occurredAt: t.expose('occurredAt', {
    type: 'DateTime',
    nullable: true,
    description:
      'When it happened, as the signed body tells; null where it does not, and never what a header claims. The ' +
      'sender’s clock may be wrong.',
  }),
  verificationFailure: t.field({
    type: VerificationFailure,
    nullable: true,
    description:
      'Why it is UNVERIFIED, which only OPERATOR and ADMIN see; null for all others, and where no source was asked.',
    resolve: ({ verificationFailure }) => findFailure(verificationFailure),
  }),
}));

builder.objectField(WebhookRepository, 'previousNames', (t) =>
  t.exposeStringList('previousNames', {
    description: 'Names that it had before, oldest first: the last 20 that webhooks told of.',
  }),
);

/** A newer version of the server may have written a word that this one does not know. */
function findFailure(word: string | null): Failure | null {
  return Object.keys(FAILURES).find((known): known is Failure => known === word) ?? null;
}
