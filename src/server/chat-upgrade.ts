import type { IncomingMessage } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Services } from '#context.ts';
import { type ChatClock, type ChatPeer, serveChat } from '#http/chat-socket.ts';
import { newId } from '#lib/ids.ts';
import { roomNameOf } from '#resolvers/rooms/named-room.ts';
import type { CredentialWatch } from './credential-watch.ts';
import { UNSENT_BYTES_MAX } from './socket.ts';
import type { UpgradeDoor } from './upgrade.ts';

/** A larger frame closes with 1009. */
const FRAME_BYTES_MAX = 16 * 1_024;

/** The addresses of the chat worker: what its documents say, and what its code answered to. */
const PATHS = [
  /^\/rooms\/(?<room>[^/]+)(\/messages)?$/,
  /^\/rooms\/?$/,
  /^\/parties\/chat\/(?<room>[^/]+)$/,
];
const OTHER_PARTY = /^\/parties\//;

/** An address that can name no room. */
const MALFORMED = Symbol('malformed');

const CONNECTION_ID = /^[\w-]{1,64}$/;

/** WebSockets for the chat worker's clients. */
export function createChatDoor(
  app: Services,
  credentials: CredentialWatch,
  { clock }: { readonly clock: ChatClock | undefined },
): UpgradeDoor {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_BYTES_MAX,
    perMessageDeflate: false,
  });
  return {
    sockets,
    takes(url) {
      const path = url.split('?', 1)[0] ?? '';
      if (PATHS.some((pattern) => pattern.test(path))) {
        return roomOf(url) === MALFORMED ? '400 Bad Request' : true;
      }
      return OTHER_PARTY.test(path) ? '400 Bad Request' : false;
    },
    serve(socket, request, ipAddress) {
      const room = roomOf(request.url ?? '');
      const client = { ipAddress, userAgent: request.headers['user-agent'] ?? null };
      const chat = serveChat(
        app,
        peerOf(socket),
        {
          roomName: room === MALFORMED ? null : room,
          connectionId: connectionIdOf(request),
          requestId: newId(),
          client,
        },
        {
          watchCredential: (credential, onRefused) => credentials.watch(credential, onRefused),
          clock,
        },
      );
      // A frame that is too large or malformed: `ws` itself closes with the code that says so.
      socket.on('error', (error) => app.log.debug({ err: error }, 'A socket failed'));
      socket.on('message', (data: Buffer) => chat.take(data.toString()));
      socket.once('close', () => chat.end());
    },
  };
}

function peerOf(socket: WebSocket): ChatPeer {
  const isBehind = () => socket.bufferedAmount > UNSENT_BYTES_MAX;
  return {
    isBehind,
    send(text) {
      // Who sends without reading is not read either.
      if (isBehind()) socket.pause();
      return new Promise((resolve) =>
        socket.send(text, () => {
          if (!isBehind()) socket.resume();
          resolve();
        }),
      );
    },
    close: (code, reason) => socket.close(code, reason),
  };
}

/** The room that an address names; null where it leaves that to the first frame. */
function roomOf(url: string): string | null | typeof MALFORMED {
  const [path = '', search = ''] = url.split('?', 2);
  const inPath = PATHS.flatMap((pattern) => pattern.exec(path)?.groups?.['room'] ?? [])[0];
  if (inPath === undefined) {
    const given = new URLSearchParams(search).get('room');
    return given === null || given === '' ? null : (roomNameOf(given) ?? MALFORMED);
  }
  try {
    return roomNameOf(decodeURIComponent(inPath)) ?? MALFORMED;
  } catch {
    return MALFORMED;
  }
}

/** Chosen by the client, as partysocket does, so that its backend can leave it out of what it caused. */
function connectionIdOf({ url = '' }: IncomingMessage): string {
  const given = new URLSearchParams(url.split('?', 2)[1]).get('_pk');
  return given !== null && CONNECTION_ID.test(given) ? given : newId();
}
