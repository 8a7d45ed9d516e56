// Signing in, refreshing, and what a viewer costs: each beside what it stands on alone. The server and
// the load are processes of their own, as in life.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { availableParallelism } from 'node:os';
import autocannon from 'autocannon';
import { newId } from '#lib/ids.ts';
import { SEED_PASSWORD } from '../prisma/seed.ts';
import { median, printTable, spread } from './table.ts';
import { createBenchWorld } from './world.ts';

const ROUNDS = Number(process.argv[2] ?? 3);
const SECONDS = Number(process.argv[3] ?? 4);
const ACCOUNTS = 200;
const CORES = availableParallelism();

const SIGN_IN = `mutation ($input: SignInInput!) { signIn(input: $input) {
  __typename ... on SignedIn { accessToken refreshToken } } }`;
const REFRESH = `mutation ($input: RefreshSessionInput!) { refreshSession(input: $input) {
  __typename ... on SessionRefreshed { refreshToken } } }`;
const PAGE = { 'sec-fetch-site': 'same-origin', 'x-naru-csrf': '1' };

const world = await createBenchWorld();
world.environment.TRUSTED_PROXIES = '127.0.0.1';
await addAccounts();
const server = await start('./contenders.ts', {
  kind: 'naru',
  answer: null,
  environment: world.environment,
});
const agent = new http.Agent({ keepAlive: true });
try {
  await compareViewers(64);
  await compareViewers(20);
  await compareSignIns();
  await compareRefreshes();
  await compareUnderOverload();
} finally {
  server.child.disconnect();
  agent.destroy();
  await world.close();
}

/** What each kind of credential costs, beside a query that needs none. */
async function compareViewers(connections: number): Promise<void> {
  const tokens = await signIn(0);
  const cookie = await cookieOf();
  const kinds: readonly [string, string, Record<string, string>][] = [
    ['anonymous `__typename`', '{ __typename }', {}],
    ['access token, `viewer { id }`', '{ viewer { id } }', bearer(tokens.accessToken)],
    ['cookie, `viewer { id }`', '{ viewer { id } }', { cookie, ...PAGE }],
    ['personal access token, `viewer { id }`', '{ viewer { id } }', bearer(world.token)],
  ];
  const rates: number[][] = kinds.map(() => []);
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const [index, [, query, headers]] of kinds.entries()) {
      const rate = await load(JSON.stringify({ query }), headers, connections);
      if (round >= 0) rates[index]?.push(rate);
    }
  }
  const control = median(rates[0] ?? []);
  console.log(`\nWhat a viewer costs, ${connections} connections\n`);
  printTable(
    ['request', 'requests/s (median)', 'spread', 'of anonymous'],
    kinds.map(([title], index) => {
      const own = rates[index] ?? [];
      return [title, median(own).toFixed(0), spread(own), percent(median(own) / control)];
    }),
  );
}

/** Whole sign-ins, beside the library's own verify on as many threads. */
async function compareSignIns(): Promise<void> {
  const raw: number[] = [];
  const own: number[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    const control = await verifyRate();
    let turn = 0;
    const rate = await countFor(SECONDS, 4 * CORES, () => signIn(turn++ % ACCOUNTS));
    if (round < 0) continue;
    raw.push(control);
    own.push(rate);
  }
  console.log('\nSign-ins\n');
  printTable(
    ['what', 'a second (median)', 'spread', 'of the control'],
    [
      [`raw argon2id verify, ${CORES} at once`, median(raw).toFixed(0), spread(raw), '100 %'],
      ['GraphQL signIn', median(own).toFixed(0), spread(own), percent(median(own) / median(raw))],
    ],
  );
}

/** Chains of refreshes, beside single durable updates over a pool of the same size. */
async function compareRefreshes(): Promise<void> {
  const chains = 16;
  const tokens = await Promise.all(
    Array.from({ length: chains }, async (_, index) => (await signIn(index)).refreshToken),
  );
  const own: number[] = [];
  const raw: number[] = [];
  const shares: number[] = [];
  const { pool } = world.database;
  const [{ id }] = (await pool.query('SELECT id FROM session LIMIT 1')).rows;
  for (let round = -1; round < ROUNDS; round += 1) {
    const control = await countFor(SECONDS, chains, () =>
      pool.query('UPDATE session SET last_seen_at = now() WHERE id = $1', [id]),
    );
    const before = await cpuOf(server.child.pid);
    const rate = await countFor(SECONDS, chains, async (chain) => {
      const { refreshSession } = await ask(REFRESH, { refreshToken: tokens[chain] });
      tokens[chain] = refreshSession.refreshToken;
    });
    const share = ((await cpuOf(server.child.pid)) - before) / SECONDS;
    if (round < 0) continue;
    raw.push(control);
    own.push(rate);
    shares.push(share);
  }
  console.log('\nRefreshes, 16 sessions at once\n');
  printTable(
    ['what', 'a second (median)', 'spread', "of a core, the node's process", 'a second and core'],
    [
      ['one durable UPDATE of one row', median(raw).toFixed(0), spread(raw), '', ''],
      [
        'GraphQL refreshSession',
        median(own).toFixed(0),
        spread(own),
        percent(median(shares)),
        (median(own) / median(shares)).toFixed(0),
      ],
    ],
  );
}

/** Other queries while four times more sign-ins arrive than can be hashed. */
async function compareUnderOverload(): Promise<void> {
  const arriving = 4 * (await verifyRate());
  const idle: number[] = [];
  const busy: number[] = [];
  const refused: number[] = [];
  let outcome = { signedIn: 0, unavailable: 0, other: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    idle.push(...(await probe(SECONDS)));
    const flood = await start('./sign-in-flood.ts', {
      url: server.url,
      perSecond: arriving,
      accounts: ACCOUNTS,
      password: SEED_PASSWORD,
      query: SIGN_IN,
    });
    busy.push(...(await probe(SECONDS)));
    flood.child.send('stop');
    const [told] = (await once(flood.child, 'message')) as [
      { signedIn: number; unavailable: number; other: number; refusedMs: number[] },
    ];
    refused.push(...told.refusedMs);
    outcome = {
      signedIn: outcome.signedIn + told.signedIn,
      unavailable: outcome.unavailable + told.unavailable,
      other: outcome.other + told.other,
    };
  }
  console.log(
    `\n\`viewer { id }\`, 50 a second, while ${arriving.toFixed(0)} sign-ins arrive each second\n`,
  );
  const row = (title: string, times: number[]) => [
    title,
    quantile(times, 0.5).toFixed(1),
    quantile(times, 0.99).toFixed(1),
  ];
  printTable(
    ['', 'p50 ms', 'p99 ms'],
    [
      row('idle', idle),
      row('overloaded', busy),
      [
        'ratio',
        (quantile(busy, 0.5) / quantile(idle, 0.5)).toFixed(2),
        (quantile(busy, 0.99) / quantile(idle, 0.99)).toFixed(2),
      ],
      row('a refused sign-in', refused),
    ],
  );
  console.log(`\nOf the sign-ins: ${JSON.stringify(outcome)}`);
}

async function addAccounts(): Promise<void> {
  await world.database.query(
    `WITH added AS (
       INSERT INTO users (id, username, display_name, roles)
       SELECT id, 'bench' || row_number() OVER (), 'Bench', '{USER}' FROM unnest($1::uuid[]) AS given (id)
       RETURNING id
     )
     INSERT INTO password (user_id, hash)
     SELECT added.id, p.hash FROM added, password p JOIN users u ON u.id = p.user_id
     WHERE u.username = 'alice'`,
    [Array.from({ length: ACCOUNTS }, newId)],
  );
}

async function start(file: string, message: object) {
  const child = fork(new URL(file, import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send(message);
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { child, url: `${url}/graphql` };
}

/** Requests a second. */
async function load(
  body: string,
  headers: Record<string, string>,
  connections: number,
): Promise<number> {
  const result = await autocannon({
    url: server.url,
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
    connections,
    duration: SECONDS,
  });
  if (result.non2xx > 0 || result.errors > 0) throw new Error('An answer was not 2xx');
  return result.requests.average;
}

/** How often `work` is done in a second, by so many that each do it again and again. */
async function countFor(
  seconds: number,
  atOnce: number,
  work: (worker: number) => Promise<unknown>,
): Promise<number> {
  const startedAt = performance.now();
  let done = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async (_, worker) => {
      while (performance.now() - startedAt < seconds * 1000) {
        await work(worker);
        done += 1;
      }
    }),
  );
  return (done * 1000) / (performance.now() - startedAt);
}

/** Latencies of 50 small queries a second, sent whether or not the last one was answered. */
async function probe(seconds: number): Promise<number[]> {
  const pending: Promise<number>[] = [];
  for (let sent = 0; sent < seconds * 50; sent += 1) {
    pending.push(timeOf(() => ask('{ viewer { id } }', null, bearer(world.token))));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return Promise.all(pending);
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

async function signIn(account: number): Promise<{ accessToken: string; refreshToken: string }> {
  const input = { login: `bench${account + 1}`, password: SEED_PASSWORD, transport: 'TOKENS' };
  const answer = await ask(SIGN_IN, input);
  if (answer.signIn.__typename !== 'SignedIn') throw new Error(JSON.stringify(answer));
  return answer.signIn;
}

async function cookieOf(): Promise<string> {
  const input = { login: 'alice', password: SEED_PASSWORD, transport: 'COOKIE' };
  const response = await fetch(server.url, {
    method: 'POST',
    body: JSON.stringify({ query: SIGN_IN, variables: { input } }),
    headers: { 'content-type': 'application/json', ...PAGE },
  });
  return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
}

// biome-ignore lint/suspicious/noExplicitAny: the shape is the query's
async function ask(query: string, input: object | null, headers = {}): Promise<any> {
  const body = JSON.stringify({ query, ...(input && { variables: { input } }) });
  return new Promise((resolve, reject) => {
    const request = http.request(
      server.url,
      { method: 'POST', agent, headers: { 'content-type': 'application/json', ...headers } },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(JSON.parse(text).data));
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

async function verifyRate(): Promise<number> {
  const child = fork(new URL('./raw-argon2.ts', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send({ seconds: SECONDS, atOnce: CORES });
  const [{ rate }] = (await once(child, 'message')) as [{ rate: number }];
  return rate;
}

/** Seconds of processor time, as the kernel counts them; Linux only. */
async function cpuOf(pid: number | undefined): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
