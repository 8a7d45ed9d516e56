// Pulls of a hundred from a broker that is large, and from one that is small, by turns: on the same server, in the
// same process, through the same code. docs/proofs.md says what is claimed and how to repeat it.
import pg from 'pg';
import { startNats } from '../embedded/nats.ts';
import { anyPorts } from '../embedded/ports.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { startRedis } from '../embedded/redis.ts';
import type { BrokerSize } from './broker-rows.ts';
import { countConsumers, untilSteady } from './consumers.ts';
import { type Broker, openBroker, type PullWay, type Samples } from './measured-broker.ts';

export interface BrokerScaleOptions extends BrokerSize {
  /** Of each broker, by each of the two ways. */
  readonly pulls: number;
  /** What of the times the verdict is on; a few pulls say nothing of their slowest hundredth. */
  readonly judges?: 'p50' | 'p99';
  readonly folder: string;
  readonly postgresBinFolder?: string | undefined;
  readonly say?: (line: string) => void;
}

/** In milliseconds. */
export interface PullTimes {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface BrokerScale {
  readonly faults: readonly string[];
  readonly large: Readonly<Record<PullWay, PullTimes>>;
  readonly small: Readonly<Record<PullWay, PullTimes>>;
  readonly pulls: number;
  readonly storedInSeconds: number;
  /** What the broker of the large one holds: before there were users, with all of them idle, and with all waiting. */
  readonly consumers: { readonly none: number; readonly idle: number; readonly waiting: number };
  /** By table, of a user who never pulled, and of one who has. */
  readonly rows: {
    readonly idle: Readonly<Record<string, number>>;
    readonly busy: Readonly<Record<string, number>>;
  };
}

const RATIO_MAX = 2;
/** Of the large broker; each keeps its own place. */
const PULLERS_MAX = 30;
const WARM_UP = 20;
const SMALL = { repositories: 1, messages: 10_000 } as const;

export async function proveBrokerScale(options: BrokerScaleOptions): Promise<BrokerScale> {
  const { users, repositories, messages, seed, pulls, folder, say = () => {} } = options;
  const place = { folder, ports: anyPorts };
  const [postgres, redis, nats] = await Promise.all([
    startPostgres({ ...place, binFolder: options.postgresBinFolder, durable: true }),
    startRedis(place),
    startNats(place),
  ]);
  const brokers: Broker[] = [];
  try {
    const environment = {
      NODE_ENV: 'development',
      PORT: '0',
      LOG_LEVEL: 'error',
      REDIS_URL: redis.url,
      COST_PER_MINUTE: '0',
      GUEST_COST_PER_MINUTE: '0',
      ...(nats && { NATS_URL: nats.url }),
    };
    const open = async (name: string, size: BrokerSize) => {
      const url = await createDatabase(postgres.url, name);
      const broker = await openBroker({ ...environment, DATABASE_URL: url }, name, size);
      brokers.push(broker);
      return broker;
    };
    const small = await open('small', { users, seed, ...SMALL });
    const large = await open('large', { users, repositories, messages, seed });
    if (nats === null) say('There is no nats-server: in PostgreSQL, who reads the bus is a row');
    const count = async () => (nats === null ? 0 : countConsumers(nats.url, 'large'));
    const none = await untilSteady(count);
    const startedAt = performance.now();
    await small.store();
    await large.store();
    const storedInSeconds = (performance.now() - startedAt) / 1_000;
    say(`stored in ${storedInSeconds.toFixed(0)} s`);

    const rowsOfIdle = await large.countRows(users);
    const times = await measure(large, small, { pulls, users, say });
    const idle = await count();
    const waiting = await large.countWhileAllWait(count);
    const consumers = { none, idle, waiting };
    return {
      ...times,
      faults: judge(times, consumers, options.judges ?? 'p99'),
      pulls,
      storedInSeconds,
      consumers,
      rows: { idle: rowsOfIdle, busy: await large.countRows(1) },
    };
  } finally {
    for (const broker of brokers) await broker.close();
    await Promise.all([redis.stop(), nats?.stop()]);
    await postgres.stop();
  }
}

function judge(
  { large, small }: Pick<BrokerScale, 'large' | 'small'>,
  { none, idle, waiting }: BrokerScale['consumers'],
  part: 'p50' | 'p99',
): string[] {
  const faults: string[] = [];
  for (const way of ['lease', 'door'] as const) {
    const ratio = large[way][part] / small[way][part];
    if (ratio > RATIO_MAX) {
      faults.push(`${part} by ${way} is ${ratio.toFixed(2)} times that of small`);
    }
  }
  if (idle !== none) faults.push(`${idle} consumers with users, ${none} without`);
  // All who wait share what the node follows: one reader of one topic.
  if (waiting > none + 1) faults.push(`${waiting} consumers while all wait, ${none} without users`);
  return faults;
}

/** By turns, so that whatever else the machine does meets both alike. */
async function measure(
  large: Broker,
  small: Broker,
  options: {
    readonly pulls: number;
    readonly users: number;
    readonly say: (line: string) => void;
  },
): Promise<Pick<BrokerScale, 'large' | 'small'>> {
  const { pulls, users, say } = options;
  const samples: Record<'large' | 'small', Samples> = {
    large: { lease: [], door: [], ack: [] },
    small: { lease: [], door: [], ack: [] },
  };
  // The last one stays idle, and is looked at as such.
  const pullers = Math.max(1, Math.min(users - 1, PULLERS_MAX));
  for (let turn = -WARM_UP; turn < pulls; turn += 1) {
    const user = 1 + ((turn + WARM_UP) % pullers);
    // What a turn leaves behind in memory and cache is met by each of them equally often.
    const order = [
      { broker: large, into: samples.large },
      { broker: small, into: samples.small },
    ];
    if (turn % 2 === 0) order.reverse();
    for (const { broker, into } of order) {
      const found = await broker.pull(user);
      for (const way of ['lease', 'door', 'ack'] as const) {
        if (turn >= 0) into[way].push(...found[way]);
      }
    }
    if (turn % 100 === 0) say(`pull ${turn} of ${pulls}`);
  }
  return { large: summarise(samples.large), small: summarise(samples.small) };
}

function summarise(samples: Samples): Record<PullWay, PullTimes> {
  const of = (way: PullWay): PullTimes => {
    const sorted = samples[way].toSorted((left, right) => left - right);
    const at = (part: number) =>
      sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
    return { p50: at(0.5), p99: at(0.99), max: at(1) };
  };
  return { lease: of('lease'), door: of('door'), ack: of('ack') };
}

async function createDatabase(serverUrl: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name}`);
  } finally {
    await client.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
