import { queryFromInfo } from '@pothos/plugin-prisma';
import type { WebhookMessage as MessageRow } from '#generated/prisma/client.ts';
import type { Header } from '#lib/redact-headers.ts';
import { canReadMessage } from '#resolvers/webhooks/access.ts';
import { standingLoader } from '#resolvers/webhooks/inbox/status.ts';
import {
  cursorOfMessage,
  listMessages,
  type MessagePage,
  readPayload,
  readRawBody,
  watchMessages,
} from '#resolvers/webhooks/message.ts';
import { findReadableMessage, readRepository } from '#resolvers/webhooks/readable.ts';
import { builder } from '#schema/builder.ts';
import { feedConnectionOf } from '#schema/feed-connection.ts';
import { pageComplexity, withBoth, withCost, withRateLimit, withScope } from '#schema/policy.ts';
import { StreamCheckpoint, StreamItem, type StreamItemShape } from '#schema/stream.ts';
import { parseFilter, WebhookMessageFilter } from './filter.ts';
import { InboxState } from './inbox-state.ts';
import { WebhookRepository } from './repository.ts';

const VerificationOutcome = builder.enumType('VerificationOutcome', {
  description: 'What is known of who sent a webhook.',
  values: {
    VERIFIED: { description: "The signature over the untouched body matched the source's secret." },
    UNSIGNED: { description: 'The source asks for no signature, so anybody may have sent it.' },
    UNVERIFIED: { description: 'No source vouches for it. Only OPERATOR and ADMIN see it.' },
  } as const,
});

const BodyEncoding = builder.enumType('BodyEncoding', {
  description: 'How the bytes of a body are written as text.',
  values: {
    UTF8: { description: 'As the text that they are; null when they are not UTF-8.' },
    BASE64: { description: 'In base64: exact, whatever they are.' },
  } as const,
});

const HttpHeader = builder.objectRef<Header>('HttpHeader').implement({
  description: 'One header of the request, in the order in which it came.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'In lower case.' }),
    value: t.exposeString('value', { description: '`[REDACTED]` where it was a credential.' }),
  }),
});

export const WebhookMessage = builder.prismaNode('WebhookMessage', {
  id: { field: 'id' },
  // What is not there, or not for the viewer, is null and no error.
  nullable: true,
  description:
    'One webhook that arrived. Read by those to whom, or to one of whose roles, its source is granted, and by those whom GitHub lets see its repository.',
  authScopes: (message, ctx) => canReadMessage(ctx, message),
  findUnique: (id, ctx) => findReadableMessage(ctx, id),
  fields: (t) => ({
    source: t.relation('source', {
      nullable: true,
      description: 'Where it came from; null for an unknown path or a source since deleted.',
    }),
    path: t.exposeString('path', { description: 'As requested, without the query.' }),
    method: t.exposeString('method', { description: 'The HTTP method.' }),
    headers: t.field({
      type: [HttpHeader],
      description: 'All headers; the values of credentials are redacted.',
      resolve: (message) => message.headers as unknown as Header[],
    }),
    contentType: t.exposeString('contentType', {
      nullable: true,
      description: 'The Content-Type header; null when there was none.',
    }),
    payload: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'The JSON of the body, or of its form field `payload`; null where there is none or it does not parse.',
      ...withCost(5),
      resolve: (message, _args, ctx) => readPayload(ctx, message),
    }),
    rawBody: t.string({
      nullable: true,
      description: 'The untouched body; null when it is not UTF-8 and UTF8 was asked for.',
      ...withCost(5),
      args: {
        encoding: t.arg({
          type: BodyEncoding,
          required: true,
          defaultValue: 'UTF8',
          description: 'How to write the bytes.',
        }),
      },
      resolve: (message, { encoding }, ctx) => readRawBody(ctx, message, encoding),
    }),
    byteSize: t.exposeInt('byteSize', { description: 'Bytes of the body.' }),
    deliveryId: t.exposeString('deliveryId', {
      nullable: true,
      description: "The sender's id of this delivery; a redelivery repeats it and is stored once.",
    }),
    eventName: t.exposeString('eventName', {
      nullable: true,
      description:
        'What happened, from its header, e.g. `push`; null where the signed body does not bear the header out.',
    }),
    action: t.exposeString('action', {
      nullable: true,
      description: 'What was done, from the body, e.g. `opened`.',
    }),
    branch: t.exposeString('branch', {
      nullable: true,
      description: 'The branch pushed to; the base of a pull request; the head branch of a run.',
    }),
    repository: t.relation('repository', {
      nullable: true,
      description: 'What it is about, from the signed body, never from the path.',
    }),
    sender: t.exposeString('sender', {
      nullable: true,
      description: "The provider's name of who caused it, from the signed body.",
    }),
    verification: t.field({
      type: VerificationOutcome,
      description: 'What is known of who sent it.',
      resolve: (message) => message.verification,
    }),
    inboxState: t.field({
      type: InboxState,
      nullable: true,
      description:
        'How it stands in the viewer’s own inbox; null for what is in no inbox (unverified).',
      resolve: async (message, _args, ctx) =>
        (await standingLoader(ctx).load(message.id))?.state ?? null,
    }),
    attempts: t.int({
      description: 'How often it was handed out to the viewer since it was last made pending.',
      resolve: async (message, _args, ctx) =>
        (await standingLoader(ctx).load(message.id))?.attempts ?? 0,
    }),
    deadReason: t.string({
      nullable: true,
      description: 'Why it was handed back or is dead; null where nobody said.',
      resolve: async (message, _args, ctx) =>
        (await standingLoader(ctx).load(message.id))?.reason ?? null,
    }),
    receivedAt: t.expose('receivedAt', { type: 'DateTime', description: 'When it arrived.' }),
    cursor: t.field({
      type: 'Cursor',
      description: 'Its place in the webhook feed.',
      resolve: (message, _args, ctx) => cursorOfMessage(ctx, message),
    }),
  }),
});

const WebhookMessageConnection = builder.connectionObject(
  {
    type: WebhookMessage,
    name: 'WebhookMessageConnection',
    description: 'A page of the webhook feed, ascending.',
    fields: (t) => ({
      followCursor: t.field({
        type: 'Cursor',
        description:
          'The feed’s head from before the page was read: subscribe after it to go on from here.',
        resolve: (connection) => {
          const { followPosition, cursorAt } = connection as unknown as MessagePage<MessageRow>;
          return cursorAt(followPosition);
        },
      }),
    }),
  },
  { name: 'WebhookMessageEdge', description: 'A message and its place in the feed.' },
);

builder.queryField('webhookMessages', (t) =>
  t.connection(
    {
      type: WebhookMessage,
      description:
        'The webhook feed as far as the viewer may see it, ascending; without bounds its newest 20. A page also ends ' +
        'where its bodies together pass 32 MiB. Needs the scope `webhooks:read`.',
      ...withScope('webhooks:read'),
      complexity: pageComplexity,
      args: {
        filter: t.arg({
          type: WebhookMessageFilter,
          description: 'Only these; all of what is given must hold.',
        }),
      },
      resolve: async (_root, { filter, ...page }, ctx, info) => {
        const selection = queryFromInfo({
          context: ctx,
          info,
          typeName: 'WebhookMessage',
          paths: [['nodes'], ['edges', 'node']],
        });
        const found = await listMessages(ctx, { filter: parseFilter(filter), page }, selection);
        return feedConnectionOf(found.messages, found);
      },
    },
    WebhookMessageConnection,
  ),
);

interface ReceivedShape extends StreamItemShape {
  readonly message: MessageRow;
}

const WebhookMessageReceived = builder
  .objectRef<ReceivedShape>('WebhookMessageReceived')
  .implement({
    description: 'A message became readable.',
    interfaces: [StreamItem],
    fields: (t) => ({
      message: t.field({
        type: WebhookMessage,
        description: 'The message.',
        // The row that the feed has read for all: only its relations are read for each.
        resolve: (item) => item.message,
      }),
    }),
  });

interface PermissionChangedShape extends StreamItemShape {
  readonly repositoryId: string;
  readonly isAllowed: boolean;
}

const WebhookPermissionChanged = builder
  .objectRef<PermissionChangedShape>('WebhookPermissionChanged')
  .implement({
    description:
      'GitHub says something else than before of whether the viewer may see a repository. The stream goes on: with its ' +
      'messages from here on, or without them. Told once and never replayed; its cursor is that of what came before it.',
    interfaces: [StreamItem],
    fields: (t) => ({
      repositoryId: t.globalID({
        description: 'The repository, known to the viewer or not.',
        resolve: ({ repositoryId }) => ({ type: WebhookRepository, id: repositoryId }),
      }),
      repository: t.field({
        type: WebhookRepository,
        nullable: true,
        description: 'The repository; null where the viewer may not know of it any more.',
        resolve: ({ repositoryId }, _args, ctx) => readRepository(ctx, repositoryId),
      }),
      allowed: t.exposeBoolean('isAllowed', {
        description: 'Whether the viewer may see its messages from now on.',
      }),
    }),
  });

const WebhookStreamItem = builder.unionType('WebhookStreamItem', {
  description: 'What the webhook stream carries.',
  types: [WebhookMessageReceived, WebhookPermissionChanged, StreamCheckpoint],
  resolveType: (item) => {
    if ('message' in item) return WebhookMessageReceived;
    return 'isAllowed' in item ? WebhookPermissionChanged : StreamCheckpoint;
  },
});

builder.subscriptionField('webhookMessageReceived', (t) =>
  t.field({
    type: WebhookStreamItem,
    description:
      'Messages as they become readable: after `after`, replayed and then live without a seam, or from now on. What the ' +
      'viewer may see is decided for each one when it is handed out; where GitHub is to decide and does not answer, the stream ' +
      'waits. Needs the scope `webhooks:read`. Ends with CURSOR_INVALID, CURSOR_EXPIRED, FEED_RESET or, after a minute ' +
      'of waiting for GitHub, UNAVAILABLE rather than skip anything.',
    ...withBoth(
      withScope('webhooks:read'),
      withRateLimit({ by: 'VIEWER', limit: 600, windowSeconds: 60 }),
    ),
    args: {
      filter: t.arg({
        type: WebhookMessageFilter,
        description: 'Only these; all of what is given must hold.',
      }),
      after: t.arg({
        type: 'Cursor',
        description:
          'Go on behind this place; without it, from now on. Over server-sent events the header ' +
          '`Last-Event-ID` takes its place.',
      }),
    },
    subscribe: (_root, { filter, after }, ctx) =>
      watchMessages(ctx, { filter: parseFilter(filter), after: after ?? null }),
    resolve: ({ cursor, item, aside }) => {
      if (aside !== null) return { cursor, ...aside };
      return item === null ? { cursor } : { cursor, message: item };
    },
  }),
);
