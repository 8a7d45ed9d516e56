// The ways to send an operation to a Naru, each as bare as its protocol: what a library would hide
// (status codes, frames, close codes) is what the tests are about.
import { WebSocket } from 'ws';

export interface Operation {
  readonly query: string;
  readonly operationName?: string | null;
  readonly variables?: unknown;
}

export interface ResultError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: Readonly<Record<string, unknown>> & { readonly code: string };
}

export interface Result {
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the query's, which is the test's own
  readonly data?: any;
  readonly errors?: readonly ResultError[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The text as JSON; an empty object where it is none. */
  readonly result: Result;
}

type Given = Readonly<Record<string, string>>;

export function bearer(token: string | null): Given {
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

/** `operation` goes out as it is when it is text, so that it can also be no JSON. */
export async function post(
  url: string,
  operation: unknown,
  token: string | null = null,
  headers: Given = {},
): Promise<Answer> {
  const body = typeof operation === 'string' ? operation : JSON.stringify(operation);
  return answerOf(
    await fetch(`${url}/graphql`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...bearer(token), ...headers },
    }),
  );
}

export async function get(
  url: string,
  operation: Operation,
  token: string | null = null,
  headers: Given = {},
): Promise<Answer> {
  const { query, operationName, variables } = operation;
  const search = new URLSearchParams({ query });
  if (operationName != null) search.set('operationName', operationName);
  if (variables !== undefined) search.set('variables', JSON.stringify(variables));
  const accept = { accept: 'application/json' };
  return answerOf(
    await fetch(`${url}/graphql?${search}`, {
      headers: { ...accept, ...bearer(token), ...headers },
    }),
  );
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const { status, headers } = response;
  return { status, headers, text, result: parse(text) };
}

function parse(text: string): Result {
  try {
    return JSON.parse(text) as Result;
  } catch {
    return {};
  }
}

/** An event stream being read. */
export interface EventStream {
  readonly status: number;
  readonly headers: Headers;
  /** The next result; null once the server has completed or ended the stream. */
  next(): Promise<Result | null>;
  /** Leaves, as a browser does that closes the page. */
  leave(): void;
}

export async function openEventStream(
  url: string,
  operation: Operation,
  token: string | null = null,
): Promise<EventStream> {
  const leaving = new AbortController();
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    body: JSON.stringify(operation),
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...bearer(token),
    },
    signal: leaving.signal,
  });
  const events = readEvents(response);
  return {
    status: response.status,
    headers: response.headers,
    async next() {
      for (;;) {
        const { done, value } = await events.next();
        if (done || value.event === 'complete') return null;
        if (value.event === 'next') return JSON.parse(value.data) as Result;
      }
    },
    leave: () => leaving.abort(),
  };
}

async function* readEvents(
  response: Response,
): AsyncGenerator<{ event: string; data: string }, undefined> {
  if (response.body === null) return;
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); isStream && end !== -1; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines
          .filter((line) => line.startsWith(`${name}:`))
          .map((line) => line.slice(name.length + 1).trimStart())
          .join('\n');
      yield { event: field('event') || 'message', data: field('data') };
    }
  }
  // Refused before it began: one plain answer.
  if (!isStream) yield { event: 'next', data: text };
}

export interface Frame {
  readonly type: string;
  readonly id?: string;
  // biome-ignore lint/suspicious/noExplicitAny: a result, a list of errors, or what the test sent
  readonly payload?: any;
}

/** A graphql-ws socket that is acknowledged, at the level of its frames. */
export interface Socket {
  readonly ws: WebSocket;
  send(frame: Frame | string): void;
  subscribe(id: string, operation: Operation): void;
  /** The next frame for this operation. Rejects when the socket closes instead. */
  next(id: string): Promise<Frame>;
  /** The result of an operation that has one: of its `next`, or of its `error`. */
  run(operation: Operation): Promise<Result>;
  /** With the code once it is closed. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
}

/** Opened, and nothing said yet. */
export function openBareSocket(url: string, protocol = 'graphql-transport-ws'): Socket {
  const ws = new WebSocket(`${url.replace(/^http/, 'ws')}/graphql`, protocol);
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  let closedWith: { code: number; reason: string } | null = null;
  let runs = 0;
  const wakeAll = () => {
    for (const wake of [...waiting]) wake();
  };
  ws.on('message', (data: Buffer) => {
    frames.push(JSON.parse(data.toString()) as Frame);
    wakeAll();
  });
  ws.on('error', () => {});
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on('close', (code, reason) => {
      closedWith = { code, reason: String(reason) };
      resolve(closedWith);
      wakeAll();
    });
  });
  const take = async (wanted: (frame: Frame) => boolean): Promise<Frame> => {
    for (;;) {
      const index = frames.findIndex(wanted);
      const [frame] = index === -1 ? [] : frames.splice(index, 1);
      if (frame !== undefined) return frame;
      if (closedWith !== null) throw new Error(`closed with ${closedWith.code}`);
      await new Promise<void>((resolve) => {
        const wake = () => {
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
      });
    }
  };
  const socket: Socket = {
    ws,
    closed,
    send: (frame) => ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    subscribe: (id, operation) => socket.send({ id, type: 'subscribe', payload: { ...operation } }),
    next: (id) => take((frame) => frame.id === id || (frame.id === undefined && frame.type === id)),
    async run(operation) {
      runs += 1;
      const id = `run-${runs}`;
      socket.subscribe(id, operation);
      const frame = await socket.next(id);
      return frame.type === 'next' ? frame.payload : { errors: frame.payload };
    },
  };
  return socket;
}

export async function openSocket(url: string, token: string | null): Promise<Socket> {
  const socket = openBareSocket(url);
  await new Promise((resolve) => socket.ws.once('open', resolve));
  socket.send({ type: 'connection_init', payload: bearer(token) });
  await socket.next('connection_ack');
  return socket;
}

/** Resolves once the condition holds; looks again each turn of a short timer, for 10 s at most. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Never came true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
