import type { Context } from '#context.ts';
import { judgePlace } from '#feeds/cursor.ts';
import { withContext } from '#feeds/entry-context.ts';
import { type FollowStream, follow } from '#feeds/follow.ts';
import { onEnd } from '#feeds/on-end.ts';
import { placeToResume } from '#feeds/resume.ts';
import type { WebhookMessage } from '#generated/prisma/client.ts';
import { decodeUtf8, parsePayload } from '#lib/body-text.ts';
import { type PageArguments, parsePage } from '#lib/page.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { awaitDecision } from './access.ts';
import { bodyLoader } from './body.ts';
import { WEBHOOK_FEED, WEBHOOK_FEED_KEY, type WebhookFeedItem } from './feed.ts';
import {
  type GivenWebhookFilter,
  matchesFilter,
  matchesLane,
  type WebhookFilter,
} from './filter.ts';
import type { PermissionChange } from './permissions/news.ts';
import { findReadablePositions } from './readable-page.ts';
import { resolveFilter } from './saved-filter.ts';

/** A page is cut, and says that more follows, where its bodies together pass this. */
const PAGE_BYTES_MAX = 32 * 2 ** 20;

export interface MessagePage<Message> {
  readonly messages: readonly Message[];
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  /** The feed's head from before the page was read: following from it misses and repeats nothing. */
  readonly followPosition: bigint;
  /** Signed only when somebody asks: most readers of a page want few of its cursors. */
  readonly cursorAt: (position: bigint) => string;
}

/** What Pothos found selected; it has no type for one model's selection. */
type Selection = Record<never, never>;

/**
 * Messages in the order of the feed, ascending; without bounds the newest 20. What the viewer may not
 * see is left out by the statement that reads. Throws the cursor errors and `InvalidInputError`.
 */
export async function listMessages(
  ctx: Context,
  input: { readonly filter: GivenWebhookFilter; readonly page: PageArguments },
  selection: Selection,
): Promise<MessagePage<WebhookMessage>> {
  requireViewer(ctx);
  const { page } = input;
  const filter = await resolveFilter(ctx, input.filter, { takesStates: true });
  const { size, direction } = parsePage(page, 'backward');
  const head = await ctx.webhookFeed.readHead(WEBHOOK_FEED_KEY);
  const place = (cursor: string) => {
    const decoded = ctx.webhookFeed.cursors.decode(cursor, {
      feed: WEBHOOK_FEED,
      key: WEBHOOK_FEED_KEY,
    });
    const fault = judgePlace(ctx.webhookFeed.cursors, decoded, head);
    if (fault !== null) throw fault;
    return decoded.position;
  };
  const cursorAt = (position: bigint) => cursorOf(ctx, head.epoch, position);
  // What came after the head was read belongs to whoever follows from it.
  const before = page.before != null ? place(page.before) : head.head + 1n;
  const after = page.after != null ? place(page.after) : 0n;
  const positions = await findReadablePositions(ctx, {
    filter,
    after,
    before,
    direction,
    limit: size + 1,
  });
  const rows = await ctx.prisma.webhookMessage.findMany({
    ...selection,
    where: { position: { in: positions } },
    orderBy: { position: direction === 'forward' ? 'asc' : 'desc' },
  });
  const fitting = rows.slice(0, Math.min(size, countFitting(rows)));
  const hasMore = fitting.length < rows.length;
  if (direction === 'backward') fitting.reverse();
  return {
    messages: fitting,
    hasNextPage: direction === 'forward' ? hasMore : page.before != null,
    hasPreviousPage: direction === 'forward' ? page.after != null : hasMore,
    followPosition: head.head,
    cursorAt,
  };
}

/** How many of the rows, from the first, have bodies that fit a page; at least one. */
function countFitting(rows: readonly { readonly byteSize: number }[]): number {
  let bytes = 0;
  const over = rows.findIndex(({ byteSize }, index) => {
    bytes += byteSize;
    return index > 0 && bytes > PAGE_BYTES_MAX;
  });
  return over === -1 ? rows.length : over;
}

/**
 * What the viewer may see of the feed as it arrives: after `after`, or from the head. The token and
 * what it may read are decided again for every message, so a revocation holds from the next one on; a token
 * that no longer counts ends the stream with `UnauthenticatedError`. Where GitHub is to be asked, the stream
 * waits for it, and ends with `UnavailableError` after a minute rather than skip anything.
 */
export async function watchMessages(
  ctx: Context,
  input: { readonly filter: GivenWebhookFilter; readonly after: string | null },
): Promise<FollowStream<WebhookFeedItem, PermissionChange>> {
  const { userId } = requireViewer(ctx);
  const filter = await resolveFilter(ctx, input.filter);
  let admitted: Context | null = null;
  const refreshed = async () => {
    admitted = await ctx.refresh();
    return admitted;
  };
  const changes = ctx.permissionNews.follow(userId, (change) => isOfRepository(filter, change));
  const release = ctx.permissions.follow(userId);
  let isOver = false;
  const stop = () => {
    isOver = true;
    changes.stop();
    release();
  };
  try {
    const stream = await follow(ctx.webhookFeed, WEBHOOK_FEED_KEY, {
      after: placeToResume(ctx, input.after),
      accept: async (item) => {
        // Permission before whatever the filter says of the message itself: a wait for GitHub would tell of it.
        if (!matchesLane(item, filter)) return false;
        const { permission, isMuted } = await awaitDecision(refreshed, item, () => isOver);
        return permission === 'ALLOWED' && !isMuted && matchesFilter(ctx, item, filter);
      },
      asides: changes,
    });
    return withContext(onEnd(stream, stop), () => admitted);
  } catch (error) {
    stop();
    throw error;
  }
}

function isOfRepository(filter: WebhookFilter, { repositoryId }: PermissionChange): boolean {
  return filter.repositoryIds?.includes(repositoryId) ?? true;
}

/** The message's place in the feed. */
export async function cursorOfMessage(
  ctx: Context,
  message: { readonly position: bigint },
): Promise<string> {
  const { epoch } = await ctx.webhookFeed.readHead(WEBHOOK_FEED_KEY);
  return cursorOf(ctx, epoch, message.position);
}

function cursorOf(ctx: Context, epoch: string, position: bigint): string {
  return ctx.webhookFeed.cursors.encode({
    feed: WEBHOOK_FEED,
    key: WEBHOOK_FEED_KEY,
    epoch,
    position,
  });
}

/** The parsed JSON of the body; null where it has none or does not parse. */
export async function readPayload(
  ctx: Context,
  message: { readonly id: string; readonly contentType: string | null },
): Promise<unknown> {
  return parsePayload(message.contentType, await bodyLoader(ctx).load(message.id)) ?? null;
}

/** The untouched bytes: as text, null where they are not UTF-8, or in base64, always exact. */
export async function readRawBody(
  ctx: Context,
  message: { readonly id: string },
  encoding: 'UTF8' | 'BASE64',
): Promise<string | null> {
  const body = await bodyLoader(ctx).load(message.id);
  return encoding === 'UTF8' ? decodeUtf8(body) : Buffer.from(body).toString('base64');
}
