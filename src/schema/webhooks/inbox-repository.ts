import { resolveCursorConnection } from '@pothos/plugin-relay';
import { CursorInvalidError } from '#lib/errors.ts';
import { encodeGlobalId } from '#lib/global-id.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from '#lib/page.ts';
import {
  type InboxRepository,
  listInboxRepositories,
} from '#resolvers/webhooks/inbox/repositories.ts';
import { findWatched } from '#resolvers/webhooks/watch.ts';
import { builder } from '#schema/builder.ts';
import { pageComplexity } from '#schema/policy.ts';
import { WebhookInbox } from './inbox.ts';
import { WebhookRepository } from './repository.ts';
import { WebhookPermission } from './watch.ts';

const unknown = 'Null while the permission is UNKNOWN.';

const WebhookInboxRepository = builder
  .objectRef<InboxRepository>('WebhookInboxRepository')
  .implement({
    description: 'How the viewer stands with one repository, counted whole: no count is capped.',
    fields: (t) => ({
      repositoryId: t.globalID({
        description: 'The repository’s id.',
        resolve: ({ repositoryId }) => ({ type: WebhookRepository, id: repositoryId }),
      }),
      repository: t.field({
        type: WebhookRepository,
        nullable: true,
        description: `The repository. ${unknown}`,
        resolve: (row, _args, ctx) => findWatched(ctx, row),
      }),
      permission: t.expose('permission', {
        type: WebhookPermission,
        description: 'Whether its messages may be read now.',
      }),
      permissionsCheckedAt: t.expose('permissionsCheckedAt', {
        type: 'DateTime',
        nullable: true,
        description: 'When GitHub was asked; null where a grant of the source decides.',
      }),
      isWatched: t.exposeBoolean('isWatched', {
        description: 'False where `unwatchRepository` keeps it out of the inbox.',
      }),
      pending: t.exposeInt('pending', {
        nullable: true,
        description: `Waiting to be pulled, or what would be if it were watched. ${unknown}`,
      }),
      leased: t.exposeInt('leased', {
        nullable: true,
        description: `Handed out and not yet settled. ${unknown}`,
      }),
      acknowledged: t.exposeInt('acknowledged', {
        nullable: true,
        description: `Done with. ${unknown}`,
      }),
      dead: t.exposeInt('dead', {
        nullable: true,
        description: `Handed out too often in vain. ${unknown}`,
      }),
      discarded: t.exposeInt('discarded', {
        nullable: true,
        description: `Dead letters that were given up. ${unknown}`,
      }),
      redelivered: t.exposeInt('redelivered', {
        nullable: true,
        description: `Of those neither acknowledged nor discarded, handed out more than once. ${unknown}`,
      }),
      oldestPendingAt: t.expose('oldestPendingAt', {
        type: 'DateTime',
        nullable: true,
        description: 'When the oldest pending message arrived; null when none is pending.',
      }),
    }),
  });

builder.objectField(WebhookInbox, 'repositories', (t) =>
  t.connection(
    {
      type: WebhookInboxRepository,
      description:
        'Repository by repository, in an order that stays, unwatched ones included. With a filter that asks for more than ' +
        '`sources` and `repositoryIds` it is an INVALID_INPUT.',
      complexity: pageComplexity,
      resolve: ({ filter }, args, ctx) =>
        resolveCursorConnection<Promise<InboxRepository[]>>(
          {
            args,
            defaultSize: PAGE_SIZE_DEFAULT,
            maxSize: PAGE_SIZE_MAX,
            toCursor: ({ repositoryId }) => encodeGlobalId('WebhookRepository', repositoryId),
          },
          ({ after, before, limit, inverted }) =>
            listInboxRepositories(ctx, {
              filter,
              after: after === undefined ? null : placeOf(after),
              before: before === undefined ? null : placeOf(before),
              limit,
              isInverted: inverted,
            }),
        ),
    },
    { name: 'WebhookInboxRepositoryConnection', description: 'A page of repositories.' },
    { name: 'WebhookInboxRepositoryEdge', description: 'A repository and its place in the list.' },
  ),
);

const PLACE = /^WebhookRepository:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

function placeOf(cursor: string): string {
  const [, id] = PLACE.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (id === undefined) throw new CursorInvalidError('Not a cursor of this list');
  return id;
}
