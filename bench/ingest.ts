// Signed 8 KB webhooks, each with its own delivery id, beside the same bytes published to the same bus:
// by a bare Fastify route, and by a loop without any HTTP. `node bench/ingest.ts [rounds] [seconds] [jetstream|postgres]`
import { type ChildProcess, fork } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { IngestKind } from './ingest-contenders.ts';
import { median, printTable, spread } from './table.ts';
import { createBenchWorld, SECRET } from './world.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 4);
const BUS = process.argv[4] ?? 'jetstream';
const CONNECTIONS = [1, 32] as const;
const KINDS: readonly IngestKind[] = ['naru', 'naru-without-jobs', 'fastify-publish', 'publish'];
const TITLES: Readonly<Record<IngestKind, string>> = {
  naru: 'Naru, projecting too',
  'naru-without-jobs': 'Naru, ingress only',
  'fastify-publish': 'bare Fastify that publishes',
  publish: 'publishing, no HTTP',
};

const body = JSON.stringify({
  ref: 'refs/heads/main',
  repository: { id: 1, full_name: 'octocat/Hello.World' },
  sender: { login: 'octocat' },
  text: 'x'.repeat(8_000),
});
const signature = `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`;

interface Measure {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

const world = await createBenchWorld({ withNats: BUS === 'jetstream' });
try {
  const servers = await Promise.all(KINDS.map(start));
  for (const connections of CONNECTIONS) {
    const measures = new Map<IngestKind, Measure[]>(KINDS.map((kind) => [kind, []]));
    for (const server of servers) await measure(server, connections, 1);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const server of servers) {
        measures.get(server.kind)?.push(await measure(server, connections, SECONDS));
      }
    }
    print(connections, measures);
  }
  for (const { child } of servers) child.disconnect();
} finally {
  await world.close();
}

function print(connections: number, measures: ReadonlyMap<IngestKind, readonly Measure[]>): void {
  console.log(`\n${BUS}, ${connections} at once, ${body.length} bytes\n`);
  const of = (kind: IngestKind, pick: (measure: Measure) => number) =>
    (measures.get(kind) ?? []).map(pick);
  const control = median(of('fastify-publish', ({ rate }) => rate));
  const controlP50 = median(of('fastify-publish', ({ p50 }) => p50));
  printTable(
    [
      'path',
      'webhooks/s (median)',
      'spread',
      'of the Fastify control',
      'p50 ms',
      'added at p50',
      'p99 ms',
    ],
    KINDS.map((kind) => {
      const rates = of(kind, ({ rate }) => rate);
      const p50 = median(of(kind, (each) => each.p50));
      return [
        TITLES[kind],
        median(rates).toFixed(0),
        spread(rates),
        `${((100 * median(rates)) / control).toFixed(0)} %`,
        p50.toFixed(2),
        (p50 - controlP50).toFixed(2),
        median(of(kind, ({ p99 }) => p99)).toFixed(2),
      ];
    }),
  );
}

interface Contender {
  readonly kind: IngestKind;
  readonly child: ChildProcess;
  readonly url: string | null;
}

async function start(kind: IngestKind): Promise<Contender> {
  const child = fork(new URL('./ingest-contenders.ts', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  // A namespace each, so that no contender works on what another took in.
  const environment = { ...world.environment, NATS_NAMESPACE: `bench-${kind}` };
  child.send({ kind, body, environment });
  const [{ url }] = (await once(child, 'message')) as [{ url: string | null }];
  return { kind, child, url };
}

async function measure(
  { child, url }: Contender,
  connections: number,
  seconds: number,
): Promise<Measure> {
  if (url === null) {
    child.send({ publishers: connections, seconds });
    const [answer] = (await once(child, 'message')) as [Measure];
    return answer;
  }
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const latencies: number[] = [];
  const end = performance.now() + seconds * 1_000;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (performance.now() < end) {
        const start = performance.now();
        const status = await post(`${url}/webhook/github`, agent);
        if (status !== 202) throw new Error(`Answered ${status}`);
        latencies.push(performance.now() - start);
      }
    }),
  );
  agent.destroy();
  latencies.sort((left, right) => left - right);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { rate: latencies.length / seconds, p50: at(0.5), p99: at(0.99) };
}

function post(url: string, agent: Agent): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const sent = request(
    url,
    {
      method: 'POST',
      agent,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'x-github-event': 'push',
        'x-github-delivery': randomUUID(),
        'x-hub-signature-256': signature,
      },
    },
    (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    },
  );
  sent.on('error', reject);
  sent.end(body);
  return promise;
}
