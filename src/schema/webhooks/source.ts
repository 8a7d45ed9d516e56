import type { VerificationMode, WebhookProvider } from '#generated/prisma/enums.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { actorLoader } from '#resolvers/users/audit-log.ts';
import { TOLERANCE_SECONDS_DEFAULT } from '#resolvers/webhooks/source.ts';
import { canKnowSource, findKnownSource } from '#resolvers/webhooks/source-access.ts';
import { grantsOfSource, type SourceGrant } from '#resolvers/webhooks/source-grant.ts';
import { listSources, readSettings, webhookUrlOf } from '#resolvers/webhooks/source-management.ts';
import { type SourceSecret, secretLoader } from '#resolvers/webhooks/source-rotation.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity, withAccess } from '#schema/policy.ts';
import { RoleEnum, User } from '#schema/users/user.ts';
import { WebhookSourceSettings } from './source-settings.ts';

export const SOURCE_MANAGERS = {
  scopes: ['webhooks:manage'],
  roles: ['OPERATOR', 'ADMIN'],
} as const;

const PROVIDER_MEANINGS: Readonly<Record<WebhookProvider, string>> = {
  GITHUB: 'GitHub, signed with `X-Hub-Signature-256`; JSON or form bodies.',
  GITLAB: 'GitLab: its signature where it sends one, or the secret token in `X-Gitlab-Token`.',
  BITBUCKET: 'Bitbucket, signed with `X-Hub-Signature`.',
  GITEA: 'Gitea and Forgejo, signed with `X-Gitea-Signature`.',
  JIRA: 'Jira, signed with `X-Hub-Signature`.',
  STRIPE: 'Stripe, signed with `Stripe-Signature`; the secret is Stripe’s own, `whsec_…`.',
  SLACK:
    'Slack, signed with `X-Slack-Signature`; its URL challenge is answered. The secret is the app’s signing secret.',
  SHOPIFY: 'Shopify, signed with `X-Shopify-Hmac-SHA256`; the secret is the app’s.',
  TWILIO:
    'Twilio, which signs the URL too: `PUBLIC_URL` or the setting `publicUrl` must be the one configured there. The secret is the account’s auth token.',
  STANDARD_WEBHOOKS:
    'Whoever follows Standard Webhooks 1.0, Svix among them: `v1` with a secret `whsec_…`, or `v1a` with a public key `whpk_…`.',
  HMAC: 'Anybody who sends the HMAC of the body in a header; the settings say which and how.',
  TOKEN:
    'Anybody who sends the secret itself in a header, by default `X-Webhook-Token`: it vouches for the sender and not for the body. It is not stored.',
  NONE: 'Anybody: nothing is signed, and nothing that a body claims is believed.',
};

export const WebhookProviderEnum = builder.enumType('WebhookProvider', {
  description: 'Who sends, and so how a webhook is signed, named and shaped.',
  values: valuesOf(PROVIDER_MEANINGS),
});

const MODE_MEANINGS: Readonly<Record<VerificationMode, string>> = {
  ENFORCE: 'What fails verification is refused with 401, and not stored.',
  MONITOR:
    'What fails verification is stored as UNVERIFIED for operators, with the reason, and handed to nobody else; ' +
    'within `WEBHOOK_UNKNOWN_BYTES_PER_DAY` a source.',
};

export const VerificationModeEnum = builder.enumType('VerificationMode', {
  description: 'What becomes of a webhook whose sender cannot be proven.',
  values: valuesOf(MODE_MEANINGS),
});

function valuesOf<Name extends string>(meanings: Readonly<Record<Name, string>>) {
  return Object.fromEntries(
    Object.entries<string>(meanings).map(([name, description]) => [name, { description }]),
  ) as Record<Name, { description: string }>;
}

const WebhookSourceSecret = builder.objectRef<SourceSecret>('WebhookSourceSecret').implement({
  description: 'A secret that a source verifies with: what is told of it, never what it is.',
  fields: (t) => ({
    id: t.id({
      description: 'Opaque; the audit log names it.',
      resolve: ({ id }) => encodeGlobalId('WebhookSourceSecret', id),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    endsAt: t.expose('endsAt', {
      type: 'DateTime',
      nullable: true,
      description: 'It counts until then; null for as long as no other takes over.',
    }),
  }),
});

const WebhookSourceGrant = builder.objectRef<SourceGrant>('WebhookSourceGrant').implement({
  description: 'Who may read all that a source takes: one account, or everybody with a role.',
  fields: (t) => ({
    userId: t.id({
      nullable: true,
      description: 'The account’s id; null for a role.',
      resolve: ({ userId }) => (userId === null ? null : encodeGlobalId('User', userId)),
    }),
    user: t.field({
      type: User,
      nullable: true,
      description: 'The account; null for a role, and where the viewer may not know of it.',
      resolve: ({ userId }, _args, ctx) => (userId === null ? null : actorLoader(ctx).load(userId)),
    }),
    role: t.field({
      type: RoleEnum,
      nullable: true,
      description: 'The role; null for an account.',
      resolve: ({ role }) => role,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was granted.' }),
  }),
});

/** What only those see who may change it. */
const managed = withAccess(SOURCE_MANAGERS);

export const WebhookSource = builder.prismaNode('WebhookSource', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description:
    'Where webhooks come from. Known to those who may read anything of it, who see its path and provider, and to ' +
    'OPERATOR and ADMIN with the scope `webhooks:manage`, who see the rest.',
  authScopes: (source, ctx) => canKnowSource(ctx, source.id),
  findUnique: (id, ctx) => findKnownSource(ctx, id),
  fields: (t) => ({
    path: t.exposeString('path', {
      description:
        'First segments after `/webhook/`, e.g. `github` takes `/webhook/github/any/thing`. Of several sources the one ' +
        'with the longest path takes it. Upper and lower case differ.',
    }),
    provider: t.field({
      type: WebhookProviderEnum,
      description: 'Who sends.',
      resolve: (source) => source.provider,
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      description: 'When it was last changed.',
      ...managed,
    }),
    deletedAt: t.expose('deletedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was deleted: it takes nothing since. Null while it is there.',
      ...managed,
    }),
    webhookUrl: t.field({
      type: 'URL',
      description: 'What to configure at the provider: `PUBLIC_URL`, `/webhook/` and the path.',
      ...managed,
      resolve: (source, _args, ctx) => webhookUrlOf(ctx, source),
    }),
    verification: t.field({
      type: VerificationModeEnum,
      description: 'What becomes of a webhook whose sender cannot be proven.',
      ...managed,
      resolve: ({ verificationMode }) => verificationMode,
    }),
    settings: t.field({
      type: WebhookSourceSettings,
      nullable: true,
      description:
        'What its provider takes beside secrets; null where this version cannot read it: the source then answers 503.',
      ...managed,
      resolve: (source) => readSettings(source),
    }),
    bodyBytesMax: t.exposeInt('bodyBytesMax', {
      nullable: true,
      description:
        'Bytes that a body may have, else 413; null where `WEBHOOK_BODY_BYTES_MAX` counts.',
      ...managed,
    }),
    messagesPerMinute: t.exposeInt('messagesPerMinute', {
      nullable: true,
      description:
        'Webhooks a minute that it takes, else 429; counted once verified. Null where `WEBHOOKS_PER_MINUTE_SOURCE` counts.',
      ...managed,
    }),
    toleranceSeconds: t.int({
      description: `How far a signed timestamp may be from now, either way, in seconds; ${TOLERANCE_SECONDS_DEFAULT} unless told.`,
      ...managed,
      resolve: ({ toleranceSeconds }) => toleranceSeconds ?? TOLERANCE_SECONDS_DEFAULT,
    }),
    secrets: t.field({
      type: [WebhookSourceSecret],
      description:
        'Those that count now, newest first, at most 5. One of a setting is not among them.',
      ...managed,
      resolve: ({ id }, _args, ctx) => secretLoader(ctx).load(id),
    }),
    secretSetting: t.exposeString('secretSetting', {
      nullable: true,
      description:
        'Name of the server’s setting that made the source; its secret counts beside `secrets` for as long as it is set, ' +
        'rotations notwithstanding. Null for all others.',
      ...managed,
    }),
    grants: t.field({
      type: [WebhookSourceGrant],
      description: 'Who may read all that it takes, oldest first.',
      ...managed,
      resolve: ({ id }, _args, ctx) => grantsOfSource(ctx).load(id),
    }),
  }),
});

builder.queryField('webhookSources', (t) =>
  t.prismaConnection(
    {
      type: WebhookSource,
      cursor: 'id',
      description:
        'Where webhooks come from, oldest first. Needs the role OPERATOR or ADMIN and the scope `webhooks:manage`.',
      ...withAccess(SOURCE_MANAGERS),
      complexity: pageComplexity,
      args: {
        includeDeleted: t.arg.boolean({
          required: true,
          defaultValue: false,
          description: 'Also those that were deleted.',
        }),
      },
      resolve: (query, _root, { includeDeleted }, ctx) =>
        listSources(ctx, { includesDeleted: includeDeleted }, query),
    },
    { name: 'WebhookSourceConnection', description: 'A page of sources, oldest first.' },
    { name: 'WebhookSourceEdge', description: 'A source and where it stands.' },
  ),
);
