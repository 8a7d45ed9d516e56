import type { Topic } from './topic.ts';

/** Where an entry stands in its topic. A recreated stream starts again at 1 under a new incarnation. */
export interface Place {
  readonly incarnation: string;
  readonly sequence: bigint;
}

export interface Entry<Payload> {
  /** The publisher's id; publishing the same id again within the dedupe window (2 minutes) changes nothing. */
  readonly id: string;
  readonly key: string;
  readonly payload: Payload;
  /** Raw bytes that travel beside the payload, e.g. a webhook's untouched body. */
  readonly attachment: Uint8Array | null;
  readonly place: Place;
  readonly publishedAt: Date;
}

export interface PublishOptions {
  /** 1 to 128 visible ASCII characters. */
  readonly id: string;
  readonly attachment?: Uint8Array;
}

export interface TailOptions<Payload> {
  /** `head`: all that is published after the returned promise resolved, and perhaps what was published while it
   * was pending; a place: what follows it. */
  readonly from: 'head' | Place;
  /** Called in publish order, never concurrently with itself. Must not block: queue what takes time. */
  readonly onEntry: (entry: Entry<Payload>) => void;
  /** Entries after `after` are gone (purged, recreated, restored) or cannot be read: the reader goes on with
   * what is there. */
  readonly onLoss: (loss: { readonly after: Place; readonly reason: string }) => void;
}

export interface ConsumeOptions<Payload> {
  /** Distinguishes independent consumers of one topic; nodes with the same name share the work. A lower-case
   * word: it names things on the server. */
  readonly name: string;
  /** Must be idempotent by entry id: a batch is handed over again when the handler throws or dies. To throw
   * `UnavailableError` says that what the handler stands on is down, not that the entries are bad: it counts as
   * no attempt, and everything waits until it passes. */
  readonly handle: (batch: readonly Entry<Payload>[]) => Promise<void>;
  /** 100 without it; a bus may hand over fewer to bound the bytes. */
  readonly batchMax?: number;
  /** 10 without it, about two minutes. After this many failed attempts an entry is parked as a dead letter and the rest goes on. */
  readonly attemptsMax?: number;
}

/** An entry that a consumer could not handle. It blocks nothing and is kept until removed by hand. */
export interface DeadLetter {
  readonly topic: string;
  readonly consumer: string;
  readonly entryId: string;
  readonly key: string;
  readonly reason: string;
  readonly attempts: number;
  readonly parkedAt: Date;
}

export interface Subscription {
  /** Frees everything it holds; what `handle` is doing is awaited first. Safe to call twice. */
  close(): Promise<void>;
}

/** What Naru needs of a message log. Two implementations pass `tests/contracts/bus.ts`. */
export interface Bus {
  readonly kind: 'postgres' | 'jetstream';
  /** Resolves when the entry is durably stored; idempotent by `id`. Throws, within 5 s, `UnavailableError` and
   * stores nothing, or throws it after a lost answer: publishing again with the same id is always right. Throws
   * `PayloadTooLargeError` above `entryBytesMax`, `InvalidInputError` for a key over 512 bytes. */
  publish<P>(topic: Topic<P>, key: string, payload: P, options: PublishOptions): Promise<Place>;
  /** One ordered reader a node and topic. Order per key is publish order. */
  tail<P>(topic: Topic<P>, options: TailOptions<P>): Promise<Subscription>;
  /** Durable and shared among nodes; starts at the oldest entry kept. Order per key is not promised. */
  consume<P>(topic: Topic<P>, options: ConsumeOptions<P>): Promise<Subscription>;
  /** Newest first. */
  listDeadLetters(limit: number): Promise<readonly DeadLetter[]>;
  /** Largest attachment plus payload, in bytes, that `publish` takes. */
  readonly entryBytesMax: number;
  /** Throws when the bus cannot store right now. */
  check(): Promise<void>;
  close(): Promise<void>;
}
