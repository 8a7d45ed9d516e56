import type { Context } from '#context.ts';
import { rememberContext } from '#feeds/entry-context.ts';
import type { FollowStream } from '#feeds/follow.ts';
import { viewerMembership } from './access.ts';
import type { RoomFeedItem } from './feed.ts';
import { covers, type Membership, readableRange } from './membership.ts';
import type { ChatMessage } from './message-row.ts';
import { findMessage } from './read-message.ts';
import { noSuchRoom, type RoomEventKind } from './write-room.ts';

/** What somebody may have now, as they may have it, and the context in which that was decided. */
export interface Admission {
  readonly ctx: Context;
  /** Null for what is beside the feed. */
  readonly event: RoomFeedItem | null;
}

/**
 * SHOWN; PASSED, for what is not theirs to read; LAST, by which they left the room; OVER, for what came after they
 * had left it.
 */
type Verdict = 'SHOWN' | 'PASSED' | 'LAST' | 'OVER';

export interface Judgement {
  readonly verdict: Verdict;
  /** Of SHOWN and LAST. */
  readonly admission: Admission | null;
}

/**
 * Decides with a fresh context, after all that will be shown was read: `event` by the feed, and where it may have
 * been read long ago (`isStale`) its message again, so that nothing deleted since comes out of a memory. Throws
 * `UnauthenticatedError` when the credential counts no more.
 */
export async function judgeEvent(
  ctx: Context,
  event: RoomFeedItem,
  isStale: boolean,
): Promise<Judgement> {
  const current = await ctx.refresh();
  const message = isStale ? await reread(current, event.message) : event.message;
  const membership = await viewerMembership(current, event.roomId);
  const verdict = judge(membership, { ...event, message });
  if (verdict === 'PASSED' || verdict === 'OVER') return { verdict, admission: null };
  const shown = { ...event, message };
  if ((membership?.leftPosition ?? null) === null) {
    return { verdict, admission: { ctx: current, event: shown } };
  }
  // For who has left it is as it was then: of what happened later it tells nothing.
  const asOf = message === null ? null : await findMessage(current, message.id);
  if (message !== null && asOf === null) return { verdict: 'PASSED', admission: null };
  const past = { ...shown, message: asOf, participant: null };
  return { verdict, admission: { ctx: current, event: past } };
}

const ABOUT_MESSAGES: ReadonlySet<RoomEventKind> = new Set([
  'MESSAGE_SENT',
  'MESSAGE_EDITED',
  'MESSAGE_DELETED',
  'REACTIONS_CHANGED',
]);

function judge(
  membership: Membership | undefined,
  { position, kind, message }: RoomFeedItem,
): Verdict {
  if (membership === undefined) return 'OVER';
  const { leftPosition } = membership;
  if (leftPosition !== null && position > leftPosition) return 'OVER';
  if (leftPosition === position) return 'LAST';
  const range = readableRange(membership);
  // What happens to a message concerns those who may read it.
  const isReadable = ABOUT_MESSAGES.has(kind) ? covers(range, message?.position ?? -1n) : true;
  return isReadable && covers(range, position) ? 'SHOWN' : 'PASSED';
}

async function reread(ctx: Context, message: ChatMessage | null): Promise<ChatMessage | null> {
  if (message === null || message.deletedAt !== null) return message;
  return (await ctx.loadMessage(message.id)) ?? null;
}

/**
 * The stream with what was admitted in the place of what came, each executed in the context in which it was. After
 * what `isLast` says was the last, it ends with `NotFoundError`.
 */
export function withAdmissions<Item, Aside>(
  stream: FollowStream<Item, Aside>,
  latest: () => Admission | null,
  isLast: () => boolean = () => false,
): FollowStream<RoomFeedItem, Aside> {
  const admitted: FollowStream<RoomFeedItem, Aside> = {
    async next() {
      if (isLast()) {
        await stream.return();
        throw noSuchRoom();
      }
      const next = await stream.next();
      if (next.done) return next;
      const { cursor, item, aside } = next.value;
      const admission = item === null && aside === null ? null : latest();
      const value = { cursor, item: item === null ? null : (admission?.event ?? null), aside };
      if (admission !== null) rememberContext(value, admission.ctx);
      return { done: false, value };
    },
    return: () => stream.return(),
    [Symbol.asyncIterator]: () => admitted,
  };
  return admitted;
}
