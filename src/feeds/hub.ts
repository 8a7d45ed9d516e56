import { FeedResetError, UnavailableError } from '#lib/errors.ts';
import type { Bus, Subscription } from '#pubsub/bus.ts';
import type { Topic } from '#pubsub/topic.ts';
import { type FeedClock, systemClock } from './clock.ts';
import type { CursorCodec } from './cursor.ts';
import type { Feed, FeedHead } from './feed.ts';
import { createKeyReader, type KeyReader } from './reader.ts';

/** What a feed's topic carries: the position that the key's head has reached. */
export interface FeedNews {
  readonly position: string;
}

export interface FeedHub<Item> {
  readonly feed: Feed<Item>;
  readonly cursors: CursorCodec;
  readonly clock: FeedClock;
  readonly onError: (error: unknown) => void;
  readonly checkpointMs: number;
  readonly queueBytesMax: number;
  /** What the table says now; callers in the same turn share one query. Throws when unreachable. */
  readHead(key: string): Promise<FeedHead>;
  /**
   * Holds the key's reader until `release`; the last one to leave frees it and the bus's tail. Throws
   * `UnavailableError` once the hub is closed.
   */
  hold(key: string, head: FeedHead): { readonly reader: KeyReader<Item>; release(): void };
  /** Tells followers on this node that the key's head has moved, sooner than the bus will. */
  notice(key: string, head: bigint): void;
  /** Notices that the key's head moves, from before the returned promise resolved until `stop`. */
  watch(key: string): Promise<HeadWatch>;
  /** Called each `headCheckMs` while somebody follows: how streams notice that time passes. */
  onTick(listener: () => void): () => void;
  /** Followed keys, for tests and metrics. */
  readonly size: number;
  close(): Promise<void>;
}

export interface HeadWatch {
  /** Resolves when the head has moved since the last call, or after `timeoutMs`. */
  changed(timeoutMs: number): Promise<void>;
  stop(): void;
}

export interface FeedHubOptions<Item> {
  readonly feed: Feed<Item>;
  readonly topic: Topic<FeedNews>;
  readonly bus: Pick<Bus, 'tail'>;
  readonly cursors: CursorCodec;
  readonly onError: (error: unknown) => void;
  readonly headCheckMs?: number;
  readonly checkpointMs?: number;
  readonly queueBytesMax?: number;
  /** Rows read from the table at once. */
  readonly pageItems?: number;
  /** What a key's reader keeps of the newest items, for those who are nearly level. */
  readonly ringBytesMax?: number;
  readonly clock?: FeedClock;
}

interface Held<Item> {
  readonly reader: KeyReader<Item>;
  holders: number;
}

/** One a feed and node: followers of one key share one reader, all keys share one tail of the bus. */
export function createFeedHub<Item>(options: FeedHubOptions<Item>): FeedHub<Item> {
  const { feed, topic, bus, onError, headCheckMs = 1_000, clock = systemClock } = options;
  const held = new Map<string, Held<Item>>();
  const listeners = new Set<() => void>();
  let stopTicking: (() => void) | null = null;
  let closed = false;
  let checking = false;
  let tail: Promise<Subscription | null> | null = null;
  let headsUnderWay: { keys: Set<string>; answer: Promise<ReadonlyMap<string, FeedHead>> } | null =
    null;

  const openTail = () => {
    if (tail !== null) return;
    const opening: Promise<Subscription | null> = bus
      .tail(topic, {
        from: 'head',
        onEntry: (entry) => held.get(entry.key)?.reader.advanceTo(BigInt(entry.payload.position)),
        onLoss: () => void checkHeads(),
      })
      .catch((error: unknown) => {
        // The look at the heads carries the followers until the bus is back.
        if (tail === opening) tail = null;
        onError(error);
        return null;
      });
    tail = opening;
  };

  const closeTail = async () => {
    const closing = tail;
    tail = null;
    await (await closing)?.close();
  };

  const checkHeads = async () => {
    if (checking || held.size === 0) return;
    checking = true;
    try {
      // Positions from before the query: readers may run past its answer while it is under way.
      const before = [...held].map(([key, entry]) => ({
        key,
        entry,
        position: entry.reader.position,
      }));
      const heads = await feed.readHeads(before.map(({ key }) => key));
      for (const { key, entry, position } of before) {
        const head = heads.get(key);
        const isSame = head?.epoch === entry.reader.epoch && position <= head.head;
        // What has expired the reader finds out itself: it may have read that before it went.
        if (isSame) entry.reader.advanceTo(head.head);
        else entry.reader.fail(wasReset());
      }
    } catch (error) {
      onError(error);
    } finally {
      checking = false;
    }
  };

  const readHead = async (key: string) => {
    if (headsUnderWay === null) {
      const keys = new Set<string>();
      const answer = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        headsUnderWay = null;
        return feed.readHeads([...keys]);
      });
      headsUnderWay = { keys, answer };
    }
    headsUnderWay.keys.add(key);
    const head = (await headsUnderWay.answer).get(key);
    if (head === undefined) throw new Error(`Feed ${feed.name} has no key ${JSON.stringify(key)}`);
    return head;
  };

  const createHeld = (key: string, head: FeedHead): Held<Item> => {
    const reader = createKeyReader({
      feed,
      key,
      start: head,
      cursors: options.cursors,
      readHead: () => readHead(key),
      pageItems: options.pageItems ?? 500,
      ringBytesMax: options.ringBytesMax ?? 1 << 20,
      onError,
    });
    return { reader, holders: 0 };
  };

  const tick = () => {
    openTail();
    void checkHeads();
    for (const listener of [...listeners]) listener();
  };

  const stopIfIdle = () => {
    if (held.size > 0) return;
    stopTicking?.();
    stopTicking = null;
    closeTail().catch(onError);
  };

  const hub: FeedHub<Item> = {
    feed,
    cursors: options.cursors,
    clock,
    onError,
    checkpointMs: options.checkpointMs ?? 30_000,
    queueBytesMax: options.queueBytesMax ?? 1 << 20,

    readHead,

    hold(key, head) {
      if (closed) throw stopping();
      let entry = held.get(key);
      // Of two epochs one is past, and nobody knows which: who follows the other is told to start over.
      if (entry !== undefined && entry.reader.epoch !== head.epoch) entry.reader.fail(wasReset());
      // A failed reader stays with those it failed; a caller who comes later starts from what is now.
      if (entry?.reader.failure !== null) entry = createHeld(key, head);
      const mine = entry;
      held.set(key, mine);
      mine.holders += 1;
      stopTicking ??= clock.every(headCheckMs, tick);
      openTail();
      mine.reader.advanceTo(head.head);
      let released = false;
      return {
        reader: mine.reader,
        release() {
          if (released) return;
          released = true;
          mine.holders -= 1;
          if (mine.holders > 0) return;
          if (held.get(key) === mine) held.delete(key);
          stopIfIdle();
        },
      };
    },

    notice: (key, position) => held.get(key)?.reader.advanceTo(position),

    async watch(key) {
      const { reader, release } = hub.hold(key, await readHead(key));
      let hasMoved = false;
      let wake: (() => void) | null = null;
      const notice = () => {
        hasMoved = true;
        wake?.();
      };
      const member = {
        take: notice,
        wake() {
          reader.members.add(member);
          notice();
        },
      };
      reader.members.add(member);
      return {
        async changed(timeoutMs) {
          if (!hasMoved) {
            await new Promise<void>((resolve) => {
              const timer = setTimeout(resolve, timeoutMs);
              wake = () => {
                clearTimeout(timer);
                resolve();
              };
            });
          }
          wake = null;
          hasMoved = false;
        },
        stop() {
          reader.members.delete(member);
          release();
        },
      };
    },

    onTick(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    get size() {
      return held.size;
    },

    async close() {
      closed = true;
      const followed = [...held.values()];
      held.clear();
      for (const { reader } of followed) reader.fail(stopping());
      stopTicking?.();
      stopTicking = null;
      // Who waits for the next tick would wait for ever.
      for (const listener of [...listeners]) listener();
      await closeTail();
    },
  };
  return hub;
}

function wasReset(): FeedResetError {
  return new FeedResetError('The feed was rebuilt since this place in it: read it afresh');
}

function stopping(): UnavailableError {
  return new UnavailableError('This node is stopping: follow again from the last cursor');
}
