// From sending a webhook to each of many subscribers having it, a socket each, beside the same bytes over a bare NATS
// subject to as many bare sockets.
import type { ChildProcess } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { LiveKind, LiveOrder } from './live-contenders.ts';
import { median, printTable, spread } from './table.ts';
import { startContender } from './webhooks-contender.ts';
import { createBenchWorld, SECRET } from './world.ts';

interface LiveOptions {
  readonly rounds: number;
  readonly subscribers: number;
  readonly seconds: number;
  readonly perSecond: number;
}

interface Measure {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

const KINDS: readonly LiveKind[] = ['naru', 'bare'];
const TITLES: Readonly<Record<LiveKind, string>> = { naru: 'Naru', bare: 'bare NATS → ws' };
const QUERY =
  'subscription { webhookMessageReceived { ... on WebhookMessageReceived { message { deliveryId } } } }';
const ARRIVED_WITHIN_MS = 30_000;
const OPENED_AT_ONCE = 50;

const body = JSON.stringify({
  ref: 'refs/heads/main',
  before: '0'.repeat(40),
  after: '1'.repeat(40),
  commits: [],
  repository: { id: 1, full_name: 'octocat/Hello.World' },
  sender: { login: 'octocat' },
});
const signature = `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`;

export async function benchLive(options: LiveOptions): Promise<void> {
  const { rounds, subscribers, seconds, perSecond } = options;
  const world = await createBenchWorld({ withNats: true });
  const tokens = await world.addReaders();
  await world.stopNode();
  const children: ChildProcess[] = [];
  try {
    const crowds = new Map<LiveKind, Crowd>();
    for (const kind of KINDS) {
      const order: LiveOrder = { kind, environment: world.environment };
      const { child, url } = await startContender('./live-contenders.ts', order);
      children.push(child);
      crowds.set(kind, await gather(kind, url, subscribers, tokens));
    }
    const measures: Record<LiveKind, Measure[]> = { naru: [], bare: [] };
    // The first round warms up.
    for (let round = -1; round < rounds; round += 1) {
      for (const [kind, crowd] of crowds) {
        const measure = await crowd.measure(round < 0 ? Math.min(2, seconds) : seconds, perSecond);
        if (round >= 0) measures[kind].push(measure);
      }
    }
    for (const crowd of crowds.values()) crowd.leave();
    for (const child of children) child.disconnect();
    print(options, measures);
  } finally {
    for (const child of children) child.kill();
    await world.close();
  }
}

function print(
  { rounds, subscribers, seconds, perSecond }: LiveOptions,
  measures: Readonly<Record<LiveKind, readonly Measure[]>>,
): void {
  console.log(
    `\nlive, ${subscribers} subscribers, ${perSecond} webhooks a second, ${rounds} rounds of ${seconds} s\n`,
  );
  const of = (kind: LiveKind, part: keyof Measure) => measures[kind].map((one) => one[part]);
  printTable(
    ['path', 'p50 ms', 'p95 ms', 'p99 ms', 'spread of p99', 'of the control at p50'],
    KINDS.map((kind) => [
      TITLES[kind],
      ...(['p50', 'p95', 'p99'] as const).map((part) => median(of(kind, part)).toFixed(1)),
      spread(of(kind, 'p99'), 1),
      (median(of(kind, 'p50')) / median(of('bare', 'p50'))).toFixed(1),
    ]),
  );
}

interface Crowd {
  /** Throws unless every subscriber has every webhook. */
  measure(seconds: number, perSecond: number): Promise<Measure>;
  leave(): void;
}

async function gather(
  kind: LiveKind,
  url: string,
  subscribers: number,
  tokens: readonly string[],
): Promise<Crowd> {
  const sentAt = new Map<string, number>();
  let latencies: number[] = [];
  const onDelivery = (deliveryId: string) => {
    const at = sentAt.get(deliveryId);
    if (at !== undefined) latencies.push(performance.now() - at);
  };
  const sockets: WebSocket[] = [];
  while (sockets.length < subscribers) {
    const opening = Array.from(
      { length: Math.min(OPENED_AT_ONCE, subscribers - sockets.length) },
      (_, index) => {
        const token = kind === 'bare' ? null : (tokens[index % tokens.length] ?? null);
        return subscribe(url, token, onDelivery);
      },
    );
    sockets.push(...(await Promise.all(opening)));
  }
  return {
    async measure(seconds, perSecond) {
      sentAt.clear();
      latencies = [];
      const count = Math.round(seconds * perSecond);
      const first = performance.now();
      const answers: Promise<number>[] = [];
      for (let index = 0; index < count; index += 1) {
        const waitMs = first + (index * 1_000) / perSecond - performance.now();
        if (waitMs > 0) await delay(waitMs);
        const deliveryId = randomUUID();
        sentAt.set(deliveryId, performance.now());
        answers.push(send(url, deliveryId));
      }
      for (const status of await Promise.all(answers)) {
        if (status !== 202) throw new Error(`Answered ${status}`);
      }
      const deadline = performance.now() + ARRIVED_WITHIN_MS;
      while (latencies.length < count * subscribers) {
        if (performance.now() > deadline) {
          throw new Error(`${TITLES[kind]}: ${latencies.length} of ${count * subscribers} came`);
        }
        await delay(10);
      }
      latencies.sort((one, other) => one - other);
      const at = (part: number) => latencies[Math.floor(latencies.length * part)] ?? 0;
      return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
    },
    leave() {
      for (const socket of sockets) socket.terminate();
    },
  };
}

/** Resolves once nothing that is sent from now on can be missed. A bare socket has no token. */
async function subscribe(
  url: string,
  token: string | null,
  onDelivery: (deliveryId: string) => void,
): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    perMessageDeflate: false,
  });
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  socket.on('message', (data: Buffer) => {
    const { type, payload } = JSON.parse(data.toString());
    if (type === 'connection_ack') {
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: QUERY } }));
    } else if (type === 'next') {
      const { message } = payload.data.webhookMessageReceived;
      if (message === undefined) resolve();
      else onDelivery(message.deliveryId);
    } else if (type === 'error') reject(new Error(JSON.stringify(payload)));
  });
  await once(socket, 'open');
  if (token === null) return socket;
  const authorization = `Bearer ${token}`;
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
  await ready;
  return socket;
}

async function send(url: string, deliveryId: string): Promise<number> {
  const response = await fetch(`${url}/webhook/github`, {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'push',
      'x-github-delivery': deliveryId,
      'x-hub-signature-256': signature,
    },
  });
  await response.arrayBuffer();
  return response.status;
}
