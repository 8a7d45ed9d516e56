// GraphQL over server-sent events, one operation a response ("distinct connections"): a `next` event a
// result, then `complete`. Results that have a cursor carry it as the event's id, so that a browser's
// EventSource resumes by itself: it sends the last one back as `Last-Event-ID`.
import type { FastifyReply } from 'fastify';
import type { ExecutionResult, GraphQLError } from 'graphql';
import type { CredentialWatch } from './credential-watch.ts';
import type { Engine, OperationRequest } from './engine.ts';
import type { ResultStream } from './stream.ts';

export interface EventStreamTimes {
  /** A comment this often, for whatever stands between and closes what is quiet. */
  readonly keepAliveMs: number;
  /** Who takes nothing of what is sent for this long is cut off. */
  readonly unreadForMs: number;
}

const TIMES: EventStreamTimes = { keepAliveMs: 12_000, unreadForMs: 30_000 };
/** Large events go out in pieces, so that a slow reader can be told from one that reads nothing. */
const PIECE_BYTES = 64 * 1024;

export interface EventStreamDoor {
  /** Takes the reply over; resolves when the stream has ended, whoever ended it. */
  serve(reply: FastifyReply, request: Omit<OperationRequest, 'transport'>): Promise<void>;
  /** Ends every stream without `complete`, which would tell clients that all is over. */
  close(): void;
}

export function createEventStreams(
  engine: Engine,
  credentials: CredentialWatch,
  given: Partial<EventStreamTimes> = {},
): EventStreamDoor {
  const times = { ...TIMES, ...given };
  const open = new Set<EventWriter>();
  let closing = false;

  return {
    async serve(reply, request) {
      const writer = openWriter(reply, times);
      open.add(writer);
      if (closing) writer.end();
      // Ended rather than completed: a client that comes back is told 401.
      const stop = credentials.watch(request.context.origin.credential, () => writer.end());
      try {
        await answer(engine, { ...request, transport: 'sse' }, writer);
      } finally {
        stop();
        writer.end();
        open.delete(writer);
      }
    },
    close() {
      closing = true;
      for (const writer of open) writer.end();
    },
  };
}

async function answer(
  engine: Engine,
  request: OperationRequest,
  writer: EventWriter,
): Promise<void> {
  const isStream = engine.kindOf(request.document, request.operationName) === 'subscription';
  const result = await (isStream ? engine.subscribe(request) : engine.execute(request));
  if (Symbol.asyncIterator in result) await sendAll(result, writer);
  else await writer.send(eventOf(result, null));
  await writer.send('event: complete\ndata:\n\n');
}

/** Asks for a result only when the last one was taken, so that what is not read waits at its source. */
async function sendAll(results: ResultStream, writer: EventWriter): Promise<void> {
  // Also when the client left while the operation began.
  writer.onEnd(() => void results.return());
  try {
    for (let next = await results.next(); !next.done; next = await results.next()) {
      await writer.send(eventOf(next.value, results.cursor));
    }
  } catch (error) {
    // The protocol has no event for an error: it becomes the last result.
    await writer.send(eventOf({ errors: [error as GraphQLError] }, null));
  } finally {
    await results.return();
  }
}

function eventOf(result: ExecutionResult, cursor: string | null): string {
  const id = cursor === null ? '' : `id: ${cursor}\n`;
  return `${id}event: next\ndata: ${JSON.stringify(result)}\n\n`;
}

interface EventWriter {
  /** Resolves when more may be sent; does nothing once the response has ended. */
  send(event: string): Promise<void>;
  /** Called once, at once where it has ended already. */
  onEnd(listener: () => void): void;
  /** Safe to call twice. What a stuck client has not taken by now it never will. */
  end(): void;
}

function openWriter(reply: FastifyReply, times: EventStreamTimes): EventWriter {
  reply.hijack();
  const response = reply.raw;
  let ended = response.destroyed;
  let wake = () => {};
  const listeners: (() => void)[] = [];

  const finish = () => {
    clearInterval(keepAlive);
    if (ended) return;
    ended = true;
    wake();
    for (const listener of listeners.splice(0)) listener();
  };

  const drained = async () => {
    const unread = setTimeout(() => response.destroy(), times.unreadForMs);
    await new Promise<void>((resolve) => {
      wake = resolve;
      response.once('drain', resolve);
    });
    response.off('drain', wake);
    clearTimeout(unread);
  };

  const keepAlive = setInterval(() => {
    if (!response.writableNeedDrain) response.write(':\n\n');
  }, times.keepAliveMs);
  response.on('close', finish);
  // A client that is gone: the close that follows is what counts.
  response.on('error', () => {});
  response.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  response.flushHeaders();
  if (ended) clearInterval(keepAlive);

  return {
    async send(event) {
      const bytes = Buffer.from(event);
      for (let at = 0; at < bytes.length && !ended; at += PIECE_BYTES) {
        if (!response.write(bytes.subarray(at, at + PIECE_BYTES))) await drained();
      }
    },
    onEnd(listener) {
      if (ended) listener();
      else listeners.push(listener);
    },
    end() {
      if (response.writableNeedDrain) response.destroy();
      else response.end();
      finish();
    },
  };
}
