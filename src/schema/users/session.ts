import type { Session as SessionRow } from '#generated/prisma/client.ts';
import {
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { canReadSession, readableSessions } from '#resolvers/users/access.ts';
import { liveSessions, revokeSession, signOut } from '#resolvers/users/sign-out.ts';
import { builder } from '#schema/builder.ts';
import {
  pageComplexity,
  withBoth,
  withOpen,
  withRateLimit,
  withScope,
  withSession,
} from '#schema/policy.ts';

export const Session = builder.prismaNode('Session', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description: 'One sign-in. Shown to the account it belongs to and to nobody else.',
  authScopes: (session, ctx) => canReadSession(ctx, session),
  findUnique: (id, ctx) => ({ id, AND: [readableSessions(ctx)] }),
  fields: (t) => ({
    device: t.exposeString('device', {
      nullable: true,
      description: 'What its client called itself (`User-Agent`), at most 256 characters.',
    }),
    ipAddress: t.exposeString('ipAddress', {
      nullable: true,
      description: 'Where it was opened from.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was opened.' }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      description: 'Last use, to the minute.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'It ends then at the latest, however much it is used.',
    }),
    isCurrent: t.boolean({
      description: 'Whether this request is made with it.',
      resolve: ({ id }, _args, { viewer }) =>
        viewer?.proof.kind === 'session' && viewer.proof.id === id,
    }),
  }),
});

builder.prismaObjectField('User', 'sessions', (t) =>
  t.relatedConnection('sessions', {
    cursor: 'id',
    description: "The account's live sessions, oldest first. Only the account itself sees them.",
    ...withScope('viewer:read'),
    authScopes: (user, _args, ctx) => ctx.viewer?.userId === user.id && { scopes: ['viewer:read'] },
    complexity: pageComplexity,
    query: (_args, ctx) => ({ where: liveSessions(ctx), orderBy: { id: 'asc' } }),
  }),
);

const SignedOut = builder.objectRef<{ readonly endedSessions: number }>('SignedOut').implement({
  description: 'The sessions are refused from the next call on, and what was live is closed.',
  fields: (t) => ({
    endedSessions: t.exposeInt('endedSessions', {
      description: 'How many ended; 0 where nobody was signed in any more.',
    }),
  }),
});

const SignOutInput = builder.inputType('SignOutInput', {
  description: 'Which sessions to end.',
  fields: (t) => ({
    everywhere: t.boolean({
      defaultValue: false,
      description: 'Every session of the account, not only the one in use.',
    }),
  }),
});

builder.mutationField('signOut', (t) =>
  t.field({
    type: SignedOut,
    description:
      'Ends the session in use, or all of the account, and takes the cookie away. For guests nothing happens. ' +
      'A personal access token cannot sign out.',
    ...withBoth(withOpen(), withRateLimit({ by: 'VIEWER', limit: 120, windowSeconds: 60 })),
    args: {
      input: t.arg({ type: SignOutInput, description: 'Which ones; only this one unless told.' }),
    },
    errors: {
      types: [ForbiddenError, RateLimitedError],
      union: { name: 'SignOutResult', description: 'What came of `signOut`.' },
    },
    resolve: (_root, { input }, ctx) => signOut(ctx, { everywhere: input?.everywhere ?? false }),
  }),
);

const SessionRevoked = builder
  .objectRef<{ readonly session: SessionRow }>('SessionRevoked')
  .implement({
    description: 'The session is refused from the next call on, and what was live is closed.',
    fields: (t) => ({
      session: t.field({
        type: Session,
        description: 'The session that was ended.',
        resolve: ({ session }) => session,
      }),
    }),
  });

const RevokeSessionInput = builder.inputType('RevokeSessionInput', {
  description: 'Which session to end.',
  fields: (t) => ({
    id: t.globalID({ required: true, for: Session, description: 'The session’s id.' }),
  }),
});

builder.mutationField('revokeSession', (t) =>
  t.field({
    type: SessionRevoked,
    description:
      'Ends one of the viewer’s own sessions. Needs a session itself. Again is the same as once.',
    ...withBoth(withSession(), withRateLimit({ by: 'VIEWER', limit: 120, windowSeconds: 60 })),
    args: {
      input: t.arg({ type: RevokeSessionInput, required: true, description: 'Which one.' }),
    },
    errors: {
      types: [
        InvalidInputError,
        UnauthenticatedError,
        ForbiddenError,
        NotFoundError,
        RateLimitedError,
      ],
      union: { name: 'RevokeSessionResult', description: 'What came of `revokeSession`.' },
    },
    resolve: async (_root, { input }, ctx) => ({
      session: await revokeSession(ctx, { id: input.id.id }),
    }),
  }),
);
