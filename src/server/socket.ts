// One WebSocket under the graphql-ws protocol. The library's own adapter prints what goes wrong on a
// socket to the console and closes with a code that stock clients never come back from; this one logs.
import type { IncomingMessage } from 'node:http';
import type { Server } from 'graphql-ws';
import type { WebSocket } from 'ws';
import type { Log } from '#log.ts';
import type { SocketProof } from './socket-proof.ts';

export interface SocketExtra {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  readonly proof: SocketProof;
}

export const UNSENT_BYTES_MAX = 1 << 20;

/** Close codes that the protocol leaves to the WebSocket standard. */
export const CLOSE = {
  /** The client has to connect again, and will be served. */
  restarting: { code: 1012, reason: 'Restarting' },
  /** Overload, ours or the client's; coming back later is right. */
  later: { code: 1013, reason: 'Come back later, with your last cursor' },
  bug: { code: 1011, reason: 'Unexpected error' },
} as const;

export function closeWith(socket: WebSocket, { code, reason }: { code: number; reason: string }) {
  socket.close(code, reason);
}

/** Serves the socket until it is closed, whoever closes it. */
export function serveSocket(
  protocol: Server<SocketExtra>,
  extra: SocketExtra,
  { log, keepAliveMs }: { readonly log: Log; readonly keepAliveMs: number },
): void {
  const { socket } = extra;
  // A frame that is too large or malformed: `ws` itself closes with the code that says so.
  socket.on('error', (error) => log.debug({ err: error }, 'A socket failed'));
  const stopPings = keepAlive(socket, keepAliveMs);
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      // What cannot be sent has no reader any more: the close that follows is what counts.
      send: (text) => {
        // Who sends without reading is not read either: a protocol's own answers pile up, too.
        if (socket.bufferedAmount > UNSENT_BYTES_MAX) socket.pause();
        return new Promise((resolve) =>
          socket.send(text, () => {
            if (socket.bufferedAmount <= UNSENT_BYTES_MAX) socket.resume();
            resolve();
          }),
        );
      },
      close: (code, reason) => socket.close(code, reason),
      onMessage: (take) =>
        socket.on('message', (data: Buffer) => {
          take(data.toString()).catch((error: unknown) => {
            log.error({ err: error }, 'A message of a socket failed');
            closeWith(socket, CLOSE.bug);
          });
        }),
    },
    extra,
  );
  socket.once('close', (code, reason) => {
    stopPings();
    closed(code, String(reason)).catch((error: unknown) => {
      log.error({ err: error }, 'Leaving the streams of a socket failed');
    });
  });
}

/** A peer that answers no ping until the next one is gone: its network would never tell. */
function keepAlive(socket: WebSocket, everyMs: number): () => void {
  let isAlive = true;
  socket.on('pong', () => {
    isAlive = true;
  });
  const timer = setInterval(() => {
    // What is not read while much is unsent has its own deadline, and its pong waits unread.
    if (socket.isPaused) isAlive = true;
    if (!isAlive) return socket.terminate();
    isAlive = false;
    socket.ping();
  }, everyMs);
  return () => clearInterval(timer);
}
