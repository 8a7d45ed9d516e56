// Signed 8 KB webhooks by the clock, whatever the answers: how long each took from the moment in which it was due, and
// whether each that was accepted is stored. The control is a bare Fastify route that publishes the same bytes.
import type { ChildProcess } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { decodeGlobalId } from '#lib/global-id.ts';
import type { IngestKind } from './ingest-contenders.ts';
import { printTable, spread } from './table.ts';
import { startContender } from './webhooks-contender.ts';
import { createBenchWorld, SECRET } from './world.ts';

interface IngressOptions {
  readonly seconds: number;
  readonly perSecond: number;
}

const KINDS = ['naru', 'fastify-publish'] as const satisfies readonly IngestKind[];
const TITLES = { naru: 'Naru, projecting too', 'fastify-publish': 'bare Fastify that publishes' };
const SLICE_SECONDS = 10;
const WARM_UP_SECONDS = 3;
const STORED_WITHIN_MS = 120_000;

const body = JSON.stringify({
  ref: 'refs/heads/main',
  before: '0'.repeat(40),
  after: '1'.repeat(40),
  commits: [],
  repository: { id: 1, full_name: 'octocat/Hello.World' },
  sender: { login: 'octocat' },
  text: 'x'.repeat(8_000),
});
const signature = `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`;

export async function benchIngress({ seconds, perSecond }: IngressOptions): Promise<void> {
  const world = await createBenchWorld({ withNats: true });
  // Whoever measures only sends: the nodes are processes of their own.
  await world.stopNode();
  const children: ChildProcess[] = [];
  try {
    const rows: string[][] = [];
    for (const kind of KINDS) {
      const environment = { ...world.environment, NATS_NAMESPACE: `bench-${kind}` };
      const { child, url } = await startContender('./ingest-contenders.ts', {
        kind,
        body,
        environment,
      });
      children.push(child);
      await sendFor(url, { seconds: Math.min(WARM_UP_SECONDS, seconds), perSecond });
      const sent = await sendFor(url, { seconds, perSecond });
      rows.push([
        TITLES[kind],
        ...describe(sent),
        kind === 'naru' ? await describeLoss(world.postgres.url, sent) : '',
      ]);
      child.disconnect();
    }
    console.log(
      `\ningress, ${perSecond} webhooks a second for ${seconds} s, ${body.length} bytes\n`,
    );
    printTable(
      ['path', 'sent', 'accepted', 'p50 ms', 'p99 ms', `p99 of each ${SLICE_SECONDS} s`, 'lost'],
      rows,
    );
  } finally {
    for (const child of children) child.kill();
    await world.close();
  }
}

interface Sent {
  readonly count: number;
  /** Ids that a 202 told. */
  readonly accepted: string[];
  /** By the second in which they were due. */
  readonly latencies: { readonly second: number; readonly ms: number }[];
}

async function sendFor(url: string, { seconds, perSecond }: IngressOptions): Promise<Sent> {
  const agent = new Agent({ keepAlive: true, maxSockets: 512 });
  const accepted: string[] = [];
  const latencies: { second: number; ms: number }[] = [];
  const open: Promise<void>[] = [];
  const count = seconds * perSecond;
  const startedAt = performance.now();
  for (let index = 0; index < count; index += 1) {
    const dueMs = (index * 1_000) / perSecond;
    const waitMs = startedAt + dueMs - performance.now();
    if (waitMs > 0) await delay(waitMs);
    const sending = post(url, agent).then((id) => {
      // From when it was due and not from when it was sent: a sender that is held up hides nothing.
      const ms = performance.now() - startedAt - dueMs;
      latencies.push({ second: Math.floor(dueMs / 1_000), ms });
      if (id !== null) accepted.push(id);
    });
    open.push(sending);
  }
  await Promise.all(open);
  agent.destroy();
  return { count, accepted, latencies };
}

function describe({ count, accepted, latencies }: Sent): string[] {
  const slices = Map.groupBy(latencies, ({ second }) => Math.floor(second / SLICE_SECONDS));
  const p99s = [...slices.values()].map((slice) => quantile(slice, 0.99));
  return [
    String(count),
    String(accepted.length),
    quantile(latencies, 0.5).toFixed(2),
    quantile(latencies, 0.99).toFixed(2),
    spread(p99s, 1),
  ];
}

function quantile(latencies: Sent['latencies'], part: number): number {
  const sorted = latencies.map(({ ms }) => ms).toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}

/** How many that were accepted are stored nowhere, once they have had their time. */
async function describeLoss(databaseUrl: string, { accepted }: Sent): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const ids = accepted.map((id) => decodeGlobalId(id).id);
    const from = performance.now();
    for (;;) {
      const { rows } = await client.query<{ count: number }>(
        'SELECT count(*)::int AS count FROM webhook_message WHERE id = ANY($1)',
        [ids],
      );
      const lost = ids.length - (rows[0]?.count ?? 0);
      const ms = performance.now() - from;
      if (lost === 0 || ms > STORED_WITHIN_MS) return `${lost}, known after ${ms.toFixed(0)} ms`;
      await delay(50);
    }
  } finally {
    await client.end();
  }
}

/** The id of what was accepted; null where it was not. */
function post(url: string, agent: Agent): Promise<string | null> {
  const { promise, resolve, reject } = Promise.withResolvers<string | null>();
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-github-event': 'push',
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': signature,
  };
  const sent = request(`${url}/webhook/github`, { method: 'POST', agent, headers }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('end', () => {
      const { id } = JSON.parse(text) as { id?: string };
      resolve(response.statusCode === 202 ? (id ?? '') : null);
    });
  });
  sent.on('error', reject);
  sent.end(body);
  return promise;
}
