import { UnavailableError } from '#lib/errors.ts';
import { judgePlace } from './cursor.ts';
import type { FeedHead } from './feed.ts';
import type { FeedHub } from './hub.ts';

/**
 * Resume after `cursor` with this. Without an item it is a checkpoint, time passed and nothing was lost, or an
 * aside: something that the feed does not hold, and that is never replayed.
 */
export interface Followed<Item, Aside = never> {
  readonly cursor: string;
  readonly item: Item | null;
  readonly aside: Aside | null;
}

/** What waits to be told beside the feed. */
export interface Asides<Aside> {
  readonly isEmpty: () => boolean;
  readonly take: () => Aside | null;
  /** Calls back when there is one, until the returned function is called; without it they wait up to a second. */
  readonly listen?: (wake: () => void) => () => void;
}

export interface FollowOptions<Item, Aside = never> {
  /** Where the caller got to; null starts at the head. */
  readonly after: string | null;
  /** Asked first, and where items come: what does not concern the caller neither wakes it nor waits for it. */
  readonly concerns?: (item: Item) => boolean;
  /** Permission and filters, asked for every item just before it would be handed out. */
  readonly accept: (item: Item) => Promise<boolean>;
  /** Told as they come, between items. */
  readonly asides?: Asides<Aside>;
  /**
   * Permission, asked for every aside just before it would be handed out; without it all are. Where it cannot be
   * asked for, the aside is left out: nothing of the feed may end for it.
   */
  readonly acceptAside?: (aside: Aside) => Promise<boolean>;
}

/** Owns what it holds: `return` frees it at once, also while a `next` is waiting. */
export interface FollowStream<Item, Aside = never> {
  next(): Promise<IteratorResult<Followed<Item, Aside>, undefined>>;
  return(): Promise<IteratorReturnResult<undefined>>;
  [Symbol.asyncIterator](): FollowStream<Item, Aside>;
}

/**
 * Every item after `after`, in order, once, replayed and then live, without a seam: the contiguous
 * sequence that `accept` lets through, or an error that ends the stream (`CursorInvalidError`,
 * `CursorExpiredError`, `FeedResetError`). The first item is a checkpoint, and another follows
 * whenever nothing was handed out for `checkpointMs`, so that a quiet follower's cursor stays fresh.
 */
export async function follow<Item, Aside = never>(
  hub: FeedHub<Item>,
  key: string,
  options: FollowOptions<Item, Aside>,
): Promise<FollowStream<Item, Aside>> {
  type Next = IteratorResult<Followed<Item, Aside>, undefined>;
  const { accept, asides, acceptAside, concerns } = options;
  const head = await hub.readHead(key);
  const start = startOf(hub, key, head, options.after);
  const follower = createFollower(hub, key, head, start, { concerns, listen: asides?.listen });
  let position = start;
  let handedOutAt = Number.NEGATIVE_INFINITY;
  /** Asides and items take turns, so that neither keeps the other waiting for ever. */
  let isItemsTurn = false;
  let pending: Promise<Next> = Promise.resolve(done());

  const handOut = (item: Item | null, aside: Aside | null = null): Next => {
    // Left while `accept` was asked.
    if (follower.isClosed()) return done();
    handedOutAt = hub.clock.now();
    const cursor = hub.cursors.encode({ feed: hub.feed.name, key, epoch: head.epoch, position });
    return { done: false, value: { cursor, item, aside } };
  };

  const mayTell = async (aside: Aside): Promise<boolean> => {
    try {
      return acceptAside === undefined || (await acceptAside(aside));
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      hub.onError(error);
      return false;
    }
  };

  const pull = async (): Promise<Next> => {
    if (handedOutAt === Number.NEGATIVE_INFINITY) return handOut(null);
    for (;;) {
      const hasAside = () => asides?.isEmpty() === false;
      const isDue = () => hub.clock.now() - handedOutAt >= hub.checkpointMs;
      if (hasAside() && !(isItemsTurn && follower.isReady())) {
        isItemsTurn = true;
        const aside = asides?.take() ?? null;
        if (aside !== null && (await mayTell(aside))) return handOut(null, aside);
        continue;
      }
      const next = await follower.next(() => hasAside() || isDue());
      isItemsTurn = false;
      if (next === 'closed') return done();
      if (next === 'due') {
        position = follower.passed;
        if (hasAside()) continue;
        return handOut(null);
      }
      position = hub.feed.positionOf(next);
      if (await accept(next)) return handOut(next);
      if (isDue()) return handOut(null);
    }
  };

  const stream: FollowStream<Item, Aside> = {
    // Calls are answered one after another, so that nothing overtakes a slow `accept`.
    next() {
      pending = pending.catch(done).then(async () => {
        if (follower.isClosed()) return done();
        try {
          return await pull();
        } catch (error) {
          follower.close();
          throw error;
        }
      });
      return pending;
    },
    async return() {
      follower.close();
      return done();
    },
    [Symbol.asyncIterator]: () => stream,
  };
  return stream;
}

function done(): IteratorReturnResult<undefined> {
  return { done: true, value: undefined };
}

function startOf<Item>(
  hub: FeedHub<Item>,
  key: string,
  head: FeedHead,
  after: string | null,
): bigint {
  if (after === null) return head.head;
  const feed = hub.feed.name;
  const place = hub.cursors.decode(after, { feed, key });
  const fault = judgePlace(hub.cursors, place, head);
  if (fault !== null) throw fault;
  return place.position;
}

interface Follower<Item> {
  /** The next item; `due` once `isDue()` and nothing came; `closed` after `close`. */
  next(isDue: () => boolean): Promise<Item | 'due' | 'closed'>;
  /** With the latest `due`: up to here nothing waited. */
  readonly passed: bigint;
  isClosed(): boolean;
  /** Whether there is, or may be, something to hand out without waiting for it to happen. */
  isReady(): boolean;
  close(): void;
}

/**
 * Level with the reader, it is handed items into a queue. When the queue is full it leaves the
 * others, keeps its position, and once drained reads on by itself until it is level again. It joins
 * in the same turn in which it finds itself level, so nothing fits between.
 */
function createFollower<Item>(
  hub: FeedHub<Item>,
  key: string,
  head: FeedHead,
  start: bigint,
  {
    concerns,
    listen,
  }: {
    readonly concerns: FollowOptions<Item>['concerns'];
    readonly listen: Asides<unknown>['listen'];
  },
): Follower<Item> {
  const { feed } = hub;
  const { reader, release } = hub.hold(key, head);
  const queue: Item[] = [];
  let queueBytes = 0;
  let position = start;
  let passed = start;
  let closed = false;
  let wake: (() => void) | null = null;

  const enqueue = (item: Item, at: bigint): boolean => {
    position = at;
    if (concerns?.(item) === false) return false;
    queue.push(item);
    queueBytes += feed.bytesOf(item);
    return true;
  };

  const member = {
    take(item: Item, at: bigint) {
      if (at <= position || !enqueue(item, at)) return;
      if (queueBytes > hub.queueBytesMax) reader.members.delete(member);
      wake?.();
    },
    wake: () => wake?.(),
  };

  const close = () => {
    if (closed) return;
    closed = true;
    reader.members.delete(member);
    queue.length = 0;
    release();
    wake?.();
  };

  const nextQueued = () => {
    const item = queue.shift();
    if (item !== undefined) queueBytes -= feed.bytesOf(item);
    return item;
  };

  /**
   * One step: level with the reader by what its ring holds, else a page of the table further. False
   * when the table is away, which passes.
   */
  const catchUp = async (): Promise<boolean> => {
    const recent = reader.recentAfter(position);
    if (recent !== null) reader.members.add(member);
    try {
      for (const item of recent ?? (await reader.readAfter(position))) {
        const at = feed.positionOf(item);
        if (at > position && !closed) enqueue(item, at);
      }
      return true;
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      hub.onError(error);
      return false;
    }
  };

  /** Until something came, or a tick of the hub's clock at which it is time. */
  const wait = async (isTime: () => boolean) => {
    await new Promise<void>((resolve) => {
      const stopTicks = hub.onTick(() => {
        if (isTime()) wake?.();
      });
      const stopListening = listen?.(() => wake?.());
      wake = () => {
        wake = null;
        stopTicks();
        stopListening?.();
        resolve();
      };
    });
  };

  return {
    isClosed: () => closed,
    isReady: () => queue.length > 0 || !reader.members.has(member),
    close,
    get passed() {
      return passed;
    },
    async next(isDue) {
      for (;;) {
        if (closed) return 'closed';
        const item = nextQueued();
        if (item !== undefined) return item;
        if (reader.failure !== null) throw reader.failure;
        const isBehind = !reader.members.has(member);
        // Much that does not concern it may lie before what does: time passes meanwhile.
        if (isBehind && (await catchUp()) && (queue.length > 0 || !isDue())) continue;
        if (queue.length > 0) continue;
        if (isDue()) {
          passed = position;
          return 'due';
        }
        if (!closed) await wait(isBehind ? () => true : isDue);
      }
    },
  };
}
