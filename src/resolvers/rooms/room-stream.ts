import type { Context } from '#context.ts';
import { type FollowStream, follow } from '#feeds/follow.ts';
import { onEnd } from '#feeds/on-end.ts';
import { placeToResume } from '#feeds/resume.ts';
import { InvalidInputError } from '#lib/errors.ts';
import type { RoomSignal } from '#pubsub/topics/rooms.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { requireReadable, viewerMembership } from './access.ts';
import { type Admission, judgeEvent, withAdmissions } from './admit-event.ts';
import { isConnectionId } from './connection-id.ts';
import { ROOM_FEED, type RoomFeedItem } from './feed.ts';
import { isIn } from './membership.ts';
import { noSuchRoom } from './write-room.ts';

/** What is told beside the room's log. */
export type RoomAside = RoomSignal;

/**
 * What happens in a room, and beside it what is live only. Who is in the room is decided again for each thing,
 * after it was read. Who leaves is told of that last and hears nothing more: then the stream ends with
 * `NotFoundError`. Under KEPT who was in the room may replay what was there until then. Throws `NotFoundError`
 * alike for a room that is not there and for one that is not theirs, the cursor errors and `InvalidInputError`.
 */
export async function watchRoom(
  ctx: Context,
  input: {
    readonly roomId: string;
    readonly after: string | null;
    /** The viewer's own: what it sent is not told to it. */
    readonly connectionId: string | null;
  },
): Promise<FollowStream<RoomFeedItem, RoomAside>> {
  const { roomId, connectionId } = input;
  const { userId } = requireViewer(ctx);
  if (connectionId !== null && !isConnectionId(connectionId)) {
    throw new InvalidInputError('1 to 64 visible ASCII characters', 'connectionId');
  }
  await requireReadable(ctx, roomId);
  const leftPosition = (await viewerMembership(ctx, roomId))?.leftPosition ?? null;
  const after = placeToResume(ctx, input.after);
  if (leftPosition !== null) requireBefore(ctx, roomId, after, leftPosition);
  const head = await ctx.roomFeed.readHead(roomId);

  let admission: Admission | null = null;
  let isLast = false;
  const { reader, release } = ctx.roomFeed.hold(roomId, head);
  const signals = ctx.roomSignals.follow(roomId, { userId, connectionId });
  const leave = leftPosition === null ? ctx.presence.attend(userId) : () => {};
  const stop = () => {
    signals.stop();
    leave();
    release();
  };
  // Nothing can have changed since an item was read up to whose room's head this node knows of nothing.
  const isStale = ({ room }: RoomFeedItem) =>
    room.lastPosition < head.head || room.lastPosition < reader.position;

  try {
    // Whoever has had a first item misses no signal from then on.
    await signals.opened;
    const stream = await follow(ctx.roomFeed, roomId, {
      after,
      accept: async (item) => {
        const judgement = await judgeEvent(ctx, item, isStale(item));
        if (judgement.verdict === 'OVER') throw noSuchRoom();
        admission = judgement.admission;
        isLast = judgement.verdict === 'LAST';
        return admission !== null;
      },
      asides: signals,
      acceptAside: async (signal) => {
        const current = await ctx.refresh();
        admission = { ctx: current, event: null };
        if (!isIn(await viewerMembership(current, roomId))) return false;
        // Of an account, and not of the room: it may have left it.
        return signal.type !== 'PRESENCE' || isIn(await ctx.loadMembership(roomId, signal.userId));
      },
    });
    // The head at which the stream begins may be from after they left: then it begins for nobody.
    if (leftPosition === null && !isIn(await ctx.loadMembership(roomId, userId))) {
      await stream.return();
      throw noSuchRoom();
    }
    return onEnd(
      withAdmissions(
        stream,
        () => admission,
        () => isLast,
      ),
      stop,
    );
  } catch (error) {
    stop();
    throw error;
  }
}

/** For who has left, nothing follows after their leaving: they would wait for nothing. */
function requireBefore(
  ctx: Context,
  roomId: string,
  after: string | null,
  leftPosition: bigint,
): void {
  if (after === null) throw noSuchRoom();
  const place = ctx.roomFeed.cursors.decode(after, { feed: ROOM_FEED, key: roomId });
  if (place.position >= leftPosition) throw noSuchRoom();
}
