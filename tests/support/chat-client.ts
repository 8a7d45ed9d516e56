// The chat worker's clients, as bare as their protocol, and the time that its deadlines go by.
import { WebSocket } from 'ws';
import type { ChatClock } from '#http/chat-socket.ts';

export interface ChatFrame {
  readonly type: string;
  // biome-ignore lint/suspicious/noExplicitAny: the frames are the tests' own matter
  readonly [name: string]: any;
}

export interface ChatClient {
  readonly ws: WebSocket;
  /** All that came so far, also what was taken. */
  readonly received: readonly ChatFrame[];
  send(frame: unknown): void;
  /** The next frame. Rejects when the socket closes instead. */
  next(): Promise<ChatFrame>;
  /** The next frame of a type; what comes before it is passed over. */
  nextOf(type: string): Promise<ChatFrame>;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

/** Opened at a path, and nothing said yet. */
export function openChat(
  url: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): ChatClient {
  const ws = new WebSocket(`${url.replace(/^http/, 'ws')}${path}`, { headers });
  const received: ChatFrame[] = [];
  let taken = 0;
  let wake = () => {};
  let closedWith: { code: number; reason: string } | null = null;
  const opened = new Promise((resolve) => ws.once('open', resolve));
  ws.on('message', (data: Buffer) => {
    received.push(JSON.parse(data.toString()) as ChatFrame);
    wake();
  });
  ws.on('error', () => {});
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on('close', (code, reason) => {
      closedWith = { code, reason: String(reason) };
      resolve(closedWith);
      wake();
    });
  });
  const next = async (): Promise<ChatFrame> => {
    for (;;) {
      const frame = received[taken];
      if (frame !== undefined) {
        taken += 1;
        return frame;
      }
      if (closedWith !== null) throw new Error(`closed with ${closedWith.code}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    ws,
    received,
    closed,
    send: (frame) =>
      void opened.then(() => ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame))),
    next,
    async nextOf(type) {
      for (;;) {
        const frame = await next();
        if (frame.type === type) return frame;
      }
    },
  };
}

/** Opened and let in: `info` and `auth:ok` are taken already. */
export async function joinChat(
  url: string,
  path: string,
  auth: { readonly token: string; readonly roomId?: string; readonly userId?: string },
): Promise<ChatClient> {
  const chat = openChat(url, path);
  await chat.nextOf('info');
  chat.send({ type: 'auth', ...auth });
  const answer = await chat.next();
  if (answer.type !== 'auth:ok') throw new Error(`Not let in: ${JSON.stringify(answer)}`);
  return chat;
}

/** Passes when a test says so. */
export interface DrivenClock extends ChatClock {
  pass(ms: number): void;
}

export function createDrivenClock(): DrivenClock {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    now: () => now,
    after(delayMs, run) {
      const timer = { at: now + delayMs, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    pass(ms) {
      const end = now + ms;
      for (;;) {
        const [due] = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
        if (due === undefined) break;
        timers.delete(due);
        now = due.at;
        due.run();
      }
      now = end;
    },
  };
}
