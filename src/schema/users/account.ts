import {
  ConflictError,
  ForbiddenError,
  InvalidCredentialsError,
  InvalidInputError,
  RateLimitedError,
  UnauthenticatedError,
  UnavailableError,
} from '#lib/errors.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { changeEmail, deleteAccount, updateProfile } from '#resolvers/users/account.ts';
import { builder } from '#schema/builder.ts';
import {
  withBoth,
  withCredentialLimits,
  withRateLimit,
  withScope,
  withSession,
} from '#schema/policy.ts';
import { type Changed, userOf } from './changed.ts';

const ProfileUpdated = builder.objectRef<Changed>('ProfileUpdated').implement({
  description: 'The profile is as asked.',
  fields: (t) => ({ user: userOf(t, 'The account.') }),
});

const UpdateProfileInput = builder.inputType('UpdateProfileInput', {
  description: 'What to change. What is absent stays.',
  fields: (t) => ({
    displayName: t.string({ description: 'For people to read, 1–100 characters.' }),
    avatarUrl: t.field({ type: 'URL', description: 'An https:// URL; null takes it away.' }),
  }),
});

builder.mutationField('updateProfile', (t) =>
  t.field({
    type: ProfileUpdated,
    description: 'Changes the viewer’s own profile. Needs the scope `viewer:write`.',
    ...withBoth(
      withScope('viewer:write'),
      withRateLimit({ by: 'VIEWER', limit: 60, windowSeconds: 60 }),
    ),
    args: {
      input: t.arg({ type: UpdateProfileInput, required: true, description: 'What to change.' }),
    },
    errors: {
      types: [InvalidInputError, UnauthenticatedError, ForbiddenError, RateLimitedError],
      union: { name: 'UpdateProfileResult', description: 'What came of `updateProfile`.' },
    },
    resolve: async (_root, { input }, ctx) => ({ userId: await updateProfile(ctx, input) }),
  }),
);

const EmailChangeAccepted = builder
  .objectRef<Changed & { readonly needsConfirmation: boolean }>('EmailChangeAccepted')
  .implement({
    description: 'The address is on its way to being the account’s.',
    fields: (t) => ({
      needsConfirmation: t.exposeBoolean('needsConfirmation', {
        description:
          'Whether it counts only after `verifyEmail` with the token that was mailed to it; else it counts already.',
      }),
      user: userOf(t, 'The account.'),
    }),
  });

const ChangeEmailInput = builder.inputType('ChangeEmailInput', {
  description: 'The new address, and the proof that its owner asks.',
  fields: (t) => ({
    email: t.field({ type: 'EmailAddress', required: true, description: 'The new address.' }),
    password: t.string({
      description:
        'The account’s password; null only where it has none and signed in within 15 minutes.',
    }),
  }),
});

builder.mutationField('changeEmail', (t) =>
  t.field({
    type: EmailChangeAccepted,
    description:
      'Asks for another e-mail address. Where mail is sent it counts once its mailbox has confirmed it, and the ' +
      'answer does not tell whether another account has it. Needs a session.',
    ...withBoth(
      withSession(),
      withCredentialLimits([
        { by: 'SESSION', name: 'password-session' },
        { by: 'NETWORK', name: 'mail-network' },
        { by: 'MAILBOX_AND_NETWORK', name: 'mail-address-network' },
        { by: 'MAILBOX', name: 'mail-address' },
      ]),
    ),
    args: { input: t.arg({ type: ChangeEmailInput, required: true, description: 'The new one.' }) },
    errors: {
      types: [
        InvalidInputError,
        UnauthenticatedError,
        InvalidCredentialsError,
        ForbiddenError,
        ConflictError,
        RateLimitedError,
        UnavailableError,
      ],
      union: { name: 'ChangeEmailResult', description: 'What came of `changeEmail`.' },
    },
    resolve: (_root, { input }, ctx) =>
      changeEmail(ctx, { ...input, password: input.password ?? null }),
  }),
);

const AccountDeleted = builder.objectRef<Changed>('AccountDeleted').implement({
  description: 'The account is gone: what was personal is erased, and nobody can sign in.',
  fields: (t) => ({
    id: t.id({
      description: 'The id that the account had.',
      resolve: ({ userId }) => encodeGlobalId('User', userId),
    }),
  }),
});

const DeleteAccountInput = builder.inputType('DeleteAccountInput', {
  description: 'The proof that its owner asks.',
  fields: (t) => ({
    password: t.string({
      description:
        'The account’s password; null only where it has none and signed in within 15 minutes.',
    }),
  }),
});

builder.mutationField('deleteAccount', (t) =>
  t.field({
    type: AccountDeleted,
    description:
      'Erases the viewer’s own account for good. What others see of it (its messages, its entries in the audit ' +
      'log) stays without a name. ConflictError for the last administrator. Needs a session.',
    ...withBoth(withSession(), withCredentialLimits([{ by: 'SESSION', name: 'password-session' }])),
    args: { input: t.arg({ type: DeleteAccountInput, required: true, description: 'The proof.' }) },
    errors: {
      types: [
        UnauthenticatedError,
        InvalidCredentialsError,
        ForbiddenError,
        ConflictError,
        RateLimitedError,
        UnavailableError,
      ],
      union: { name: 'DeleteAccountResult', description: 'What came of `deleteAccount`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      userId: await deleteAccount(ctx, { password: input.password ?? null }),
    }),
  }),
);
