import type { GitHubLinkState } from '#generated/prisma/enums.ts';
import {
  ConflictError,
  ForbiddenError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
} from '#lib/errors.ts';
import { canReadAccount } from '#resolvers/users/access.ts';
import { unlinkGitHub } from '#resolvers/users/github-link.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope, withSession } from '#schema/policy.ts';
import { userOf } from './changed.ts';

const STATE_MEANINGS: Readonly<Record<GitHubLinkState, string>> = {
  LINKED: 'GitHub takes the token that the account gave us, as far as we know.',
  BROKEN: 'GitHub refuses the token: the account has to sign in with GitHub, or link it, again.',
};

const GitHubLinkStateEnum = builder.enumType('GitHubLinkState', {
  description: 'Whether a linked GitHub account can be used.',
  values: Object.fromEntries(
    Object.entries(STATE_MEANINGS).map(([state, description]) => [state, { description }]),
  ) as Record<GitHubLinkState, { description: string }>,
});

builder.prismaObject('GitHubAccount', {
  // Never the sealed tokens.
  select: { id: true },
  description:
    'The GitHub account that an account signs in with. Shown to the account itself, to AUDITOR and to ADMIN.',
  fields: (t) => ({
    login: t.exposeString('login', {
      description: 'As GitHub called it at the last sign-in; people rename theirs.',
    }),
    githubId: t.string({
      description: 'GitHub’s number of it, in decimals: what it is known by here.',
      select: { githubId: true },
      resolve: ({ githubId }) => String(githubId),
    }),
    state: t.field({
      type: GitHubLinkStateEnum,
      description: 'Whether it can be used.',
      select: { state: true },
      resolve: ({ state }) => state,
    }),
    linkedAt: t.expose('linkedAt', { type: 'DateTime', description: 'When it was linked first.' }),
  }),
});

builder.prismaObjectField('User', 'githubAccount', (t) =>
  t.relation('githubAccount', {
    nullable: true,
    description:
      'The linked GitHub account; null without one. `GET /auth/github?link=1` links one. Needs the scope ' +
      '`viewer:read`; null for all but the account itself, AUDITOR and ADMIN.',
    ...withScope('viewer:read'),
    authScopes: (user, _args, ctx) => canReadAccount(ctx, user.id) && { scopes: ['viewer:read'] },
    unauthorizedResolver: () => null,
  }),
);

const GitHubUnlinked = builder.objectRef<{ readonly userId: string }>('GitHubUnlinked').implement({
  description: 'Nobody signs in with that GitHub account here any more.',
  fields: (t) => ({ user: userOf(t, 'The account that it was linked to.') }),
});

builder.mutationField('unlinkGitHub', (t) =>
  t.field({
    type: GitHubUnlinked,
    description:
      'Unlinks the viewer’s GitHub account and revokes at GitHub what it gave us, as far as GitHub answers. ' +
      'Needs a session. `ConflictError` for an account without a password, which could not sign in any more.',
    ...withBoth(withSession(), withRateLimit({ by: 'VIEWER', limit: 30, windowSeconds: 60 })),
    errors: {
      types: [UnauthenticatedError, ForbiddenError, NotFoundError, ConflictError, RateLimitedError],
      union: { name: 'UnlinkGitHubResult', description: 'What came of `unlinkGitHub`.' },
    },
    resolve: (_root, _args, ctx) => unlinkGitHub(ctx),
  }),
);
