/** The two ends of what a feed can replay for a key. Positions run gapless from `pruned` + 1 to `head`. */
export interface FeedHead {
  readonly epoch: string;
  readonly head: bigint;
  /** The last position that retention removed; 0 when nothing was. */
  readonly pruned: bigint;
}

export interface FeedPage {
  readonly key: string;
  readonly epoch: string;
  readonly after: bigint;
  readonly limit: number;
}

/**
 * A topic plus the table that replays it. The table is the truth: the topic only says, sooner than
 * the next look would, that a key's head has moved.
 */
export interface Feed<Item> {
  readonly name: string;
  /** One query for all keys. A key without a row is absent from the answer. */
  readHeads(keys: readonly string[]): Promise<ReadonlyMap<string, FeedHead>>;
  /**
   * Ascending from `after` + 1, at most `limit`, without a hole. Empty, by the same statement, when
   * the feed has another epoch: its rows would pass for the ones that should follow.
   */
  readPage(page: FeedPage): Promise<readonly Item[]>;
  positionOf(item: Item): bigint;
  /** Roughly what an item holds in memory; queues are bounded by the sum. */
  bytesOf(item: Item): number;
}
