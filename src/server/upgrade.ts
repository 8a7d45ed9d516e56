// What becomes of a request for a WebSocket: which door it goes through, and who gets none.
import type { IncomingMessage } from 'node:http';
import proxyAddr from '@fastify/proxy-addr';
import type { FastifyInstance } from 'fastify';
import type { WebSocket, WebSocketServer } from 'ws';
import { readCookie, sessionCookieName } from '#auth/cookies.ts';
import type { Services } from '#context.ts';
import { mayReach } from './addresses.ts';
import { isFromForeignPage, isFromTrustedPage } from './page-rules.ts';
import { CLOSE, closeWith, UNSENT_BYTES_MAX } from './socket.ts';

export interface UpgradeDoor {
  /** Whether a path, as it came, is this door's; a text is the HTTP status with which it is refused. */
  readonly takes: (path: string) => boolean | string;
  readonly sockets: WebSocketServer;
  readonly serve: (socket: WebSocket, request: IncomingMessage, ipAddress: string) => void;
}

export interface UpgradeTimes {
  /** A socket with more than `UNSENT_BYTES_MAX` unsent for this long is closed with 1013. */
  readonly unsentForMs: number;
  /** What a peer has to answer a close, before its connection is cut. */
  readonly closeTimeoutMs: number;
}

export interface Upgrades {
  /** Tells every client to come back (1012) and takes no more. */
  close(): Promise<void>;
}

export function registerUpgrades(
  fastify: FastifyInstance,
  app: Services,
  doors: readonly UpgradeDoor[],
  times: UpgradeTimes,
): Upgrades {
  const trustsProxy = proxyAddr.compile([...app.config.trustedProxies]);
  let closing = false;

  for (const { sockets, serve } of doors) {
    sockets.on('connection', (socket: WebSocket, request: IncomingMessage) => {
      app.metrics.websocketConnections.inc();
      socket.on('close', () => app.metrics.websocketConnections.dec());
      serve(socket, request, proxyAddr(request, trustsProxy));
    });
  }
  fastify.server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    const isStranger = !mayReach(app, 'api', proxyAddr(request, trustsProxy));
    const found = isStranger ? '403 Forbidden' : doorFor(app, doors, request);
    const answer = closing ? '503 Service Unavailable' : found;
    if (typeof answer === 'string') {
      // Half-open otherwise: nothing else would ever end it.
      socket.once('finish', () => socket.destroy());
      socket.end(`HTTP/1.1 ${answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const { sockets } = answer;
    sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit('connection', ws, request));
  });
  const stopChecking = closeUnreadSockets(doors, app, times);

  return {
    async close() {
      closing = true;
      stopChecking();
      // A stock client that reads 1012 connects again; one that were told `complete` would not.
      await Promise.all(socketsOf(doors).map((socket) => closeOne(socket, times)));
    },
  };
}

/** The door, or the HTTP status with which there is none: a page of somebody else gets no socket. */
function doorFor(
  { config }: Services,
  doors: readonly UpgradeDoor[],
  { url = '', headers }: IncomingMessage,
): UpgradeDoor | string {
  for (const door of doors) {
    const taken = door.takes(url);
    if (taken === false) continue;
    if (taken !== true) return taken;
    const name = sessionCookieName(config.cookieSecure);
    const hasCookie = readCookie(headers.cookie, name) !== null;
    const isRefused =
      isFromForeignPage(config, headers) || (hasCookie && !isFromTrustedPage(config, headers));
    return isRefused ? '403 Forbidden' : door;
  }
  return '404 Not Found';
}

function socketsOf(doors: readonly UpgradeDoor[]): WebSocket[] {
  return doors.flatMap(({ sockets }) => [...sockets.clients]);
}

function closeUnreadSockets(
  doors: readonly UpgradeDoor[],
  { log }: Services,
  times: UpgradeTimes,
): () => void {
  const unreadSince = new WeakMap<WebSocket, number>();
  const look = () => {
    const now = performance.now();
    for (const socket of socketsOf(doors)) {
      if (socket.bufferedAmount <= UNSENT_BYTES_MAX) {
        unreadSince.delete(socket);
        continue;
      }
      const since = unreadSince.get(socket) ?? now;
      unreadSince.set(socket, since);
      if (now - since < times.unsentForMs || socket.readyState !== socket.OPEN) continue;
      log.info({ unsentBytes: socket.bufferedAmount }, 'A socket that is not read is closed');
      void closeOne(socket, times, CLOSE.later);
    }
  };
  const timer = setInterval(look, times.unsentForMs / 6);
  return () => clearInterval(timer);
}

/** A peer that does not answer the close, as one that stopped reading never does, is cut off. */
async function closeOne(
  socket: WebSocket,
  { closeTimeoutMs }: UpgradeTimes,
  code: { readonly code: number; readonly reason: string } = CLOSE.restarting,
): Promise<void> {
  if (socket.readyState === socket.CLOSED) return;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  closeWith(socket, code);
  const force = setTimeout(() => socket.terminate(), closeTimeoutMs);
  await closed;
  clearTimeout(force);
}
