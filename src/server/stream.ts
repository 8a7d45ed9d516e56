import type { ExecutionResult, GraphQLError } from 'graphql';

/** Results of a subscription: an object with its own `next` and `return`, freed at once by either. */
export interface ResultStream {
  next(): Promise<IteratorResult<ExecutionResult, undefined>>;
  return(): Promise<IteratorReturnResult<undefined>>;
  throw(error: unknown): Promise<never>;
  /** The place of what `next` answered with last; null where its source has none. */
  readonly cursor: string | null;
  [Symbol.asyncIterator](): ResultStream;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface StreamOptions {
  readonly execute: (entry: unknown) => Promise<ExecutionResult>;
  readonly toError: (error: unknown) => GraphQLError;
  /** Called once, when the stream is over, however it ended. */
  readonly onEnd: () => void;
}

/**
 * Executes each entry of the source as it is asked for. An error of the source, or of reading the
 * viewer again, is thrown as the stream's own and ends it.
 */
export function createStream(source: AsyncIterator<unknown>, options: StreamOptions): ResultStream {
  const { execute, toError, onEnd } = options;
  let ended = false;
  let cursor: string | null = null;
  const end = async () => {
    if (ended) return;
    ended = true;
    onEnd();
    await source.return?.();
  };
  const over = { done: true as const, value: undefined };
  const stream: ResultStream = {
    async next() {
      if (ended) return over;
      try {
        const entry = await source.next();
        if (entry.done || ended) {
          await end();
          return over;
        }
        const value = await execute(entry.value);
        cursor = cursorOf(entry.value);
        return { done: false, value };
      } catch (error) {
        await end();
        throw toError(error);
      }
    },
    get cursor() {
      return cursor;
    },
    async return() {
      await end();
      return over;
    },
    async throw(error) {
      await end();
      throw error;
    },
    [Symbol.asyncIterator]: () => stream,
    [Symbol.asyncDispose]: end,
  };
  return stream;
}

function cursorOf(entry: unknown): string | null {
  const isPlaced = typeof entry === 'object' && entry !== null && 'cursor' in entry;
  return isPlaced && typeof entry.cursor === 'string' ? entry.cursor : null;
}
