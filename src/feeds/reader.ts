import { CursorExpiredError, FeedResetError, UnavailableError } from '#lib/errors.ts';
import { type CursorCodec, judgePlace } from './cursor.ts';
import type { Feed, FeedHead } from './feed.ts';

/** A follower as its key's reader sees it: somebody at a position who takes what comes next. */
export interface Member<Item> {
  take(item: Item, position: bigint): void;
  /** Look again: the reader has failed, or let everybody go. */
  wake(): void;
}

/**
 * One key of a feed on this node. It reads each row once, in order, for everybody who is level with
 * it, and keeps the latest in a ring for those who are nearly so.
 *
 * News on the bus, the look at the heads each second and a gap all end in the same call, `advanceTo`,
 * which reads the table from where it stands. So a lost, late, repeated or reordered entry on the bus
 * can cost time but never an item.
 */
export interface KeyReader<Item> {
  readonly epoch: string;
  /** Everything up to here was given to the members. */
  readonly position: bigint;
  readonly members: Set<Member<Item>>;
  /** Why nothing follows any more; null while all is well. */
  readonly failure: Error | null;
  /** Reads on if the head is ahead; calls made meanwhile only raise the target. */
  advanceTo(head: bigint): void;
  /** Ends the members: this is not the feed they were following any more. */
  fail(error: Error): void;
  /**
   * What follows `after`, which is behind the position: from the ring, else a page of the table that
   * equal calls share. Throws `UnavailableError` when the table is away.
   */
  readAfter(after: bigint): Promise<readonly Item[]>;
  /** What follows `after` when the ring still holds all of it, without waiting; else null. */
  recentAfter(after: bigint): readonly Item[] | null;
}

export interface KeyReaderOptions<Item> {
  readonly feed: Feed<Item>;
  readonly key: string;
  readonly start: FeedHead;
  readonly cursors: CursorCodec;
  readonly readHead: () => Promise<FeedHead>;
  readonly pageItems: number;
  readonly ringBytesMax: number;
  readonly onError: (error: unknown) => void;
}

/** A page of the table, or why nothing can follow. */
type Look<Item> =
  | { readonly items: readonly Item[] }
  | { readonly fault: CursorExpiredError | FeedResetError; readonly head: FeedHead };

export function createKeyReader<Item>(options: KeyReaderOptions<Item>): KeyReader<Item> {
  const { feed, key, start, onError } = options;
  const { epoch } = start;
  const members = new Set<Member<Item>>();
  const ring: Item[] = [];
  const pagesUnderWay = new Map<bigint, Promise<readonly Item[]>>();
  let ringBytes = 0;
  let position = start.head;
  let target = start.head;
  let advancing = false;
  let failure: Error | null = null;

  const deliver = (item: Item) => {
    position = feed.positionOf(item);
    ring.push(item);
    ringBytes += feed.bytesOf(item);
    while (ringBytes > options.ringBytesMax && ring.length > 1) {
      const oldest = ring.shift();
      if (oldest !== undefined) ringBytes -= feed.bytesOf(oldest);
    }
    for (const member of [...members]) member.take(item, position);
  };

  /** No items when nothing follows yet: the news was ahead of the table. */
  const readPage = async (after: bigint): Promise<Look<Item>> => {
    let isPromised = false;
    for (;;) {
      const items = await feed.readPage({ key, epoch, after, limit: options.pageItems });
      if (isContiguous(feed, after, items)) return { items };
      const head = await options.readHead();
      const place = { feed: feed.name, key, epoch, position: after };
      const fault = judgePlace(options.cursors, place, head);
      if (fault !== null) return { fault, head };
      if (head.head === after) return { items: [] };
      // The head was read after the page: only what is still not there the second time is a hole.
      if (isPromised) return { fault: holeAfter(feed.name, after, head), head };
      isPromised = true;
    }
  };

  const readPageOnce = (after: bigint) => {
    const known = pagesUnderWay.get(after);
    if (known !== undefined) return known;
    const page = readPage(after)
      .then((look) => {
        if ('fault' in look) throw look.fault;
        if (look.items.length > 0) return look.items;
        throw new FeedResetError('The feed has gone back behind what was read of it');
      })
      .finally(() => pagesUnderWay.delete(after));
    pagesUnderWay.set(after, page);
    return page;
  };

  const fail = (error: Error) => {
    failure ??= error;
    for (const member of [...members]) member.wake();
  };

  /** Only the reader is late, perhaps: members that are further lose nothing, and each looks for itself. */
  const skipTo = (pruned: bigint) => {
    position = pruned;
    ring.length = 0;
    ringBytes = 0;
    const left = [...members];
    members.clear();
    for (const member of left) member.wake();
  };

  const recentAfter = (after: bigint) => {
    if (after >= position) return [];
    const first = ring[0];
    if (first === undefined || feed.positionOf(first) > after + 1n) return null;
    return ring.slice(Number(after + 1n - feed.positionOf(first)));
  };

  const advance = async () => {
    try {
      while (position < target && failure === null) {
        const aimedAt = target;
        const look = await readPage(position);
        if ('items' in look) {
          for (const item of look.items) deliver(item);
          if (look.items.length === 0 && target === aimedAt) target = position;
        } else if (look.fault instanceof CursorExpiredError) skipTo(look.head.pruned);
        else fail(look.fault);
      }
    } catch (error) {
      onError(error);
      // What passes is tried again at the next look; anything else must not leave them waiting.
      if (!(error instanceof UnavailableError))
        fail(error instanceof Error ? error : new Error(String(error)));
    } finally {
      advancing = false;
    }
  };

  return {
    epoch,
    get position() {
      return position;
    },
    members,
    get failure() {
      return failure;
    },
    advanceTo(head) {
      if (head > target) target = head;
      if (position >= target || advancing) return;
      advancing = true;
      void advance();
    },
    fail,
    recentAfter,
    readAfter: async (after) => recentAfter(after) ?? (await readPageOnce(after)),
  };
}

function isContiguous<Item>(feed: Feed<Item>, after: bigint, items: readonly Item[]): boolean {
  return (
    items.length > 0 &&
    items.every((item, index) => feed.positionOf(item) === after + BigInt(index) + 1n)
  );
}

function holeAfter(name: string, after: bigint, { head }: FeedHead): FeedResetError {
  const cause = new Error(`Feed ${name} has no row after ${after}, and its head is ${head}`);
  return new FeedResetError('The feed has lost what follows this place: read it afresh', { cause });
}
