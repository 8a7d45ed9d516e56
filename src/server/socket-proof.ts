import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';
import type { Credential } from '#auth/credential.ts';
import { type Context, createContext, type Services } from '#context.ts';
import { UnauthenticatedError } from '#lib/errors.ts';
import type { CredentialWatch } from './credential-watch.ts';
import { readCredential } from './request.ts';

/** What one socket proves itself with, from its opening to its end. */
export interface SocketProof {
  /**
   * Takes what the socket was opened with; whether there was anything. Throws `UnauthenticatedError`, and
   * `UnavailableError` where the viewer cannot be read at the moment.
   */
  open(authorization: string | undefined): Promise<boolean>;
  /**
   * Goes on with another credential of the same account, a refreshed access token for one. What is under
   * way goes on with it, too. Throws as `open` does, also for another account's.
   */
  renew(authorization: string): Promise<void>;
  /** For one operation: the viewer as they are now, and at each refresh as they are then. */
  contextFor(requestId: string): Promise<Context>;
}

export function createSocketProof(
  app: Services,
  watch: CredentialWatch,
  { socket, request, ipAddress }: SocketPeer,
  onRefused: (error: UnauthenticatedError) => void,
): SocketProof {
  let credential: Credential | null = null;
  let userId: string | null = null;
  let stopWatching = () => {};
  socket.once('close', () => stopWatching());

  // The upgrade was refused already where the page may not use the cookie.
  const read = (authorization: string | undefined) =>
    readCredential(app, request.headers, authorization, () => true);

  const goOnWith = (next: Credential | null) => {
    credential = next;
    stopWatching();
    stopWatching = () => {};
    // It left while it was asked who it is: nothing would ever end the watch.
    if (socket.readyState === socket.CLOSED) return;
    stopWatching = watch.watch(next, onRefused);
  };

  return {
    async open(authorization) {
      const next = await read(authorization);
      userId = next === null ? null : (await app.authenticate(next)).userId;
      goOnWith(next);
      return next !== null;
    },
    async renew(authorization) {
      const next = await read(authorization);
      const viewer = next === null ? null : await app.authenticate(next);
      if (viewer === null || viewer.userId !== userId) {
        throw new UnauthenticatedError('A socket stays with the account that opened it');
      }
      goOnWith(next);
    },
    contextFor: (requestId) =>
      createContext(app, {
        requestId,
        // Looked up at each refresh: a stream outlives the token that it began with.
        get credential() {
          return credential;
        },
        client: { ipAddress, userAgent: request.headers['user-agent'] ?? null },
        isGone: () => socket.readyState !== socket.OPEN,
        setSessionCookie: null,
        idempotencyKey: null,
        notes: { headers: {}, extensions: {} },
      }),
  };
}

interface SocketPeer {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  /** The client's, behind the proxies that are trusted. */
  readonly ipAddress: string;
}
