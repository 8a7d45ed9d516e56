import { z } from 'zod';
import { isScope, SCOPES, type Scope } from '#auth/scopes.ts';
import {
  ConflictError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import {
  canReadPersonalAccessToken,
  readablePersonalAccessTokens,
} from '#resolvers/users/access.ts';
import {
  type CreatedToken,
  createPersonalAccessToken,
  type RepeatedToken,
  revokePersonalAccessToken,
  TOKEN_DAYS_MAX,
} from '#resolvers/users/personal-access-token.ts';
import { builder } from '#schema/builder.ts';
import { IDEMPOTENCY_ERRORS, IDEMPOTENCY_KEY } from '#schema/idempotency.ts';
import { pageComplexity, withBoth, withRateLimit, withScope } from '#schema/policy.ts';

const scopeNames = Object.entries(SCOPES)
  .map(([scope, meaning]) => `\`${scope}\`: ${meaning}`)
  .join(' ');

export const PersonalAccessToken = builder.prismaNode('PersonalAccessToken', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description: 'A token for scripts. Shown to the account it belongs to and to nobody else.',
  authScopes: (token, ctx) => canReadPersonalAccessToken(ctx, token),
  findUnique: (id, ctx) => ({ id, AND: [readablePersonalAccessTokens(ctx)] }),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What its owner calls it.' }),
    scopes: t.exposeStringList('scopes', { description: `What it may be used for. ${scopeNames}` }),
    trustedDocumentsOnly: t.exposeBoolean('trustedDocumentsOnly', {
      description: 'Whether it runs documents of the operator’s manifest and no other.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'It is refused from then on.',
    }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Last use, to the minute; null when never used.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was revoked; null while it counts.',
    }),
  }),
});

builder.prismaObjectField('User', 'personalAccessTokens', (t) =>
  t.relatedConnection('personalAccessTokens', {
    cursor: 'id',
    description: "The account's tokens, oldest first. Only the account itself sees them.",
    ...withScope('viewer:read'),
    authScopes: (user, _args, ctx) => ctx.viewer?.userId === user.id && { scopes: ['viewer:read'] },
    complexity: pageComplexity,
    query: { orderBy: { id: 'asc' } },
  }),
);

const PersonalAccessTokenCreated = builder
  .objectRef<CreatedToken | RepeatedToken>('PersonalAccessTokenCreated')
  .implement({
    description: 'The new token.',
    fields: (t) => ({
      token: t.exposeString('token', {
        nullable: true,
        description:
          'The token itself: shown this once, stored nowhere. Send it as `Authorization: Bearer …`. Null ' +
          'where the call repeats one with the same `idempotencyKey`: who did not get the first answer ' +
          'revokes the token and makes another.',
      }),
      personalAccessToken: t.field({
        type: PersonalAccessToken,
        description: 'What is kept of it.',
        resolve: (created) => created.personalAccessToken,
      }),
    }),
  });

const CreatePersonalAccessTokenInput = builder.inputType('CreatePersonalAccessTokenInput', {
  description: 'What the new token is called, may do, and how long it lives.',
  fields: (t) => ({
    name: t.string({
      required: true,
      description: 'What its owner calls it, 1–100 characters.',
      validate: z
        .string()
        .trim()
        .min(1, 'A name has 1–100 characters')
        .max(100, 'A name has 1–100 characters')
        .refine(
          (name) => name.isWellFormed() && !name.includes('\u0000'),
          'A name holds neither U+0000 nor half a surrogate pair',
        ),
    }),
    scopes: t.stringList({
      required: true,
      description: `What it may be used for, at least one, none that the token in use lacks. ${scopeNames}`,
      validate: z
        .array(z.custom<Scope>((value) => isScope(String(value)), 'There is no such scope'))
        .min(1, 'Name at least one scope'),
    }),
    expiresInDays: t.int({
      required: true,
      defaultValue: 90,
      description: `Days until it is refused, 1–${TOKEN_DAYS_MAX}.`,
    }),
    trustedDocumentsOnly: t.boolean({
      description:
        'True: it runs documents of the operator’s manifest and no other (`DOCUMENT_NOT_TRUSTED`). So does ' +
        'whatever is made by a token that does.',
    }),
    idempotencyKey: t.string(IDEMPOTENCY_KEY),
  }),
});

builder.mutationField('createPersonalAccessToken', (t) =>
  t.field({
    type: PersonalAccessTokenCreated,
    description:
      'Makes a token for the viewer’s own account. Needs the scope `tokens:write`; gives no scope that ' +
      'the token in use lacks. An account holds at most 100 live tokens.',
    ...withBoth(
      withScope('tokens:write'),
      withRateLimit({ by: 'VIEWER', limit: 600, windowSeconds: 3_600 }),
    ),
    args: {
      input: t.arg({
        type: CreatePersonalAccessTokenInput,
        required: true,
        description: 'What to make.',
      }),
    },
    errors: {
      types: [
        InvalidInputError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        ConflictError,
        ...IDEMPOTENCY_ERRORS,
      ],
      union: {
        name: 'CreatePersonalAccessTokenResult',
        description: 'What came of `createPersonalAccessToken`.',
      },
    },
    resolve: (_root, { input }, ctx) =>
      createPersonalAccessToken(ctx, {
        ...input,
        name: input.name.trim(),
        scopes: input.scopes.filter(isScope),
        trustedDocumentsOnly: input.trustedDocumentsOnly ?? false,
      }),
  }),
);

const PersonalAccessTokenRevoked = builder
  .objectRef<{ readonly personalAccessToken: CreatedToken['personalAccessToken'] }>(
    'PersonalAccessTokenRevoked',
  )
  .implement({
    description: 'The token is refused from the next call on.',
    fields: (t) => ({
      personalAccessToken: t.field({
        type: PersonalAccessToken,
        description: 'The token that was revoked.',
        resolve: (revoked) => revoked.personalAccessToken,
      }),
    }),
  });

const RevokePersonalAccessTokenInput = builder.inputType('RevokePersonalAccessTokenInput', {
  description: 'Which token to revoke.',
  fields: (t) => ({
    id: t.globalID({ required: true, for: PersonalAccessToken, description: 'The token’s id.' }),
  }),
});

builder.mutationField('revokePersonalAccessToken', (t) =>
  t.field({
    type: PersonalAccessTokenRevoked,
    description:
      'Makes one of the viewer’s own tokens useless, the one in use included. Needs the scope `tokens:write`. ' +
      'Again is the same as once.',
    ...withBoth(
      withScope('tokens:write'),
      withRateLimit({ by: 'VIEWER', limit: 120, windowSeconds: 60 }),
    ),
    args: {
      input: t.arg({
        type: RevokePersonalAccessTokenInput,
        required: true,
        description: 'Which one.',
      }),
    },
    errors: {
      types: [
        InvalidInputError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        RateLimitedError,
      ],
      union: {
        name: 'RevokePersonalAccessTokenResult',
        description: 'What came of `revokePersonalAccessToken`.',
      },
    },
    resolve: async (_root, { input }, ctx) => ({
      personalAccessToken: await revokePersonalAccessToken(ctx, { id: input.id.id }),
    }),
  }),
);
