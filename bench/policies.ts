// What the policies cost: a small query on a server with all of them, beside the same server with none;
// and how long hostile requests hold it up.
import { fork } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import autocannon from 'autocannon';
import { median, printTable, spread } from './table.ts';
import { createBenchWorld } from './world.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 4);
const CONNECTIONS = 64;
const HOSTILE_TIMES = 100;

const SMALL = '{ viewer { id username roles } }';

const NONE = { COST_PER_MINUTE: '0', GUEST_COST_PER_MINUTE: '0', ACCESS_LOG_SAMPLE: '0' };

const world = await createBenchWorld();
const manifest = join(world.folder, 'documents.json');
await writeFile(manifest, JSON.stringify({ [`sha256:${hash('sha256', SMALL)}`]: SMALL }));
const ALL = {
  COST_PER_MINUTE: '1000000000',
  GUEST_COST_PER_MINUTE: '1000000000',
  ACCESS_LOG_SAMPLE: '0.01',
  API_ALLOW: '127.0.0.0/8,10.0.0.0/8,2001:db8::/32',
  API_DENY: '192.0.2.0/24',
  TRUSTED_PROXIES: '127.0.0.1',
  TRUSTED_DOCUMENTS: manifest,
  DOCUMENTS: 'trusted-only',
  INTROSPECTION: 'off',
};
const servers = [
  { title: 'none', ...(await start({ ...world.environment, ...NONE })) },
  { title: 'all', ...(await start({ ...world.environment, ...ALL })) },
] as const;
try {
  for (const [who, headers] of [
    ['guest', {}],
    ['personal access token', { authorization: `Bearer ${world.token}` }],
  ] as const) {
    await compare(who, headers);
  }
  await holdUp();
} finally {
  for (const { child } of servers) child.disconnect();
  await world.close();
}

async function compare(who: string, headers: Record<string, string>): Promise<void> {
  const rates = servers.map(() => [] as number[]);
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const [index, { url }] of servers.entries()) {
      const rate = await load(url, headers);
      if (round >= 0) rates[index]?.push(rate);
    }
  }
  const control = median(rates[0] ?? []);
  console.log(`\n\`${SMALL}\` by a ${who}, ${CONNECTIONS} connections\n`);
  printTable(
    ['policies', 'requests/s (median)', 'spread', 'of none'],
    servers.map(({ title }, index) => {
      const own = rates[index] ?? [];
      const share = `${((100 * median(own)) / control).toFixed(0)} %`;
      return [title, median(own).toFixed(0), spread(own), share];
    }),
  );
}

/** What a stranger can send: refused how fast, and for how long is nobody else served. */
async function holdUp(): Promise<void> {
  const [{ url, child }] = servers;
  const deep = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`;
  const repeated = `{${' __typename'.repeat(1_900)}}`;
  const hostile: readonly [string, string][] = [
    ['a document of 2 MB', JSON.stringify({ query: `{ ${'a'.repeat(2 * 2 ** 20)} }` })],
    ['a variable 5,000 deep', `{"query":"query($v:JSON){__typename}","variables":{"v":${deep}}}`],
    [
      'a variable 20,000 wide',
      JSON.stringify({ query: SMALL, variables: { v: Array(20_000).fill(1) } }),
    ],
    ['1,900 times one field', JSON.stringify({ query: repeated })],
    ['20,000 braces', JSON.stringify({ query: '{a'.repeat(20_000) })],
  ];
  const rows: string[][] = [];
  for (const [title, body] of hostile) {
    const times: number[] = [];
    let status = 0;
    await sendOnce(url, body);
    await ask(child, 'loop');
    for (let sent = 0; sent < HOSTILE_TIMES; sent += 1) {
      const startedAt = performance.now();
      status = await sendOnce(url, body);
      times.push(performance.now() - startedAt);
    }
    const { longestMs } = await ask(child, 'loop');
    const sorted = times.toSorted((left, right) => left - right);
    const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
    rows.push([title, String(status), at(0.5), at(0.99), longestMs.toFixed(1)]);
  }
  console.log(`\nRefusing what is hostile, ${HOSTILE_TIMES} times each\n`);
  printTable(
    ['request', 'status', 'p50 ms', 'p99 ms', 'longest the event loop stood still, ms'],
    rows,
  );
}

async function sendOnce(url: string, body: string): Promise<number> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/graphql-response+json',
    'x-forwarded-for': '10.0.0.1',
  };
  try {
    const response = await fetch(url, { method: 'POST', body, headers });
    await response.arrayBuffer();
    return response.status;
  } catch {
    // Cut off while it was still sending.
    return 0;
  }
}

async function ask(child: ReturnType<typeof fork>, question: string) {
  child.send(question);
  const [answer] = (await once(child, 'message')) as [{ longestMs: number }];
  return answer;
}

async function start(environment: Record<string, string>) {
  const child = fork(new URL('./contenders.ts', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send({ kind: 'naru', answer: null, environment });
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { child, url: `${url}/graphql` };
}

async function load(url: string, headers: Record<string, string>): Promise<number> {
  const result = await autocannon({
    url,
    method: 'POST',
    body: JSON.stringify({ query: SMALL }),
    headers: { 'content-type': 'application/json', ...headers },
    connections: CONNECTIONS,
    duration: SECONDS,
  });
  if (result.non2xx > 0 || result.errors > 0) throw new Error('An answer was not 2xx');
  return result.requests.average;
}
