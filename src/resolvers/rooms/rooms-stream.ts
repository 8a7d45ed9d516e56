import type { Context } from '#context.ts';
import { type FollowStream, follow } from '#feeds/follow.ts';
import { onEnd } from '#feeds/on-end.ts';
import { placeToResume } from '#feeds/resume.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import { viewerMembership } from './access.ts';
import { type Admission, judgeEvent, withAdmissions } from './admit-event.ts';
import type { RoomFeedItem } from './feed.ts';
import { isIn } from './membership.ts';
import { ROOMS_FEED, ROOMS_FEED_KEY } from './rooms-feed.ts';

/** Of a room in which the viewer's own read marker moved. */
export interface RoomRead {
  readonly roomId: string;
}

/** Where `watchRooms` goes on behind all that was taken up until now. */
export async function readRoomsCursor({ roomsFeed }: Context): Promise<string> {
  const { epoch, head } = await roomsFeed.readHead(ROOMS_FEED_KEY);
  const place = { feed: ROOMS_FEED, key: ROOMS_FEED_KEY, epoch, position: head };
  return roomsFeed.cursors.encode(place);
}

/**
 * What happens in all of the viewer's rooms: everything positioned of a room while they were in it, which they may
 * still read when it is handed out; of a room that they left nothing more than that. Throws the cursor errors.
 */
export async function watchRooms(
  ctx: Context,
  input: { readonly after: string | null },
): Promise<FollowStream<RoomFeedItem, RoomRead>> {
  const { userId } = requireViewer(ctx);
  let admission: Admission | null = null;
  const reads = ctx.roomSignals.followUser(userId);
  const leave = ctx.presence.attend(userId);
  const stop = () => {
    reads.stop();
    leave();
  };
  try {
    // Whoever has had a first item misses no marker from then on.
    await reads.opened;
    const stream = await follow(ctx.roomsFeed, ROOMS_FEED_KEY, {
      after: placeToResume(ctx, input.after),
      // All that most followers do for most changes: nothing is asked for them.
      concerns: ({ members }) => members.has(userId),
      accept: async ({ event }) => {
        if (event === null) return false;
        // Another room's change says nothing of this one: how old what was read is, is not known.
        admission = (await judgeEvent(ctx, event, true)).admission;
        return admission !== null;
      },
      asides: reads,
      acceptAside: async ({ roomId }) => {
        const current = await ctx.refresh();
        admission = { ctx: current, event: null };
        return isIn(await viewerMembership(current, roomId));
      },
    });
    return onEnd(
      withAdmissions(stream, () => admission),
      stop,
    );
  } catch (error) {
    stop();
    throw error;
  }
}
