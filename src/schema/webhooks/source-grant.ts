import {
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { type Grantee, grantSource, revokeGrant } from '#resolvers/webhooks/source-grant.ts';
import { builder } from '#schema/builder.ts';
import { withAccess, withBoth, withRateLimit } from '#schema/policy.ts';
import { RoleEnum, User } from '#schema/users/user.ts';
import { SOURCE_MANAGERS, WebhookSource } from './source.ts';
import { type SourceChanged, sourceOf } from './source-changed.ts';

const FAILURES = [
  RateLimitedError,
  InvalidInputError,
  UnauthenticatedError,
  ForbiddenError,
  NotFoundError,
];
const NEEDS = 'Needs the role OPERATOR or ADMIN and the scope `webhooks:manage`.';
const POLICY = withBoth(
  withAccess(SOURCE_MANAGERS),
  withRateLimit({ by: 'VIEWER', limit: 600, windowSeconds: 60 }),
);

export const WebhookSourceGranteeInput = builder.inputType('WebhookSourceGranteeInput', {
  description: 'One account, or everybody with a role: exactly one of the two.',
  isOneOf: true,
  fields: (t) => ({
    userId: t.globalID({ for: User, description: 'The account’s id.' }),
    role: t.field({ type: RoleEnum, description: 'The role, whoever has it then.' }),
  }),
});

export function parseGrantee({
  userId,
  role,
}: typeof WebhookSourceGranteeInput.$inferInput): Grantee {
  if (userId) return { userId: userId.id, role: null };
  if (role) return { userId: null, role };
  throw new InvalidInputError('Name an account or a role', 'input.grantee');
}

const WebhookSourceGranted = builder.objectRef<SourceChanged>('WebhookSourceGranted').implement({
  description: 'They may read all that the source takes, from the next hand-out on.',
  fields: (t) => ({ source: sourceOf(t) }),
});

const GrantInput = builder.inputType('GrantWebhookSourceInput', {
  description: 'Which source, to whom.',
  fields: (t) => ({
    sourceId: t.globalID({ required: true, for: WebhookSource, description: 'The source’s id.' }),
    grantee: t.field({
      type: WebhookSourceGranteeInput,
      required: true,
      description: 'To whom.',
    }),
  }),
});

builder.mutationField('grantWebhookSource', (t) =>
  t.field({
    type: WebhookSourceGranted,
    description:
      'Lets an account, or everybody with a role, read all that a source takes and took, whatever GitHub says of its ' +
      `repositories. Again is the same as once. ${NEEDS}`,
    ...POLICY,
    args: { input: t.arg({ type: GrantInput, required: true, description: 'Which, to whom.' }) },
    errors: {
      types: FAILURES,
      union: {
        name: 'GrantWebhookSourceResult',
        description: 'What came of `grantWebhookSource`.',
      },
    },
    resolve: async (_root, { input: { sourceId, grantee } }, ctx) => ({
      sourceId: await grantSource(ctx, {
        sourceId: sourceId.id,
        grantee: parseGrantee(grantee),
      }),
    }),
  }),
);

const WebhookSourceGrantRevoked = builder
  .objectRef<SourceChanged>('WebhookSourceGrantRevoked')
  .implement({
    description: 'By this grant they read nothing of the source any more, leased or not.',
    fields: (t) => ({ source: sourceOf(t) }),
  });

const RevokeGrantInput = builder.inputType('RevokeWebhookSourceGrantInput', {
  description: 'Which source, from whom.',
  fields: (t) => ({
    sourceId: t.globalID({ required: true, for: WebhookSource, description: 'The source’s id.' }),
    grantee: t.field({
      type: WebhookSourceGranteeInput,
      required: true,
      description: 'From whom.',
    }),
  }),
});

builder.mutationField('revokeWebhookSourceGrant', (t) =>
  t.field({
    type: WebhookSourceGrantRevoked,
    description:
      'Takes a grant away. Who has another one, by account or by role, or whom GitHub lets see a repository, reads on. ' +
      `Again is the same as once. ${NEEDS}`,
    ...POLICY,
    args: {
      input: t.arg({ type: RevokeGrantInput, required: true, description: 'Which, from whom.' }),
    },
    errors: {
      types: FAILURES,
      union: {
        name: 'RevokeWebhookSourceGrantResult',
        description: 'What came of `revokeWebhookSourceGrant`.',
      },
    },
    resolve: async (_root, { input: { sourceId, grantee } }, ctx) => ({
      sourceId: await revokeGrant(ctx, {
        sourceId: sourceId.id,
        grantee: parseGrantee(grantee),
      }),
    }),
  }),
);
