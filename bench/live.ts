// From sending a webhook to each subscriber having it, at a paced rate far below what a node can do, beside the same
// bytes over a bare NATS subject (or NOTIFY) to bare sockets. With two nodes it goes in through one and comes out
// of the other. `node bench/live.ts [rounds] [seconds] [jetstream|postgres] [webhooks a second]`
import { type ChildProcess, fork } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { LiveKind, LiveOrder } from './live-contenders.ts';
import { median, printTable } from './table.ts';
import { createBenchWorld, SECRET } from './world.ts';

const ROUNDS = Number(process.argv[2] ?? 3);
const SECONDS = Number(process.argv[3] ?? 5);
const BUS = process.argv[4] ?? 'jetstream';
const PER_SECOND = Number(process.argv[5] ?? 20);
const SUBSCRIBERS = [1, 100] as const;
const KINDS: readonly LiveKind[] = ['naru', 'bare'];
const TITLES: Readonly<Record<LiveKind, string>> = {
  naru: 'Naru',
  bare: BUS === 'jetstream' ? 'bare NATS → ws' : 'bare NOTIFY → ws',
};
const QUERY =
  'subscription { webhookMessageReceived { ... on WebhookMessageReceived { message { deliveryId } } } }';

const body = JSON.stringify({
  ref: 'refs/heads/main',
  repository: { id: 1, full_name: 'octocat/Hello.World' },
  sender: { login: 'octocat' },
});
const signature = `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`;

interface Node {
  readonly child: ChildProcess;
  readonly url: string;
}

interface Measure {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

const world = await createBenchWorld({ withNats: BUS === 'jetstream' });
// The nodes are processes of their own; this one only sends and receives.
await world.stopNode();
try {
  const nodes: Record<LiveKind, readonly Node[]> = {
    naru: [await start('naru'), await start('naru')],
    bare: [await start('bare'), await start('bare')],
  };
  console.log(`\n${BUS}, ${PER_SECOND} webhooks a second, ${ROUNDS} rounds of ${SECONDS} s\n`);
  const rows: string[][] = [];
  for (const nodeCount of [1, 2]) {
    for (const subscribers of SUBSCRIBERS)
      rows.push(...(await compare(nodes, nodeCount, subscribers)));
  }
  printTable(['nodes', 'subscribers', 'path', 'p50 ms', 'p95 ms', 'p99 ms', 'added at p50'], rows);
  for (const { child } of [...nodes.naru, ...nodes.bare]) child.disconnect();
} finally {
  await world.close();
}

async function compare(
  nodes: Record<LiveKind, readonly Node[]>,
  nodeCount: number,
  subscribers: number,
): Promise<string[][]> {
  const measures: Record<LiveKind, Measure[]> = { naru: [], bare: [] };
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const kind of KINDS) {
      const [way, out = way] = nodes[kind].slice(0, nodeCount);
      if (way === undefined || out === undefined) throw new Error('No node runs');
      // The first round warms up.
      const measure = await measureOne(
        kind,
        way.url,
        out.url,
        subscribers,
        round === 0 ? 1 : SECONDS,
      );
      if (round > 0) measures[kind].push(measure);
    }
  }
  const of = (kind: LiveKind, part: keyof Measure) => median(measures[kind].map((m) => m[part]));
  return KINDS.map((kind) => [
    `${nodeCount}`,
    `${subscribers}`,
    TITLES[kind],
    ...(['p50', 'p95', 'p99'] as const).map((part) => of(kind, part).toFixed(2)),
    (of(kind, 'p50') - of('bare', 'p50')).toFixed(2),
  ]);
}

async function start(kind: LiveKind): Promise<Node> {
  const child = fork(new URL('./live-contenders.ts', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const order: LiveOrder = { kind, environment: world.environment };
  child.send(order);
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { child, url };
}

/** Sends through `way` and receives from `out`. Throws unless every subscriber has every webhook. */
async function measureOne(
  kind: LiveKind,
  way: string,
  out: string,
  subscribers: number,
  seconds: number,
): Promise<Measure> {
  const sentAt = new Map<string, number>();
  const latencies: number[] = [];
  const count = Math.round(seconds * PER_SECOND);
  const { promise: received, resolve } = Promise.withResolvers<void>();
  const sockets = await Promise.all(
    Array.from({ length: subscribers }, () =>
      subscribe(kind, out, (deliveryId) => {
        const at = sentAt.get(deliveryId);
        if (at === undefined) return;
        latencies.push(performance.now() - at);
        if (latencies.length === count * subscribers) resolve();
      }),
    ),
  );
  const first = performance.now();
  const answers: Promise<number>[] = [];
  for (let index = 0; index < count; index += 1) {
    // By the clock and not by the answers, so that a slow node does not get fewer of them.
    const waitMs = first + (index * 1_000) / PER_SECOND - performance.now();
    if (waitMs > 0) await new Promise((wait) => setTimeout(wait, waitMs));
    const deliveryId = randomUUID();
    sentAt.set(deliveryId, performance.now());
    answers.push(send(way, deliveryId));
  }
  for (const status of await Promise.all(answers)) {
    if (status !== 202) throw new Error(`Answered ${status}`);
  }
  const late = setTimeout(() => {
    throw new Error(`${TITLES[kind]}: ${latencies.length} of ${count * subscribers} came`);
  }, 10_000);
  await received;
  clearTimeout(late);
  for (const socket of sockets) socket.terminate();
  latencies.sort((left, right) => left - right);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Resolves once nothing that is sent from now on can be missed. */
async function subscribe(
  kind: LiveKind,
  url: string,
  onDelivery: (deliveryId: string) => void,
): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  socket.on('message', (data: Buffer) => {
    const { type, payload } = JSON.parse(data.toString());
    if (type === 'connection_ack') {
      const subscription = { id: '1', type: 'subscribe', payload: { query: QUERY } };
      socket.send(JSON.stringify(subscription));
    } else if (type === 'next') {
      const { message } = payload.data.webhookMessageReceived;
      if (message === undefined) resolve();
      else onDelivery(message.deliveryId);
    }
  });
  if (kind === 'bare') return socket;
  const authorization = `Bearer ${world.token}`;
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
