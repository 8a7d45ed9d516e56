// Pulls of 100 for accounts with 1, 100 and 1,000 repositories over as many stored messages, each beside
// a control: 100 rows of the same table by primary key, from the same pool, one after the other in turn.
import { createApp } from '#app.ts';
import { readAuthorization } from '#auth/credential.ts';
import { parseConfig } from '#config.ts';
import { type App, createContext } from '#context.ts';
import { newId } from '#lib/ids.ts';
import { issueToken } from '#resolvers/users/personal-access-token.ts';
import { pullMessages } from '#resolvers/webhooks/inbox/pull.ts';
import { printTable, spread } from './table.ts';
import { createBenchWorld } from './world.ts';

const MESSAGES = Number(process.argv[2] ?? 200_000);
const ROUNDS = Number(process.argv[3] ?? 5);
const PULLS = Number(process.argv[4] ?? 60);
const REPOSITORIES = [1, 100, 1_000];
const LIMIT = 100;

const world = await createBenchWorld();
const app = await createApp(parseConfig({ ...world.environment, PORT: '0' }), { runsJobs: false });
try {
  const rows: string[][] = [];
  for (const count of REPOSITORIES) rows.push(await compare(count));
  printTable(
    ['repositories', 'pull p50 ms', 'pull p99 ms', 'control p50 ms', 'ratio of p50', 'spread ms'],
    rows,
  );
} finally {
  await app.close();
  await world.close();
}

async function compare(repositories: number): Promise<string[]> {
  const username = `puller-${repositories}`;
  const sourceId = await createPuller(app, username);
  await storeMessages(app, { sourceId, repositories, messages: MESSAGES });
  const { token } = await issueToken(app, { username, expiresInDays: 1 });
  const origin = {
    requestId: 'bench',
    credential: await readAuthorization(`Bearer ${token}`, app.accessTokens),
    client: { ipAddress: '127.0.0.1', userAgent: null },
    isGone: () => false,
    setSessionCookie: null,
    idempotencyKey: null,
    notes: { headers: {}, extensions: {} },
  };
  const ids = await app.database.query<{ id: string }>(
    'SELECT id FROM webhook_message WHERE source_id = $1 ORDER BY random() LIMIT 10000',
    [sourceId],
  );
  const pulled: number[] = [];
  const read: number[] = [];
  const medians: number[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    const own: number[] = [];
    for (let turn = 0; turn < PULLS; turn += 1) {
      const ctx = await createContext(app, origin);
      own.push(await time(() => pull(ctx)));
      const start = (turn * LIMIT) % (ids.length - LIMIT);
      const keys = ids.slice(start, start + LIMIT).map(({ id }) => id);
      const control = await time(() => readByKey(keys));
      // The first round only warms up.
      if (round >= 0) read.push(control);
    }
    if (round < 0) continue;
    pulled.push(...own);
    medians.push(quantile(own, 0.5));
  }
  const ratio = quantile(pulled, 0.5) / quantile(read, 0.5);
  return [
    String(repositories),
    quantile(pulled, 0.5).toFixed(1),
    quantile(pulled, 0.99).toFixed(1),
    quantile(read, 0.5).toFixed(2),
    ratio.toFixed(1),
    spread(medians, 1),
  ];
}

async function pull(ctx: Parameters<typeof pullMessages>[0]): Promise<void> {
  const input = { limit: LIMIT, leaseSeconds: 1, waitSeconds: 0, filter: {} };
  const { deliveries } = await pullMessages(ctx, input);
  if (deliveries.length !== LIMIT) throw new Error(`A pull got ${deliveries.length}`);
  // As a worker that is done at once, so that every pull finds the inbox alike: nothing held.
  await app.database.query('DELETE FROM webhook_delivery WHERE message_id = ANY($1)', [
    deliveries.map(({ messageId }) => messageId),
  ]);
}

async function readByKey(ids: readonly string[]): Promise<void> {
  const rows = await app.database.query(
    'SELECT * FROM webhook_message WHERE id = ANY($1)',
    [ids],
    'read-control',
  );
  if (rows.length !== LIMIT) throw new Error(`The control got ${rows.length}`);
}

async function time(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}

/** A user with a source of their own; answers with the source's id. */
async function createPuller(on: App, username: string): Promise<string> {
  const [userId, sourceId] = [newId(), newId()];
  await on.prisma.user.create({
    data: { id: userId, username, displayName: username, roles: ['USER'] },
  });
  await on.prisma.webhookSource.create({
    data: {
      id: sourceId,
      path: username,
      provider: 'NONE',
      grants: { create: { id: newId(), userId } },
    },
  });
  return sourceId;
}

/** Messages in turn over so many repositories, as the projector would have stored them. */
async function storeMessages(
  on: App,
  given: {
    readonly sourceId: string;
    readonly repositories: number;
    readonly messages: number;
  },
): Promise<void> {
  const { sourceId, repositories, messages } = given;
  await on.database.query(
    `INSERT INTO webhook_repository (id, source_id, provider_id, full_name)
     SELECT gen_random_uuid(), $1, n::text, 'bench/' || n FROM generate_series(1, $2::int) n`,
    [sourceId, repositories],
  );
  await on.database.query(
    `INSERT INTO webhook_lane (id, source_id, repository_id, last_sequence)
     SELECT id, source_id, id, $2::int / $3::int FROM webhook_repository WHERE source_id = $1`,
    [sourceId, messages, repositories],
  );
  const chunk = 50_000;
  for (let from = 0; from < messages; from += chunk) {
    await on.database.query(
      `INSERT INTO webhook_message
         (id, position, source_id, repository_id, lane_id, lane_sequence, verification, path, method,
          headers, byte_size, event_name, action, branch, sender, received_at)
       SELECT gen_random_uuid(), f.last_position + n, $1, r.id, r.id,
              ($2::int + n - 1) / $3::int + 1, 'UNSIGNED', 'bench', 'POST',
              '[{"name":"content-type","value":"application/json"}]', 2000,
              'push', NULL, 'main', 'octocat', naru_now()
       FROM generate_series(1, $4::int) n
       JOIN webhook_repository r
         ON r.source_id = $1 AND r.provider_id = (($2::int + n - 1) % $3::int + 1)::text
       CROSS JOIN feed f WHERE f.name = 'webhooks'`,
      [sourceId, from, repositories, Math.min(chunk, messages - from)],
    );
    await on.database.query(
      `UPDATE feed SET last_position = last_position + $1 WHERE name = 'webhooks'`,
      [Math.min(chunk, messages - from)],
    );
  }
  await on.database.query('ANALYZE');
}
