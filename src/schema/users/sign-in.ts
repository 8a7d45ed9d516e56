import type { SessionTransport } from '#generated/prisma/enums.ts';
import {
  ForbiddenError,
  InvalidCredentialsError,
  InvalidInputError,
  RateLimitedError,
  UnauthenticatedError,
  UnavailableError,
} from '#lib/errors.ts';
import { type RefreshedSession, refreshSession } from '#resolvers/users/refresh.ts';
import { type SignedIn as SignedInShape, signIn } from '#resolvers/users/sign-in.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withCredentialLimits, withOpen } from '#schema/policy.ts';
import { userOf } from './changed.ts';
import { Session } from './session.ts';

const TRANSPORT_MEANINGS: Readonly<Record<SessionTransport, string>> = {
  COOKIE:
    'For browsers: a cookie that no script can read, and no token in any answer. By POST, from an allowed ' +
    'origin, with the header `x-naru-csrf`; not over a socket.',
  TOKENS:
    'For API clients: an access token for 15 minutes, and a refresh token that is exchanged for both anew.',
};

const SessionTransportEnum = builder.enumType('SessionTransport', {
  description: 'How a session proves itself with each request.',
  values: Object.fromEntries(
    Object.entries(TRANSPORT_MEANINGS).map(([transport, description]) => [
      transport,
      { description },
    ]),
  ) as Record<SessionTransport, { description: string }>,
});

const SignedIn = builder.objectRef<SignedInShape>('SignedIn').implement({
  description: 'A new session. Its secrets are shown this once.',
  fields: (t) => ({
    user: userOf(t, 'The account that signed in.'),
    session: t.field({
      type: Session,
      description: 'The session.',
      resolve: ({ session }) => session,
    }),
    accessToken: t.exposeString('accessToken', {
      nullable: true,
      description: 'Send it as `Authorization: Bearer …`. Null with COOKIE.',
    }),
    accessTokenExpiresAt: t.expose('accessTokenExpiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Refresh before then. Null with COOKIE.',
    }),
    refreshToken: t.exposeString('refreshToken', {
      nullable: true,
      description: 'For `refreshSession`, once. Null with COOKIE.',
    }),
  }),
});

const SignInInput = builder.inputType('SignInInput', {
  description: 'Who signs in, and how the session is to prove itself.',
  fields: (t) => ({
    login: t.string({ required: true, description: 'Username or e-mail address, in any case.' }),
    password: t.string({ required: true, description: 'The account’s password.' }),
    transport: t.field({
      type: SessionTransportEnum,
      required: true,
      description: 'How the session proves itself.',
    }),
  }),
});

builder.mutationField('signIn', (t) =>
  t.field({
    type: SignedIn,
    description:
      'Opens a session. The same answer, after the same work, whether or not there is such an account. Of one ' +
      'network 10 wrong passwords a login in 15 minutes and 100 in all in 10 minutes are tried; one field of a ' +
      'request tries a password. A new session ends the account’s oldest ones past what the server allows.',
    ...withBoth(
      withOpen(),
      withCredentialLimits([
        { by: 'NETWORK', name: 'sign-in-network' },
        { by: 'LOGIN_AND_NETWORK', name: 'sign-in-login-network' },
        { by: 'LOGIN', name: 'sign-in-login' },
      ]),
    ),
    args: { input: t.arg({ type: SignInInput, required: true, description: 'Who signs in.' }) },
    errors: {
      types: [
        InvalidInputError,
        InvalidCredentialsError,
        ForbiddenError,
        RateLimitedError,
        UnavailableError,
      ],
      union: { name: 'SignInResult', description: 'What came of `signIn`.' },
    },
    resolve: (_root, { input }, ctx) => signIn(ctx, input),
  }),
);

const SessionRefreshed = builder.objectRef<RefreshedSession>('SessionRefreshed').implement({
  description: 'The session goes on with new tokens. They are shown this once.',
  fields: (t) => ({
    accessToken: t.exposeString('accessToken', {
      description: 'Send it as `Authorization: Bearer …`.',
    }),
    accessTokenExpiresAt: t.expose('accessTokenExpiresAt', {
      type: 'DateTime',
      description: 'Refresh before then.',
    }),
    refreshToken: t.exposeString('refreshToken', {
      description: 'For the next `refreshSession`, once; the one before is spent.',
    }),
    sessionExpiresAt: t.field({
      type: 'DateTime',
      description: 'The session ends then, however often it is refreshed.',
      resolve: ({ session }) => session.expiresAt,
    }),
  }),
});

const RefreshSessionInput = builder.inputType('RefreshSessionInput', {
  description: 'What to exchange.',
  fields: (t) => ({
    refreshToken: t.string({
      required: true,
      description: 'The newest refresh token of the session.',
    }),
  }),
});

builder.mutationField('refreshSession', (t) =>
  t.field({
    type: SessionRefreshed,
    description:
      'Exchanges a refresh token for its successor and a new access token. The same token again within 10 ' +
      'seconds gets the same successor, so that two tabs, or an answer that was lost, do no harm; later it ends ' +
      'the session, since somebody else has the token too (RFC 9700).',
    ...withOpen(),
    args: {
      input: t.arg({ type: RefreshSessionInput, required: true, description: 'What to exchange.' }),
    },
    errors: {
      types: [UnauthenticatedError, UnavailableError],
      union: { name: 'RefreshSessionResult', description: 'What came of `refreshSession`.' },
    },
    resolve: (_root, { input }, ctx) => refreshSession(ctx, input),
  }),
);
