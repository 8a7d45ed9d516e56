import type { ExecutionResult, GraphQLError } from 'graphql';

/** Results of a subscription: an object with its own `next` and `return`, freed at once by either. */
export interface ResultStream {
  next(): Promise<IteratorResult<ExecutionResult, undefined>>;
  return(): Promise<IteratorReturnResult<undefined>>;
  throw(error: unknown): Promise<never>;
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
        return { done: false, value: await execute(entry.value) };
      } catch (error) {
        await end();
        throw toError(error);
      }
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

/** For server-sent events, which have no message for an error: it becomes the last result. */
export function withErrorAsResult(stream: ResultStream): ResultStream {
  let failed = false;
  const wrapped: ResultStream = {
    ...stream,
    async next() {
      if (failed) return { done: true, value: undefined };
      try {
        return await stream.next();
      } catch (error) {
        failed = true;
        return { done: false, value: { errors: [error as GraphQLError] } };
      }
    },
    [Symbol.asyncIterator]: () => wrapped,
  };
  return wrapped;
}
