import { DomainError } from '#lib/errors.ts';
import type { Feed, FeedHead } from './feed.ts';

const PAGE_ITEMS = 500;
const RING_BYTES_MAX = 1 << 20;

/** A follower as its key's reader sees it: somebody at a position who takes what comes next. */
export interface Member<Item> {
  take(item: Item, position: bigint): void;
  /** Look again: the reader has failed. */
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
  /** What follows `after`: from the ring, else a page of the table that equal calls share. */
  readAfter(after: bigint): Promise<readonly Item[]>;
  /** What follows `after` when the ring still holds all of it, without waiting; else null. */
  recentAfter(after: bigint): readonly Item[] | null;
}

export interface KeyReaderOptions<Item> {
  readonly feed: Feed<Item>;
  readonly key: string;
  readonly start: FeedHead;
  /** Called when the table has not what should follow `after`; says what that means. */
  readonly explainGap: (after: bigint) => Promise<Error>;
  readonly onError: (error: unknown) => void;
}

export function createKeyReader<Item>(options: KeyReaderOptions<Item>): KeyReader<Item> {
  const { feed, key, start, explainGap, onError } = options;
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
    while (ringBytes > RING_BYTES_MAX && ring.length > 1) {
      const oldest = ring.shift();
      if (oldest !== undefined) ringBytes -= feed.bytesOf(oldest);
    }
    for (const member of [...members]) member.take(item, position);
  };

  const readPage = async (after: bigint) => {
    const page = await feed.readPage(key, after, PAGE_ITEMS);
    if (!isContiguous(feed, after, page)) throw await explainGap(after);
    return page;
  };

  const readPageOnce = (after: bigint) => {
    const known = pagesUnderWay.get(after);
    if (known !== undefined) return known;
    const page = readPage(after).finally(() => pagesUnderWay.delete(after));
    pagesUnderWay.set(after, page);
    return page;
  };

  const fail = (error: Error) => {
    failure ??= error;
    for (const member of [...members]) member.wake();
  };

  const recentAfter = (after: bigint) => {
    if (after >= position) return [];
    const first = ring[0];
    if (first === undefined || feed.positionOf(first) > after + 1n) return null;
    return ring.slice(Number(after + 1n - feed.positionOf(first)));
  };

  const advance = async () => {
    try {
      while (position < target) for (const item of await readPageOnce(position)) deliver(item);
    } catch (error) {
      if (error instanceof DomainError) fail(error);
      onError(error);
    } finally {
      advancing = false;
    }
  };

  return {
    epoch: start.epoch,
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

/** An empty page is a gap too: pages are only asked for below the head. */
function isContiguous<Item>(feed: Feed<Item>, after: bigint, items: readonly Item[]): boolean {
  return (
    items.length > 0 &&
    items.every((item, index) => feed.positionOf(item) === after + BigInt(index) + 1n)
  );
}
