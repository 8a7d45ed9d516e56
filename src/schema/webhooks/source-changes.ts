import {
  ConflictError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { TOLERANCE_SECONDS_DEFAULT } from '#resolvers/webhooks/source.ts';
import {
  MESSAGES_PER_MINUTE_MAX,
  SECRET_LENGTH_MAX,
  TOLERANCE_SECONDS_MAX,
} from '#resolvers/webhooks/source-input.ts';
import {
  type CreatedSource,
  createSource,
  deleteSource,
  updateSource,
} from '#resolvers/webhooks/source-management.ts';
import {
  LIVE_SECRETS_MAX,
  OVERLAP_SECONDS_DEFAULT,
  OVERLAP_SECONDS_MAX,
  type RotatedSecret,
  rotateSecret,
} from '#resolvers/webhooks/source-rotation.ts';
import { builder } from '#schema/builder.ts';
import { IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY } from '#schema/idempotency.ts';
import { withAccess, withBoth, withRateLimit } from '#schema/policy.ts';
import {
  SOURCE_MANAGERS,
  VerificationModeEnum,
  WebhookProviderEnum,
  WebhookSource,
} from './source.ts';
import { type SourceChanged, sourceOf } from './source-changed.ts';
import { parseGrantee, WebhookSourceGranteeInput } from './source-grant.ts';
import { WebhookSourceSettingsInput } from './source-settings.ts';

const FAILURES = [
  RateLimitedError,
  InvalidInputError,
  UnauthenticatedError,
  ForbiddenError,
  NotFoundError,
  ConflictError,
];
const NEEDS = 'Needs the role OPERATOR or ADMIN and the scope `webhooks:manage`.';
const EVERYWHERE = 'This node knows of it at once, the others within five seconds.';
const POLICY = withBoth(
  withAccess(SOURCE_MANAGERS),
  withRateLimit({ by: 'VIEWER', limit: 120, windowSeconds: 60 }),
);

const GRANTS_MAX = 100;

const LIMIT_DESCRIPTIONS = {
  bodyBytesMax:
    'Bytes that a body may have, from 1 to `WEBHOOK_BODY_BYTES_MAX`, which counts unless told.',
  messagesPerMinute: `Webhooks a minute that it takes once verified, 1–${MESSAGES_PER_MINUTE_MAX}; \`WEBHOOKS_PER_MINUTE_SOURCE\` unless told.`,
  toleranceSeconds: `How far a signed timestamp may be from now, either way, 1–${TOLERANCE_SECONDS_MAX} seconds; ${TOLERANCE_SECONDS_DEFAULT} unless told.`,
};
const RESETS = ' Null: the server’s again.';

const SHOWN_ONCE =
  'The secret that Naru made: shown this once. Null where the call brought one, where there is none, and where it ' +
  'repeats one with the same `idempotencyKey`: who did not get the first answer rotates it.';

const WebhookSourceCreated = builder.objectRef<CreatedSource>('WebhookSourceCreated').implement({
  description: 'The new source.',
  fields: (t) => ({
    source: sourceOf(t),
    secret: t.exposeString('secret', { nullable: true, description: SHOWN_ONCE }),
  }),
});

const SECRET_RULE =
  `1–${SECRET_LENGTH_MAX} characters, in the form that the provider signs with. It is stored encrypted and never ` +
  'shown.';

const CreateWebhookSourceInput = builder.inputType('CreateWebhookSourceInput', {
  description: 'Where webhooks are to come from.',
  fields: (t) => ({
    path: t.string({
      required: true,
      description:
        'First segments after `/webhook/`: 1–5 names of 1–64 of `A–Z a–z 0–9 . _ -`, with slashes between. It cannot be ' +
        'changed. ConflictError where another source has it; one may lie below another: the longest wins.',
    }),
    provider: t.field({
      type: WebhookProviderEnum,
      required: true,
      description: 'Who sends. It cannot be changed.',
    }),
    verification: t.field({
      type: VerificationModeEnum,
      required: true,
      defaultValue: 'ENFORCE',
      description: 'What becomes of a webhook whose sender cannot be proven; nothing for NONE.',
    }),
    secret: t.string({
      description:
        `The provider’s secret, where it makes one: STRIPE, SLACK, SHOPIFY and TWILIO do, and with MONITOR it may come later. ${SECRET_RULE} ` +
        'Absent: Naru makes one for the others. Not for NONE.',
    }),
    settings: t.field({
      type: WebhookSourceSettingsInput,
      description: 'What the provider takes beside secrets.',
    }),
    bodyBytesMax: t.int({ description: LIMIT_DESCRIPTIONS.bodyBytesMax }),
    messagesPerMinute: t.int({ description: LIMIT_DESCRIPTIONS.messagesPerMinute }),
    toleranceSeconds: t.int({ description: LIMIT_DESCRIPTIONS.toleranceSeconds }),
    grants: t.field({
      type: [WebhookSourceGranteeInput],
      description: `Who may read all that it takes, at most ${GRANTS_MAX}; nobody unless told.`,
    }),
    idempotencyKey: t.string(IDEMPOTENCY_KEY),
  }),
});

builder.mutationField('createWebhookSource', (t) =>
  t.field({
    type: WebhookSourceCreated,
    description: `Makes a source. ${NEEDS} ${EVERYWHERE}`,
    ...POLICY,
    args: {
      input: t.arg({
        type: CreateWebhookSourceInput,
        required: true,
        description: 'What to make.',
      }),
    },
    errors: {
      types: [...new Set([...FAILURES, ...IDEMPOTENCY_ERRORS])],
      union: {
        name: 'CreateWebhookSourceResult',
        description: 'What came of `createWebhookSource`.',
      },
    },
    resolve: (_root, { input }, ctx) => {
      const grants = input.grants ?? [];
      if (grants.length > GRANTS_MAX) {
        throw new InvalidInputError(`At most ${GRANTS_MAX} grants at once`, 'input.grants');
      }
      return createSource(ctx, {
        ...input,
        settings: input.settings ?? {},
        grants: grants.map(parseGrantee),
      });
    },
  }),
);

const WebhookSourceUpdated = builder.objectRef<SourceChanged>('WebhookSourceUpdated').implement({
  description: 'The source is as was asked.',
  fields: (t) => ({ source: sourceOf(t) }),
});

const SOURCE_ID = { required: true, for: WebhookSource, description: 'The source’s id.' } as const;

const UpdateWebhookSourceInput = builder.inputType('UpdateWebhookSourceInput', {
  description: 'What to change: what is absent stays as it is.',
  fields: (t) => ({
    sourceId: t.globalID(SOURCE_ID),
    verification: t.field({
      type: VerificationModeEnum,
      description:
        'What becomes of a webhook whose sender cannot be proven. ConflictError for ENFORCE without a secret.',
    }),
    settings: t.field({
      type: WebhookSourceSettingsInput,
      description: 'What the provider takes beside secrets: all of it, in place of what there was.',
    }),
    bodyBytesMax: t.int({ description: LIMIT_DESCRIPTIONS.bodyBytesMax + RESETS }),
    messagesPerMinute: t.int({ description: LIMIT_DESCRIPTIONS.messagesPerMinute + RESETS }),
    toleranceSeconds: t.int({ description: LIMIT_DESCRIPTIONS.toleranceSeconds + RESETS }),
  }),
});

builder.mutationField('updateWebhookSource', (t) =>
  t.field({
    type: WebhookSourceUpdated,
    description: `Changes how a source verifies, and what it takes. ConflictError for one that was deleted. ${NEEDS} ${EVERYWHERE}`,
    ...POLICY,
    args: {
      input: t.arg({ type: UpdateWebhookSourceInput, required: true, description: 'What.' }),
    },
    errors: {
      types: FAILURES,
      union: {
        name: 'UpdateWebhookSourceResult',
        description: 'What came of `updateWebhookSource`.',
      },
    },
    resolve: async (_root, { input }, ctx) => ({
      sourceId: await updateSource(ctx, { ...input, sourceId: input.sourceId.id }),
    }),
  }),
);

const WebhookSecretRotated = builder.objectRef<RotatedSecret>('WebhookSecretRotated').implement({
  description: 'The new secret counts, and the others for as long as was asked.',
  fields: (t) => ({
    source: sourceOf(t),
    secret: t.exposeString('secret', { nullable: true, description: SHOWN_ONCE }),
  }),
});

const RotateWebhookSecretInput = builder.inputType('RotateWebhookSecretInput', {
  description: 'Whose secret, which, and for how long the others count still.',
  fields: (t) => ({
    sourceId: t.globalID(SOURCE_ID),
    secret: t.string({
      description: `The provider’s new secret, where it makes one. ${SECRET_RULE} Absent: Naru makes one.`,
    }),
    overlapSeconds: t.int({
      required: true,
      defaultValue: OVERLAP_SECONDS_DEFAULT,
      description:
        `Seconds for which the others count still, 0–${OVERLAP_SECONDS_MAX}; one that was to end earlier does. 0 after a ` +
        'leak: they end at once, within five seconds on the other nodes.',
    }),
    idempotencyKey: t.string(IDEMPOTENCY_KEY),
  }),
});

builder.mutationField('rotateWebhookSecret', (t) =>
  t.field({
    type: WebhookSecretRotated,
    description:
      `Gives a source a new secret beside the others, which end after an overlap. At most ${LIVE_SECRETS_MAX} count at once, ` +
      'else ConflictError. The secret of a setting (`secretSetting`) counts on for as long as it is set. ' +
      `${NEEDS} ${EVERYWHERE}`,
    ...POLICY,
    args: {
      input: t.arg({ type: RotateWebhookSecretInput, required: true, description: 'Whose.' }),
    },
    errors: {
      types: [...new Set([...FAILURES, ...IDEMPOTENCY_ERRORS])],
      union: {
        name: 'RotateWebhookSecretResult',
        description: 'What came of `rotateWebhookSecret`.',
      },
    },
    resolve: (_root, { input }, ctx) =>
      rotateSecret(ctx, { ...input, sourceId: input.sourceId.id }),
  }),
);

const WebhookSourceDeleted = builder.objectRef<SourceChanged>('WebhookSourceDeleted').implement({
  description: 'The source takes nothing any more.',
  fields: (t) => ({ source: sourceOf(t) }),
});

const DeleteWebhookSourceInput = builder.inputType('DeleteWebhookSourceInput', {
  description: 'Which source.',
  fields: (t) => ({ sourceId: t.globalID(SOURCE_ID) }),
});

builder.mutationField('deleteWebhookSource', (t) =>
  t.field({
    type: WebhookSourceDeleted,
    description:
      'Ends a source: its secrets are gone, its path is free and answers 404, and what it took stays readable by its grants. ' +
      'ConflictError for the one that a setting of the server makes, while that is set. Again is the same as once. ' +
      `${NEEDS} ${EVERYWHERE}`,
    ...POLICY,
    args: {
      input: t.arg({ type: DeleteWebhookSourceInput, required: true, description: 'Which one.' }),
    },
    errors: {
      types: FAILURES,
      union: {
        name: 'DeleteWebhookSourceResult',
        description: 'What came of `deleteWebhookSource`.',
      },
    },
    resolve: async (_root, { input }, ctx) => ({
      sourceId: await deleteSource(ctx, { sourceId: input.sourceId.id }),
    }),
  }),
);
