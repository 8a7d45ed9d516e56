import {
  ConflictError,
  ForbiddenError,
  InvalidCredentialsError,
  InvalidInputError,
  RateLimitedError,
  UnauthenticatedError,
  UnavailableError,
} from '#lib/errors.ts';
import { verifyEmail } from '#resolvers/users/account.ts';
import { type SignUpNextStep, signUp } from '#resolvers/users/sign-up.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withCredentialLimits, withOpen } from '#schema/policy.ts';
import { type Changed, userOf } from './changed.ts';

const NEXT_STEP_MEANINGS: Readonly<Record<SignUpNextStep, string>> = {
  VERIFY_EMAIL: 'A mail was sent to the address: `verifyEmail` finishes with its token.',
  SIGN_IN: 'This server sends no mail: the account is there.',
};

const SignUpNextStepEnum = builder.enumType('SignUpNextStep', {
  description:
    'What comes after `signUp`. The same for every address: it says nothing of this one.',
  values: Object.fromEntries(
    Object.entries(NEXT_STEP_MEANINGS).map(([step, description]) => [step, { description }]),
  ) as Record<SignUpNextStep, { description: string }>,
});

const SignUpAccepted = builder
  .objectRef<{ readonly nextStep: SignUpNextStep }>('SignUpAccepted')
  .implement({
    description:
      'What was asked for could be an account. Where mail is sent, only the mailbox is told whether the ' +
      'address or the username is taken.',
    fields: (t) => ({
      nextStep: t.field({
        type: SignUpNextStepEnum,
        description: 'How to go on.',
        resolve: ({ nextStep }) => nextStep,
      }),
    }),
  });

export const PASSWORD_RULE =
  '10–256 characters after Unicode’s NFKC; neither a common one nor little more than the account’s names.';

const SignUpInput = builder.inputType('SignUpInput', {
  description: 'The account that is wanted.',
  fields: (t) => ({
    email: t.field({
      type: 'EmailAddress',
      required: true,
      description: 'Where the account is reached.',
    }),
    username: t.string({
      required: true,
      description: 'Unique; 3–32 of a–z, 0–9, dot, dash and underscore, in any case.',
    }),
    displayName: t.string({ required: true, description: 'For people to read, 1–100 characters.' }),
    password: t.string({ required: true, description: PASSWORD_RULE }),
    invitation: t.string({ description: 'The code of an invitation, where the server wants one.' }),
  }),
});

builder.mutationField('signUp', (t) =>
  t.field({
    type: SignUpAccepted,
    description:
      'Asks for an account. Where mail is sent the answer never tells whether the address or the username is ' +
      'taken; without mail it does, by ConflictError. At most 20 an hour from one network.',
    ...withBoth(
      withOpen(),
      withCredentialLimits([
        { by: 'NETWORK', name: 'sign-up-network' },
        { by: 'MAILBOX_AND_NETWORK', name: 'mail-address-network' },
        { by: 'MAILBOX', name: 'mail-address' },
      ]),
    ),
    args: { input: t.arg({ type: SignUpInput, required: true, description: 'What is wanted.' }) },
    errors: {
      types: [InvalidInputError, ForbiddenError, ConflictError, RateLimitedError, UnavailableError],
      union: { name: 'SignUpResult', description: 'What came of `signUp`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      nextStep: await signUp(ctx, { ...input, invitation: input.invitation ?? null }),
    }),
  }),
);

const EmailVerified = builder.objectRef<Changed>('EmailVerified').implement({
  description: 'The address is the account’s.',
  fields: (t) => ({ user: userOf(t, 'The account.') }),
});

const VerifyEmailInput = builder.inputType('VerifyEmailInput', {
  description: 'What the mail said.',
  fields: (t) => ({
    token: t.string({
      required: true,
      description: 'The token of the mail. It counts once, for 24 hours.',
    }),
    password: t.string({
      description:
        'The password given to `signUp`, so that only who asked can finish. Not for a change of address.',
    }),
  }),
});

builder.mutationField('verifyEmail', (t) =>
  t.field({
    type: EmailVerified,
    description:
      'Confirms an e-mail address: finishes a sign-up with its password, or a change of address within a ' +
      'session of the account.',
    ...withBoth(withOpen(), withCredentialLimits([{ by: 'NETWORK', name: 'one-time-network' }])),
    args: {
      input: t.arg({ type: VerifyEmailInput, required: true, description: 'What the mail said.' }),
    },
    errors: {
      types: [
        InvalidCredentialsError,
        UnauthenticatedError,
        ForbiddenError,
        ConflictError,
        RateLimitedError,
        UnavailableError,
      ],
      union: { name: 'VerifyEmailResult', description: 'What came of `verifyEmail`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      userId: await verifyEmail(ctx, { ...input, password: input.password ?? null }),
    }),
  }),
);
