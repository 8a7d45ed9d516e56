import {
  ConflictError,
  ForbiddenError,
  InvalidInputError,
  NotFoundError,
  RateLimitedError,
  UnauthenticatedError,
  UnavailableError,
} from '#lib/errors.ts';
import {
  findWatched,
  unwatchRepository,
  WATCHED_MAX,
  type WatchedRepository,
  watchRepository,
} from '#resolvers/webhooks/watch.ts';
import { builder } from '#schema/builder.ts';
import { withBoth, withRateLimit, withScope } from '#schema/policy.ts';
import { WebhookRepository } from './repository.ts';

export const WebhookPermission = builder.enumType('WebhookPermission', {
  description: 'What is known of whether the viewer may read a repository’s messages.',
  values: {
    ALLOWED: { description: 'They may, by a grant of the source or by GitHub’s answer.' },
    UNKNOWN: {
      description:
        'GitHub let them before and is to be asked again: nothing is handed out until then.',
    },
  } as const,
});

const POLICY = withBoth(
  withScope('webhooks:pull', 'webhooks:read'),
  withRateLimit({ by: 'VIEWER', limit: 600, windowSeconds: 3_600 }),
);
const SCOPES = 'Needs the scopes `webhooks:pull` and `webhooks:read`.';
const ERRORS = [
  InvalidInputError,
  UnauthenticatedError,
  ForbiddenError,
  NotFoundError,
  RateLimitedError,
  UnavailableError,
];

const repositoryField = {
  type: WebhookRepository,
  nullable: true,
  description: 'The repository; null while GitHub does not say whether it may be read.',
} as const;

const RepositoryWatched = builder.objectRef<WatchedRepository>('RepositoryWatched').implement({
  description: 'Its messages are in the viewer’s inbox and live streams.',
  fields: (t) => ({
    repository: t.field({
      ...repositoryField,
      resolve: (watched, _args, ctx) => findWatched(ctx, watched),
    }),
    permission: t.expose('permission', {
      type: WebhookPermission,
      description: 'Whether it may be read now.',
    }),
  }),
});

const WatchInput = builder.inputType('WatchRepositoryInput', {
  description: 'Which repository to watch.',
  fields: (t) => ({
    repositoryId: t.globalID({
      for: WebhookRepository,
      required: true,
      description: 'The repository’s id.',
    }),
  }),
});

builder.mutationField('watchRepository', (t) =>
  t.field({
    type: RepositoryWatched,
    description:
      'Puts a repository into the viewer’s inbox and live streams, its stored history included. Everything that may be ' +
      'read is there unless it was unwatched; this is for what was, and for a public repository of GitHub’s that the viewer ' +
      'has no part in: GitHub is asked for it then. What is not there and what the viewer may not see are answered alike. ' +
      `An account watches ${WATCHED_MAX} by name at most. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: WatchInput, required: true, description: 'Which.' }) },
    errors: {
      types: [...ERRORS, ConflictError],
      union: { name: 'WatchRepositoryResult', description: 'What came of `watchRepository`.' },
    },
    resolve: (_root, { input }, ctx) => watchRepository(ctx, input.repositoryId.id),
  }),
);

const RepositoryUnwatched = builder.objectRef<WatchedRepository>('RepositoryUnwatched').implement({
  description: 'Its messages are in the viewer’s inbox and live streams no more.',
  fields: (t) => ({
    repository: t.field({
      ...repositoryField,
      resolve: (watched, _args, ctx) => findWatched(ctx, watched),
    }),
  }),
});

const UnwatchInput = builder.inputType('UnwatchRepositoryInput', {
  description: 'Which repository not to watch.',
  fields: (t) => ({
    repositoryId: t.globalID({
      for: WebhookRepository,
      required: true,
      description: 'The repository’s id.',
    }),
  }),
});

builder.mutationField('unwatchRepository', (t) =>
  t.field({
    type: RepositoryUnwatched,
    description:
      'Keeps a repository out of the viewer’s inbox and live streams; pages and nodes still show it, and what is leased of ' +
      `it can be settled. ${SCOPES}`,
    ...POLICY,
    args: { input: t.arg({ type: UnwatchInput, required: true, description: 'Which.' }) },
    errors: {
      types: ERRORS,
      union: { name: 'UnwatchRepositoryResult', description: 'What came of `unwatchRepository`.' },
    },
    resolve: (_root, { input }, ctx) => unwatchRepository(ctx, input.repositoryId.id),
  }),
);
