import type { SourceSettings } from '#resolvers/webhooks/providers/settings.ts';
import { builder } from '#schema/builder.ts';

const SignatureAlgorithm = builder.enumType('SignatureAlgorithm', {
  description: 'The hash of an HMAC.',
  values: {
    SHA1: { value: 'sha1', description: 'For senders that have nothing better.' },
    SHA256: { value: 'sha256', description: 'What nearly all use.' },
    SHA384: { value: 'sha384', description: 'Of 384 bits.' },
    SHA512: { value: 'sha512', description: 'Of 512 bits.' },
  } as const,
});

const SignatureEncoding = builder.enumType('SignatureEncoding', {
  description: 'How a digest is written.',
  values: {
    HEX: { value: 'hex', description: 'In lower case.' },
    BASE64: { value: 'base64', description: 'With its padding.' },
  } as const,
});

const HEADER = '1–100 characters, upper and lower case alike';
const MEANINGS = {
  header:
    'HMAC, TOKEN: the header with the signature or the token; `X-Signature` and `X-Webhook-Token` unless told. ' +
    `${HEADER}.`,
  algorithm: 'HMAC: SHA256 unless told.',
  encoding: 'HMAC: HEX unless told.',
  prefix:
    'HMAC: what stands before the digest, e.g. `sha256=`, at most 100 characters; nothing unless told.',
  deliveryIdHeader: `HMAC, TOKEN, NONE: the header with the delivery’s id, which a redelivery repeats. ${HEADER}.`,
  eventNameHeader: `HMAC, TOKEN, NONE: the header with the event’s name. ${HEADER}.`,
  publicUrl:
    'TWILIO: the URL as configured there, at most 2,000 characters, where it is not the one under `PUBLIC_URL`.',
};

export const WebhookSourceSettings = builder
  .objectRef<SourceSettings>('WebhookSourceSettings')
  .implement({
    description:
      'What a provider takes beside secrets. Each uses those that name it, and ignores the rest.',
    fields: (t) => ({
      header: t.exposeString('header', { nullable: true, description: MEANINGS.header }),
      algorithm: t.field({
        type: SignatureAlgorithm,
        nullable: true,
        description: MEANINGS.algorithm,
        resolve: ({ algorithm }) => algorithm ?? null,
      }),
      encoding: t.field({
        type: SignatureEncoding,
        nullable: true,
        description: MEANINGS.encoding,
        resolve: ({ encoding }) => encoding ?? null,
      }),
      prefix: t.exposeString('prefix', { nullable: true, description: MEANINGS.prefix }),
      deliveryIdHeader: t.exposeString('deliveryIdHeader', {
        nullable: true,
        description: MEANINGS.deliveryIdHeader,
      }),
      eventNameHeader: t.exposeString('eventNameHeader', {
        nullable: true,
        description: MEANINGS.eventNameHeader,
      }),
      publicUrl: t.exposeString('publicUrl', { nullable: true, description: MEANINGS.publicUrl }),
    }),
  });

export const WebhookSourceSettingsInput = builder.inputType('WebhookSourceSettingsInput', {
  description:
    'What a provider takes beside secrets. Each uses those that name it, and ignores the rest.',
  fields: (t) => ({
    header: t.string({ description: MEANINGS.header }),
    algorithm: t.field({ type: SignatureAlgorithm, description: MEANINGS.algorithm }),
    encoding: t.field({ type: SignatureEncoding, description: MEANINGS.encoding }),
    prefix: t.string({ description: MEANINGS.prefix }),
    deliveryIdHeader: t.string({ description: MEANINGS.deliveryIdHeader }),
    eventNameHeader: t.string({ description: MEANINGS.eventNameHeader }),
    publicUrl: t.string({ description: MEANINGS.publicUrl }),
  }),
});
