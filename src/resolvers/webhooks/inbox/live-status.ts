// A user's counts as they change: a state and not a log, so that a stream of it has no place to resume at.
import type { Context } from '#context.ts';
import { UnavailableError } from '#lib/errors.ts';
import { requireViewer } from '#resolvers/users/access.ts';
import type { GivenWebhookFilter } from '#resolvers/webhooks/filter.ts';
import { resolveFilter } from '#resolvers/webhooks/saved-filter.ts';
import { inboxWatchOf } from './inbox-watch.ts';
import { countInbox, type InboxView } from './status.ts';

/** Owns what it holds: `return` frees it at once, also while a `next` is waiting. */
export interface InboxStream {
  next(): Promise<IteratorResult<InboxView, undefined>>;
  return(): Promise<IteratorReturnResult<undefined>>;
  [Symbol.asyncIterator](): InboxStream;
}

/**
 * The viewer's counts at once, and again whenever they differ: at most once a second, and at the latest
 * ten seconds after time alone has changed them. Ends with `UnauthenticatedError` when the viewer's
 * credential does. A saved filter counts as it was when the stream began.
 */
export async function watchInbox(ctx: Context, given: GivenWebhookFilter): Promise<InboxStream> {
  const { userId } = requireViewer(ctx);
  const filter = await resolveFilter(ctx, given);
  let told = '';
  let isClosed = false;
  const turn = createTurn();
  const unfollow = inboxWatchOf(ctx).follow(userId, turn.come);
  const release = ctx.permissions.follow(userId);
  turn.come();

  const close = () => {
    if (isClosed) return;
    isClosed = true;
    unfollow();
    release();
    turn.come();
  };

  /** Null where the counts are those told last, or PostgreSQL is away, which passes. */
  const findNews = async (): Promise<InboxView | null> => {
    try {
      const counts = await countInbox(await ctx.refresh(), filter);
      const text = JSON.stringify(counts);
      if (text === told) return null;
      told = text;
      return { ...counts, filter };
    } catch (error) {
      if (error instanceof UnavailableError) return null;
      throw error;
    }
  };

  const pull = async (): Promise<IteratorResult<InboxView, undefined>> => {
    while (!isClosed) {
      await turn.wait();
      const news = isClosed ? null : await findNews();
      if (news !== null && !isClosed) return { done: false, value: news };
    }
    return done();
  };

  let pending: Promise<IteratorResult<InboxView, undefined>> = Promise.resolve(done());
  const stream: InboxStream = {
    next() {
      pending = pending.catch(done).then(() =>
        pull().catch((error: unknown) => {
          close();
          throw error;
        }),
      );
      return pending;
    },
    async return() {
      close();
      return done();
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}

function done(): IteratorReturnResult<undefined> {
  return { done: true, value: undefined };
}

/** One who waits, and many who say that it is time: as often as it was said meanwhile, it is time once. */
function createTurn() {
  let isTime = false;
  let wake: (() => void) | null = null;
  return {
    come() {
      isTime = true;
      wake?.();
    },
    async wait(): Promise<void> {
      if (!isTime) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      wake = null;
      isTime = false;
    },
  };
}
