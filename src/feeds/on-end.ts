import type { FollowStream } from './follow.ts';

/** The same stream; `release` runs once when it ends, by whatever way. */
export function onEnd<Item, Aside>(
  stream: FollowStream<Item, Aside>,
  release: () => void,
): FollowStream<Item, Aside> {
  let isHeld = true;
  const end = () => {
    if (isHeld) release();
    isHeld = false;
  };
  const wrapped: FollowStream<Item, Aside> = {
    async next() {
      try {
        const next = await stream.next();
        if (next.done) end();
        return next;
      } catch (error) {
        end();
        throw error;
      }
    },
    return() {
      end();
      return stream.return();
    },
    [Symbol.asyncIterator]: () => wrapped,
  };
  return wrapped;
}
