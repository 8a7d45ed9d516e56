// The chat worker's protocol on one connection, frame by frame, with its words and close codes. What it left open
// is closed: nothing before `auth:ok`, one room and one token a connection, sizes and rates.
import type { Credential } from '#auth/credential.ts';
import type { Origin, Services } from '#context.ts';
import {
  ConflictError,
  DomainError,
  ForbiddenError,
  NotFoundError,
  UnavailableError,
} from '#lib/errors.ts';
import { roomNameOf } from '#resolvers/rooms/named-room.ts';
import { type ChatEntry, enterChat, isNameOf, mayAskToEnter } from './chat-entry.ts';
import { AUTH_OK, type ChatFrame, errorFrame, INFO } from './chat-frames.ts';

/** The other end, by whatever carries text. */
export interface ChatPeer {
  /** Resolves once it is on its way, or nobody is there any more. */
  send(text: string): Promise<void>;
  close(code: number, reason: string): void;
  /** Whether more is unsent than should be added to. */
  isBehind(): boolean;
}

export interface ChatRequest {
  /** What the address names; null where the first frame has to. */
  readonly roomName: string | null;
  readonly connectionId: string;
  readonly requestId: string;
  readonly client: Origin['client'];
}

/** Time as the protocol sees it, so that tests can let it pass. */
export interface ChatClock {
  now(): number;
  /** Calls `run` once, unless what it answers with was called before. */
  after(delayMs: number, run: () => void): () => void;
}

export interface ChatSetup {
  readonly watchCredential: (credential: Credential, onRefused: () => void) => () => void;
  readonly clock?: ChatClock | undefined;
}

export interface ChatConnection {
  take(text: string): void;
  /** Frees everything, once the other end is gone. */
  end(): void;
}

const AUTH_WITHIN_MS = 10_000;
const PING_WITHIN_MS = 30_000;
/** How often a backend is asked again, at most: when a ping comes. */
const RECHECK_MS = 60_000;
/** How long its last answer counts while it is away. */
const STALE_MS = 15 * 60_000;
const TYPING_AGAIN_MS = 3_000;
const FRAMES_WINDOW_MS = 10_000;
const FRAMES_MAX = 50;
/** Who goes on after being told is sent away. */
const FRAMES_CLOSE = 100;
const TYPE_LENGTH_MAX = 64;

const REFUSED = 4401;

const systemClock: ChatClock = {
  now: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

type Frame = Readonly<Record<string, unknown>>;

/** Serves a connection from its opening; the first word is ours. */
export function serveChat(
  app: Services,
  peer: ChatPeer,
  request: ChatRequest,
  { watchCredential, clock = systemClock }: ChatSetup,
): ChatConnection {
  let entry: ChatEntry | null = null;
  let isEntering = false;
  let isOver = false;
  let pending: Promise<void> = Promise.resolve();
  let rate = { since: clock.now(), count: 0 };
  let checkedAt = 0;
  let isChecking = false;
  let typing: { readonly isTyping: boolean; readonly at: number } | null = null;
  const onEnd: (() => void)[] = [];
  let stopDeadline = clock.after(AUTH_WITHIN_MS, () => {
    // Who is just being asked about is refused or let in by the answer.
    if (!isEntering) refuse('auth timeout', 'auth required');
  });

  const send = (frame: ChatFrame) => peer.send(JSON.stringify(frame));
  const tell = (code: string, message: string) => void send(errorFrame(code, message));

  function end(): void {
    if (isOver) return;
    isOver = true;
    stopDeadline();
    entry?.stream.stop();
    for (const release of onEnd.splice(0)) release();
  }

  function close(code: number, reason: string): void {
    if (isOver) return;
    end();
    peer.close(code, reason);
  }

  function refuse(message = 'not a participant', reason = 'unauthorized'): void {
    if (isOver) return;
    tell('unauthorized', message);
    close(REFUSED, reason);
  }

  /** Clients of this protocol all come back from 1013. */
  function sendAway(code: string, message: string): void {
    if (isOver) return;
    tell(code, message);
    close(1013, 'Come back later');
  }

  function fail(error: unknown): void {
    if (isOver) return;
    const isKnown = error instanceof DomainError;
    const cause = isKnown ? error.cause : error;
    if (cause !== undefined) app.log[isKnown ? 'warn' : 'error']({ err: cause }, 'A chat failed');
    if (isKnown) sendAway('unavailable', 'try again later');
    else close(1011, 'Unexpected error');
  }

  /** False for what is over the limit, which the client was told of. */
  function isWithinRate(): boolean {
    const now = clock.now();
    if (now - rate.since >= FRAMES_WINDOW_MS) rate = { since: now, count: 0 };
    rate.count += 1;
    if (rate.count <= FRAMES_MAX) return true;
    const message = `at most ${FRAMES_MAX} frames in ${FRAMES_WINDOW_MS / 1_000} s`;
    if (rate.count > FRAMES_CLOSE) sendAway('rate_limited', message);
    else tell('rate_limited', message);
    return false;
  }

  async function handle(text: string): Promise<void> {
    if (isOver) return;
    const parsed = parseJson(text);
    if (parsed === undefined) return tell('bad_json', 'malformed json');
    const frame = asFrame(parsed);
    const type = frame?.['type'];
    if (frame === null || typeof type !== 'string' || type === '') {
      return tell('bad_payload', 'missing type');
    }
    if (type === 'auth') return authenticate(frame);
    if (entry === null) return tell('unauthorized', 'auth first');
    if (type === 'ping') return answerPing(entry, frame['t']);
    if (type === 'typing') return tellTyping(entry, Boolean(frame['isTyping']));
    tell('unknown_type', `unknown: ${type.slice(0, TYPE_LENGTH_MAX)}`);
  }

  async function authenticate({ token, roomId, userId }: Frame): Promise<void> {
    if (typeof token !== 'string' || token === '') return tell('bad_payload', 'token required');
    const isNamed = roomId !== undefined && roomId !== null && roomId !== '';
    if (request.roomName === null && !isNamed) {
      tell('bad_payload', 'roomId required');
      return close(REFUSED, 'roomId required');
    }
    const claimed = isNamed ? roomNameOf(roomId) : request.roomName;
    const roomName = request.roomName ?? claimed;
    if (entry !== null) {
      // Once in, there is no other room and nobody else.
      const isSame =
        token === entry.token && claimed !== null && (await isNameOf(app, claimed, entry.room));
      return isSame ? void send(AUTH_OK) : tell('unauthorized', 'already authenticated');
    }
    if (claimed === null || roomName === null) return refuse();
    isEntering = true;
    try {
      await enter({ roomName, claimed, token, userId });
    } finally {
      isEntering = false;
    }
  }

  async function enter(asked: {
    readonly roomName: string;
    readonly claimed: string;
    readonly token: string;
    readonly userId: unknown;
  }): Promise<void> {
    const { roomName, claimed, token, userId: claimedUserId } = asked;
    if (!(await mayAskToEnter(app, request.client.ipAddress))) {
      return sendAway('rate_limited', 'too many connections');
    }
    const isGone = () => isOver;
    const entered = await enterChat(app, { ...request, roomName, token, claimedUserId, isGone });
    const isOneRoom =
      entered !== null && (claimed === roomName || (await isNameOf(app, claimed, entered.room)));
    if (entered === null || !isOneRoom || isGone()) {
      entered?.stream.stop();
      return refuse();
    }
    entry = entered;
    checkedAt = clock.now();
    const { account } = entered.guest;
    if (account !== null) {
      onEnd.push(app.presence.attend(account.userId));
      onEnd.push(watchCredential(account.credential, () => refuse('token no longer counts')));
    }
    expectPing();
    void send(AUTH_OK);
    void pump(entered).catch(fail);
  }

  /** Everything that is heard, no faster than the client reads. */
  async function pump({ stream, frames }: ChatEntry): Promise<void> {
    for (;;) {
      const news = await stream.next();
      if (isOver || news === null) return;
      if (news.type === 'out') return refuse();
      const sent = send(await frames.frameOf(news));
      if (peer.isBehind()) await sent;
    }
  }

  function expectPing(): void {
    stopDeadline();
    stopDeadline = clock.after(PING_WITHIN_MS, () => {
      if (peer.isBehind()) return sendAway('unavailable', 'too slow');
      tell('ping_timeout', 'ping timeout - connection will be closed');
      close(1000, 'ping timeout');
    });
  }

  function answerPing(entered: ChatEntry, t: unknown): void {
    void send({ type: 'pong', t: typeof t === 'number' || typeof t === 'string' ? t : Date.now() });
    expectPing();
    if (clock.now() - checkedAt < RECHECK_MS || isChecking || entered.guest.account !== null)
      return;
    isChecking = true;
    void recheck(entered)
      .catch(fail)
      .finally(() => {
        isChecking = false;
      });
  }

  /** Of a backend's people, whose removal nobody announces. */
  async function recheck({ guest, room, roomName }: ChatEntry): Promise<void> {
    const askedAt = clock.now();
    try {
      if (!(await guest.recheck())) return refuse();
      // Naru may have got to know the room meanwhile: what happens in it is told elsewhere then.
      if (!(await isNameOf(app, roomName, room))) return close(1012, 'Connect again');
      checkedAt = askedAt;
    } catch (error) {
      if (!(error instanceof UnavailableError) || askedAt - checkedAt >= STALE_MS) throw error;
    }
  }

  async function tellTyping({ guest }: ChatEntry, isTyping: boolean): Promise<void> {
    const now = clock.now();
    if (typing?.isTyping === isTyping && now - typing.at < TYPING_AGAIN_MS) return;
    typing = { isTyping, at: now };
    try {
      await guest.tellTyping(isTyping, request.connectionId);
    } catch (error) {
      if (error instanceof NotFoundError) refuse();
      else if (error instanceof ForbiddenError || error instanceof ConflictError) {
        tell('forbidden', error.message);
      } else if (!(error instanceof UnavailableError)) throw error;
      // Live only: what cannot be told now is not told.
    }
  }

  void send(INFO);
  return {
    take(text) {
      if (isOver || !isWithinRate()) return;
      // One after the other: what follows an `auth` waits for its answer.
      pending = pending.then(() => handle(text)).catch(fail);
    },
    end,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asFrame(value: unknown): Frame | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Frame)
    : null;
}
