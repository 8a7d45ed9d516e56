import type { Context } from '#context.ts';
import type { Followed, FollowStream } from './follow.ts';

const contexts = new WeakMap<object, Context>();

/** The context in which an entry was let through: what is executed for it need not read it all again. */
export function contextOfEntry(entry: unknown): Context | null {
  return typeof entry === 'object' && entry !== null ? (contexts.get(entry) ?? null) : null;
}

/** For a stream that makes its own entries. */
export function rememberContext(entry: object, context: Context): void {
  contexts.set(entry, context);
}

/** Remembers with each item the context that `accept` has just used for it. */
export function withContext<Item, Aside>(
  stream: FollowStream<Item, Aside>,
  latest: () => Context | null,
): FollowStream<Item, Aside> {
  const wrapped: FollowStream<Item, Aside> = {
    async next(): Promise<IteratorResult<Followed<Item, Aside>, undefined>> {
      const next = await stream.next();
      const context = latest();
      if (!next.done && next.value.item !== null && context !== null) {
        contexts.set(next.value, context);
      }
      return next;
    },
    return: () => stream.return(),
    [Symbol.asyncIterator]: () => wrapped,
  };
  return wrapped;
}
