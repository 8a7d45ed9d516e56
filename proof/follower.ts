// Follows the feed over graphql-ws, is cut at random, and goes on elsewhere with its last cursor. What it
// has seen in the end must be the feed's own sequence.
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { ask } from './graphql.ts';
import type { Chance } from './random.ts';

export interface FollowerOptions {
  readonly token: string;
  readonly nodeUrls: readonly [string, string];
  readonly chance: Chance;
  /** Where the feed began, as `findStart` told. */
  readonly start: string;
  readonly seen: string[];
  readonly onFault: (fault: string) => void;
  readonly signal: AbortSignal;
}

const SUBSCRIPTION = `subscription($after: Cursor) {
  webhookMessageReceived(after: $after) {
    ... on StreamItem { cursor } ... on WebhookMessageReceived { message { id } }
  } }`;

interface Frame {
  readonly type: string;
  readonly payload?: {
    readonly data?: {
      readonly webhookMessageReceived: {
        readonly cursor: string;
        readonly message?: { readonly id: string };
      };
    };
    readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[];
  };
}

/** The cursor of the feed's present head. */
export async function findStart(nodeUrl: string, token: string): Promise<string> {
  const query = '{ webhookMessages { followCursor } }';
  const data = await ask<{ webhookMessages: { followCursor: string } }>(nodeUrl, token, query, {});
  if (data === null) throw new Error('The feed has no head though all is up');
  return data.webhookMessages.followCursor;
}

/** Resolves, with how often it had to connect, when `signal` aborts. */
export async function follow(options: FollowerOptions): Promise<number> {
  let cursor = options.start;
  let connections = 0;
  while (!options.signal.aborted) {
    connections += 1;
    cursor = await followOnce(options, cursor);
    await delay(options.chance.between(1, 50));
  }
  return connections;
}

/** Until the socket ends, whoever ends it; the place where it got to. */
async function followOnce(options: FollowerOptions, after: string): Promise<string> {
  const { token, nodeUrls, chance, seen, onFault, signal } = options;
  let cursor = after;
  const url = chance.pick(nodeUrls).replace('http', 'ws');
  const socket = new WebSocket(`${url}/graphql`, 'graphql-transport-ws');
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const cut = () => socket.terminate();
  socket.on('error', () => {});
  socket.once('close', () => resolve());
  socket.once('open', () => {
    const payload = { authorization: `Bearer ${token}` };
    socket.send(JSON.stringify({ type: 'connection_init', payload }));
  });
  socket.on('message', (data: Buffer) => {
    const { type, payload } = JSON.parse(data.toString()) as Frame;
    if (type === 'connection_ack') {
      const operation = { query: SUBSCRIPTION, variables: { after } };
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: operation }));
      return;
    }
    if (type === 'ping') return socket.send(JSON.stringify({ type: 'pong' }));
    const errors = type === 'error' ? (payload as unknown as Frame['payload'][]) : payload?.errors;
    if (errors) {
      if (!JSON.stringify(errors).includes('"UNAVAILABLE"')) {
        onFault(`A follower was refused: ${JSON.stringify(errors)}`);
      }
      return cut();
    }
    const item = payload?.data?.webhookMessageReceived;
    if (item === undefined) return cut();
    if (item.message) seen.push(item.message.id);
    cursor = item.cursor;
  });
  signal.addEventListener('abort', cut);
  const timer = setTimeout(cut, chance.between(50, 4_000));
  await ended;
  clearTimeout(timer);
  signal.removeEventListener('abort', cut);
  return cursor;
}
