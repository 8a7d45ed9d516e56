import {
  ForbiddenError,
  InvalidCredentialsError,
  InvalidInputError,
  RateLimitedError,
  UnauthenticatedError,
  UnavailableError,
} from '#lib/errors.ts';
import { ONE_TIME_MINUTES } from '#resolvers/users/one-time-token.ts';
import { changePassword, requestPasswordReset, resetPassword } from '#resolvers/users/password.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withCredentialLimits, withOpen, withSession } from '#schema/policy.ts';
import { type Changed, userOf } from './changed.ts';
import { PASSWORD_RULE } from './sign-up.ts';

const PasswordChanged = builder
  .objectRef<Changed & { readonly endedSessions: number }>('PasswordChanged')
  .implement({
    description: 'The new password counts, and the account’s other sessions have ended.',
    fields: (t) => ({
      user: userOf(t, 'The account.'),
      endedSessions: t.exposeInt('endedSessions', {
        description: 'How many other sessions ended.',
      }),
    }),
  });

const ChangePasswordInput = builder.inputType('ChangePasswordInput', {
  description: 'The old and the new.',
  fields: (t) => ({
    currentPassword: t.string({
      description:
        'Null only for an account that has none; its session must then be of the last 15 minutes.',
    }),
    newPassword: t.string({ required: true, description: PASSWORD_RULE }),
  }),
});

builder.mutationField('changePassword', (t) =>
  t.field({
    type: PasswordChanged,
    description:
      'Sets a new password and ends the account’s other sessions; personal access tokens stay. Needs a session. ' +
      'At most 10 wrong passwords in 15 minutes.',
    ...withBoth(
      withSession(),
      withCredentialLimits([
        { by: 'SESSION', name: 'password-session' },
        { by: 'SESSION', name: 'password-change' },
      ]),
    ),
    args: {
      input: t.arg({
        type: ChangePasswordInput,
        required: true,
        description: 'The old and the new.',
      }),
    },
    errors: {
      types: [
        InvalidInputError,
        UnauthenticatedError,
        InvalidCredentialsError,
        ForbiddenError,
        RateLimitedError,
        UnavailableError,
      ],
      union: { name: 'ChangePasswordResult', description: 'What came of `changePassword`.' },
    },
    resolve: (_root, { input }, ctx) =>
      changePassword(ctx, { ...input, currentPassword: input.currentPassword ?? null }),
  }),
);

const PasswordResetRequested = builder
  .objectRef<Record<string, never>>('PasswordResetRequested')
  .implement({
    description: 'A mail is on its way. The same whether or not the address has an account.',
    fields: (t) => ({
      expiresInMinutes: t.int({
        description: 'How long its token counts.',
        resolve: () => ONE_TIME_MINUTES.RESET_PASSWORD,
      }),
    }),
  });

const RequestPasswordResetInput = builder.inputType('RequestPasswordResetInput', {
  description: 'Whose password was forgotten.',
  fields: (t) => ({
    email: t.field({ type: 'EmailAddress', required: true, description: 'The account’s address.' }),
  }),
});

builder.mutationField('requestPasswordReset', (t) =>
  t.field({
    type: PasswordResetRequested,
    description:
      'Mails a token for `resetPassword`. The answer is the same whether or not the address has an account. At ' +
      'most 20 an hour from one network and 3 mails an hour to one address. ForbiddenError where no mail is sent.',
    ...withBoth(
      withOpen(),
      withCredentialLimits([
        { by: 'NETWORK', name: 'mail-network' },
        { by: 'MAILBOX_AND_NETWORK', name: 'mail-address-network' },
        { by: 'MAILBOX', name: 'mail-address' },
      ]),
    ),
    args: {
      input: t.arg({ type: RequestPasswordResetInput, required: true, description: 'Whose.' }),
    },
    errors: {
      types: [InvalidInputError, ForbiddenError, RateLimitedError, UnavailableError],
      union: {
        name: 'RequestPasswordResetResult',
        description: 'What came of `requestPasswordReset`.',
      },
    },
    resolve: async (_root, { input }, ctx) => {
      await requestPasswordReset(ctx, input);
      return {};
    },
  }),
);

const PasswordReset = builder
  .objectRef<{ readonly endedSessions: number }>('PasswordReset')
  .implement({
    description: 'The new password counts. Nobody is signed in any more: sign in with it.',
    fields: (t) => ({
      endedSessions: t.exposeInt('endedSessions', { description: 'How many sessions ended.' }),
    }),
  });

const ResetPasswordInput = builder.inputType('ResetPasswordInput', {
  description: 'What the mail said, and the new password.',
  fields: (t) => ({
    token: t.string({ required: true, description: 'The token of the mail. It counts once.' }),
    newPassword: t.string({ required: true, description: PASSWORD_RULE }),
  }),
});

builder.mutationField('resetPassword', (t) =>
  t.field({
    type: PasswordReset,
    description:
      'Sets a new password by the token of a mail. Ends every session and personal access token of the account.',
    ...withBoth(withOpen(), withCredentialLimits([{ by: 'NETWORK', name: 'one-time-network' }])),
    args: {
      input: t.arg({
        type: ResetPasswordInput,
        required: true,
        description: 'Token and password.',
      }),
    },
    errors: {
      types: [InvalidInputError, InvalidCredentialsError, RateLimitedError, UnavailableError],
      union: { name: 'ResetPasswordResult', description: 'What came of `resetPassword`.' },
    },
    resolve: (_root, { input }, ctx) => resetPassword(ctx, input),
  }),
);
