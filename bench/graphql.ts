// A small authenticated query and a list of 20, beside the same schema under Mercurius with its
// compiler, and beside bare Fastify that answers with the same JSON and does nothing for it.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import autocannon from 'autocannon';
import { median, printTable, spread } from './table.ts';
import { createBenchWorld } from './world.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 4);
const CONNECTIONS = 20;
const KINDS = ['naru', 'mercurius-jit', 'bare-fastify'] as const;

const QUERIES = {
  'small authenticated query': '{ viewer { username roles } }',
  'list of 20':
    '{ webhookMessages(last: 20) { nodes { id eventName action branch sender byteSize receivedAt } pageInfo { hasNextPage } } }',
};

const world = await createBenchWorld({ webhooks: 40 });
try {
  for (const [title, query] of Object.entries(QUERIES)) {
    console.log(`\n${title}: ${query}\n`);
    await compare(query);
  }
} finally {
  await world.close();
}

async function compare(query: string): Promise<void> {
  const body = JSON.stringify({ query });
  const headers = {
    'content-type': 'application/json',
    authorization: `Bearer ${world.token}`,
  };
  const answer = await world.ask(body, headers);
  const servers = await Promise.all(KINDS.map((kind) => start(kind, answer)));
  const rates: number[][] = KINDS.map(() => []);
  try {
    for (const { url } of servers) await load(url, body, headers, 2);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [index, { url }] of servers.entries()) {
        rates[index]?.push(await load(url, body, headers, SECONDS));
      }
    }
  } finally {
    for (const { child } of servers) child.disconnect();
  }
  const bare = median(rates[2] ?? []);
  printTable(
    ['server', 'requests/s (median)', 'spread', 'of bare Fastify', 'of Mercurius-jit'],
    KINDS.map((kind, index) => {
      const own = rates[index] ?? [];
      const rate = median(own);
      return [
        kind,
        rate.toFixed(0),
        spread(own),
        `${((100 * rate) / bare).toFixed(0)} %`,
        `${((100 * rate) / median(rates[1] ?? [])).toFixed(0)} %`,
      ];
    }),
  );
}

async function start(kind: (typeof KINDS)[number], answer: unknown) {
  const child = fork(new URL('./contenders.ts', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send({ kind, answer, environment: world.environment });
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  return { child, url: `${url}/graphql` };
}

async function load(
  url: string,
  body: string,
  headers: Record<string, string>,
  seconds: number,
): Promise<number> {
  const result = await autocannon({
    url,
    method: 'POST',
    body,
    headers,
    connections: CONNECTIONS,
    duration: seconds,
  });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${result.non2xx} answers were not 2xx`);
  return result.requests.average;
}
