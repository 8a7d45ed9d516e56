// From the commit of a message, by PostgreSQL's own word, to each of many subscribers on the other node having it,
// beside the same bytes published on a bare NATS subject and handed to as many bare sockets.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import { WebSocket } from 'ws';
import { decodeGlobalId, encodeGlobalId } from '#lib/global-id.ts';
import { newId } from '#lib/ids.ts';
import { callRooms, succeeded } from '../proof/rooms-calls.ts';
import { addAccounts, type RoomAccount, storeRoom } from '../proof/rooms-scene.ts';
import type { LiveOrder } from './live-contenders.ts';
import type { BareOrder } from './rooms-contender.ts';
import { median, printTable, spread } from './table.ts';
import { startContender } from './webhooks-contender.ts';
import { createBenchWorld } from './world.ts';

interface LiveOptions {
  readonly rounds: number;
  readonly subscribers: number;
  readonly perSecond: number;
  readonly seconds: number;
}

type Kind = 'naru' | 'bare';

const TITLES: Readonly<Record<Kind, string>> = {
  naru: 'Naru, commit → subscriber',
  bare: 'bare NATS publish → ws',
};
const QUERY = `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) {
  ... on MessageSent { message { id sequence body } } } }`;
const BODY = 'Is the build green again? I would like to ship before lunch.';
const SUBJECT = 'bench.rooms';
const ARRIVED_WITHIN_MS = 20_000;

/** Wall clock, finer than a millisecond: the one that PostgreSQL on this machine reads, too. */
const now = () => performance.timeOrigin + performance.now();

interface Measure {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Who listens, and when each of them had which message. */
interface Crowd {
  readonly arrivals: Map<string, number[]>;
  close(): void;
}

export async function benchRoomsLive(options: LiveOptions): Promise<void> {
  const { rounds, subscribers, perSecond, seconds } = options;
  const world = await createBenchWorld({ withNats: true });
  await world.stopNode();
  const children: ChildProcess[] = [];
  const crowds: Crowd[] = [];
  const database = new pg.Pool({ connectionString: world.postgres.url, max: 2 });
  database.on('error', () => {});
  const nats = await connect({ servers: world.nats?.url ?? '' });
  try {
    // It says when each transaction committed, once it is told to keep that.
    await database.query('ALTER SYSTEM SET track_commit_timestamp = on');
    await world.postgres.restart();
    const query = async <Row extends object>(text: string, values: readonly unknown[] = []) =>
      (await database.query<Row>(text, [...values])).rows;
    const authors = await addAccounts(query, 'author', perSecond);
    const readers = await addAccounts(query, 'reader', subscribers);
    const [owner, ...others] = [...authors, ...readers];
    if (owner === undefined) throw new Error('Nobody is there');
    const room = await storeRoom(query, { owner, members: others });
    const start = async (order: LiveOrder | BareOrder) => {
      const file = order.kind === 'bare' ? './rooms-contender.ts' : './live-contenders.ts';
      const { child, url } = await startContender(file, order);
      children.push(child);
      return url;
    };
    const order: LiveOrder = { kind: 'naru', environment: world.environment };
    const [way, out] = [await start(order), await start(order)];
    const bare = await start({ kind: 'bare', natsUrl: world.nats?.url ?? '', subject: SUBJECT });
    const variables = { roomId: room.id };
    const naruCrowd = await gather(out, readers, { query: QUERY, variables });
    crowds.push(naruCrowd);
    const bareCrowd = await gather(bare, readers, null);
    crowds.push(bareCrowd);

    const measures: Record<Kind, Measure[]> = { naru: [], bare: [] };
    // The first round warms up.
    for (let round = -1; round < rounds; round += 1) {
      const count = perSecond * (round < 0 ? 2 : seconds);
      const committed = await pace(count, perSecond, async (index) =>
        say(way, room.id, authors[index % authors.length]),
      );
      const naru = await measure(naruCrowd, committed, subscribers, () => commitTimes(query));
      const published = new Map<string, number>();
      await pace(count, perSecond, async (index) => {
        const id = encodeGlobalId('ChatMessage', newId());
        published.set(id, now());
        nats.publish(SUBJECT, frameOf(id, index));
        return id;
      });
      const ids = [...published.keys()];
      const plain = await measure(bareCrowd, ids, subscribers, async () => published);
      if (round >= 0) {
        measures.naru.push(naru);
        measures.bare.push(plain);
      }
    }
    console.log(
      `\nlive, two nodes, ${subscribers} subscribers, ${perSecond} messages a second, ${rounds} rounds of ${seconds} s\n`,
    );
    print(measures);
  } finally {
    for (const crowd of crowds) crowd.close();
    await nats.close();
    for (const child of children) child.disconnect();
    await database.end();
    await world.close();
  }
}

function print(measures: Readonly<Record<Kind, readonly Measure[]>>): void {
  const of = (kind: Kind, part: keyof Measure) => median(measures[kind].map((one) => one[part]));
  printTable(
    ['path', 'p50 ms', 'p95 ms', 'p99 ms', 'spread of p99', 'of the control at p50'],
    (['naru', 'bare'] as const).map((kind) => [
      TITLES[kind],
      ...(['p50', 'p95', 'p99'] as const).map((part) => of(kind, part).toFixed(1)),
      spread(
        measures[kind].map(({ p99 }) => p99),
        1,
      ),
      (of(kind, 'p50') / of('bare', 'p50')).toFixed(1),
    ]),
  );
}

/** By the clock and not by the answers, so that a slow node does not get fewer of them. */
async function pace<Result>(
  count: number,
  perSecond: number,
  send: (index: number) => Promise<Result>,
): Promise<Result[]> {
  const first = performance.now();
  const sending: Promise<Result>[] = [];
  for (let index = 0; index < count; index += 1) {
    const waitMs = first + (index * 1_000) / perSecond - performance.now();
    if (waitMs > 0) await delay(waitMs);
    sending.push(send(index));
  }
  return Promise.all(sending);
}

async function say(
  nodeUrl: string,
  roomId: string,
  author: RoomAccount | undefined,
): Promise<string> {
  const name = 'sendMessage';
  const input = { roomId, clientMessageId: newId(), body: BODY };
  const token = author?.token ?? '';
  const { type, message, result } = await callRooms({ nodeUrl, token, name, input });
  if (type !== succeeded(name)) throw new Error(`${type}: ${message}`);
  return (result['chatMessage'] as { readonly id: string }).id;
}

/** Of every message, by its id in the API. */
async function commitTimes(
  query: <Row extends object>(text: string) => Promise<Row[]>,
): Promise<ReadonlyMap<string, number>> {
  const rows = await query<{ id: string; at: string }>(
    `SELECT message_id AS id, extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000 AS at
     FROM room_event WHERE kind = 'MESSAGE_SENT'`,
  );
  return new Map(rows.map(({ id, at }) => [encodeGlobalId('ChatMessage', id), Number(at)]));
}

/** Throws unless every subscriber has every message, once. */
async function measure(
  { arrivals }: Crowd,
  ids: readonly string[],
  subscribers: number,
  readTimes: () => Promise<ReadonlyMap<string, number>>,
): Promise<Measure> {
  const deadline = performance.now() + ARRIVED_WITHIN_MS;
  const missing = () => ids.filter((id) => (arrivals.get(id)?.length ?? 0) < subscribers);
  while (missing().length > 0) {
    if (performance.now() > deadline) throw new Error(`${missing().length} came not to all`);
    await delay(20);
  }
  const times = await readTimes();
  const latencies = ids.flatMap((id) => {
    const from = times.get(id);
    const found = arrivals.get(id) ?? [];
    if (from === undefined || found.length > subscribers) {
      throw new Error(`${decodeGlobalId(id).id} came ${found.length} times`);
    }
    return found.map((at) => at - from);
  });
  latencies.sort((left, right) => left - right);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Resolves once nothing that is sent from now on can be missed. */
async function gather(
  url: string,
  readers: readonly RoomAccount[],
  subscription: object | null,
): Promise<Crowd> {
  const arrivals = new Map<string, number[]>();
  const sockets: WebSocket[] = [];
  for (const { token } of readers) {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      perMessageDeflate: false,
    });
    sockets.push(socket);
    await once(socket, 'open');
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    socket.on('message', (data: Buffer) => {
      const { type, payload } = JSON.parse(data.toString());
      if (type === 'connection_ack') {
        socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: subscription }));
      } else if (type === 'next') {
        const id: string | undefined = payload.data.roomEvents.message?.id;
        if (id === undefined) resolve();
        else {
          const known = arrivals.get(id);
          if (known === undefined) arrivals.set(id, [now()]);
          else known.push(now());
        }
      }
    });
    if (subscription === null) continue;
    const authorization = `Bearer ${token}`;
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
    await ready;
  }
  return {
    arrivals,
    close() {
      for (const socket of sockets) socket.terminate();
    },
  };
}

/** Byte for byte what Naru sends for the subscription of this bench. */
function frameOf(id: string, sequence: number): string {
  const data = { roomEvents: { message: { id, sequence, body: BODY } } };
  return JSON.stringify({ id: '1', type: 'next', payload: { data } });
}
