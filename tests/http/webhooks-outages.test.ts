// What a 202 promises when the servers below are killed, restarted or away.
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import type { EmbeddedServer } from '../../embedded/server.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { startTestPostgres, startTestRedis, testRedisUrl } from '../support/servers.ts';
import { addSource, postRaw, postSigned, readAll, untilStored } from '../support/webhooks.ts';

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(overrides?: Parameters<typeof startNaru>[0]): Promise<TestNaru> {
  const naru = await startNaru(overrides);
  undo.push(() => naru.close());
  return naru;
}

/** A Naru on a PostgreSQL of its own, to be killed. */
async function startOnPrivatePostgres(): Promise<{ naru: TestNaru; postgres: EmbeddedServer }> {
  const postgres = await startTestPostgres();
  undo.push(() => postgres.stop());
  const naru = await start({ database: { url: postgres.url, drop: async () => {} } });
  return { naru, postgres };
}

/** A connection of the test's own. */
async function connect(naru: TestNaru): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: naru.database.url });
  await client.connect();
  undo.push(() => client.end());
  return client;
}

/** Naru as operators run it, as a process that can be killed. */
async function startProcess({ url }: TestDatabase): Promise<{
  readonly url: string;
  kill(): Promise<void>;
}> {
  const redis = testRedisUrl();
  const child = fork(fileURLToPath(import.meta.resolve('#main.ts')), {
    env: {
      ...process.env,
      NODE_ENV: 'development',
      PORT: '0',
      DATABASE_URL: url,
      REDIS_URL: redis.url,
      REDIS_KEY_PREFIX: redis.keyPrefix,
      LOG_LEVEL: 'silent',
    },
    execArgv: [],
    silent: true,
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  undo.push(kill);
  const ready = new Promise<string>((resolve) => {
    child.on('message', (message: { ready: string }) => resolve(message.ready));
  });
  let said = '';
  child.stderr?.on('data', (chunk) => {
    said += String(chunk);
  });
  const ended = exited.then(() => Promise.reject(new Error(`Naru did not start: ${said}`)));
  return { url: await Promise.race([ready, ended]), kill };
}

async function expectExactlyOnce(naru: TestNaru, ids: readonly string[]): Promise<void> {
  const wanted = new Set(ids);
  await untilStored(naru, wanted.size);
  const found = (await readAll(naru.url, await naru.tokenFor('alice'))).map(({ id }) => id);
  expect(found).toHaveLength(wanted.size);
  expect(new Set(found)).toEqual(wanted);
}

test('without the bus a webhook is refused with 503, and nothing is stored', async () => {
  const naru = await start();
  await naru.app.bus.close();
  const answer = await postSigned(naru.url, '{}');
  expect(answer.status).toBe(503);
  expect(answer.json.error).toMatchObject({ code: 'UNAVAILABLE', retryAfterSeconds: 5 });
  expect(answer.headers['retry-after']).toBe('5');
  const [row] = await naru.app.database.query<{ count: string }>('SELECT count(*) FROM bus_entry');
  expect(row?.count).toBe('0');
});

test('without Redis an unknown path is refused with 503, and known sources go on', async () => {
  const redis = await startTestRedis();
  undo.push(() => redis.stop());
  const naru = await start({
    settings: { REDIS_URL: redis.url, WEBHOOK_UNKNOWN_SOURCES: 'store' },
  });
  const postUnknown = () => postRaw(naru.url, { path: '/webhook/unknown', body: 'x' });
  expect((await postUnknown()).status).toBe(202);
  await redis.kill();
  const refused = await postUnknown();
  expect(refused.status).toBe(503);
  expect(refused.json.error.code).toBe('UNAVAILABLE');
  expect((await postSigned(naru.url, '{}')).status).toBe(202);
  await redis.restart();
  await until(async () => (await postUnknown()).status === 202);
});

test('every 202 is readable exactly once when PostgreSQL is killed and restarted in mid-traffic', async () => {
  const { naru, postgres } = await startOnPrivatePostgres();
  const accepted: string[] = [];
  const refusals = new Set<number>();
  let posting = true;
  const sender = async (): Promise<void> => {
    while (posting) {
      const deliveryId = randomUUID();
      const body = JSON.stringify({ deliveryId });
      // As a sender does that got no 2xx: the same delivery again, until it is taken.
      for (;;) {
        const answer = await postSigned(naru.url, body, { 'x-github-delivery': deliveryId });
        if (answer.status === 202) {
          accepted.push(answer.json.id);
          break;
        }
        refusals.add(answer.status);
      }
    }
  };
  const senders = [sender(), sender(), sender(), sender()];
  for (const end of [() => postgres.kill(), () => postgres.stop()]) {
    const before = accepted.length;
    await until(() => accepted.length > before + 30);
    await end();
    await postgres.restart();
  }
  const before = accepted.length;
  await until(() => accepted.length > before + 30);
  posting = false;
  await Promise.all(senders);
  expect([...refusals].filter((status) => status !== 503)).toEqual([]);
  expect(new Set(accepted).size).toBe(accepted.length);
  await expectExactlyOnce(naru, accepted);
});

test('every 202 is readable exactly once when Naru itself is killed in mid-traffic', async () => {
  const database = await createTestDatabase();
  undo.push(() => database.drop());
  const accepted: string[] = [];
  for (let life = 0; life < 3; life += 1) {
    const node = await startProcess(database);
    const sender = async () => {
      for (;;) {
        const body = JSON.stringify({ index: accepted.length });
        const answer = await postSigned(node.url, body).catch(() => null);
        if (answer === null) return;
        if (answer.status === 202) accepted.push(answer.json.id);
      }
    };
    const senders = [sender(), sender(), sender(), sender()];
    const before = accepted.length;
    await until(() => accepted.length > before + 50);
    await node.kill();
    await Promise.all(senders);
  }
  // What a killed node took and could not say so may be there as well.
  const naru = await start({ database });
  const alice = await naru.tokenFor('alice');
  const isProjected = async () => {
    const [row] = await naru.app.database.query<{ done: boolean }>(
      `SELECT (SELECT count(*) FROM webhook_message) = (SELECT count(*) FROM bus_entry
       WHERE topic = 'webhooks.received') AS done`,
    );
    return row?.done ?? false;
  };
  await until(isProjected);
  const found = (await readAll(naru.url, alice)).map(({ id }) => id);
  expect(new Set(found).size).toBe(found.length);
  expect(accepted.filter((id) => !found.includes(id))).toEqual([]);
});

test('two nodes share the work, and one goes on when the other stops', async () => {
  const first = await start();
  const second = await start({ database: first.database });
  const delivery = () => ({ 'x-github-delivery': randomUUID() });
  const ids: string[] = [];
  for (let index = 0; index < 20; index += 1) {
    const headers = delivery();
    const answers = await Promise.all(
      [first, second].map(({ url }) => postSigned(url, `{"index":${index}}`, headers)),
    );
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    expect(answers[0]?.json.id).toBe(answers[1]?.json.id);
    ids.push(answers[0]?.json.id);
  }
  await expectExactlyOnce(second, ids);
  await first.server.close();
  await first.app.close();
  for (let index = 0; index < 20; index += 1) {
    ids.push((await postSigned(second.url, `{"then":${index}}`, delivery())).json.id);
  }
  await expectExactlyOnce(second, ids);
});

test('a projection whose connection is lost before or after it wrote is done again, once', async () => {
  const naru = await start();
  await addSource(naru.app, 'open');
  const holder = await connect(naru);
  const ids: string[] = [];
  // The first is where a projection begins, the second is behind its rows and before their bodies.
  for (const lock of [
    `SELECT FROM feed WHERE name = 'webhooks' FOR UPDATE`,
    'LOCK TABLE webhook_body IN EXCLUSIVE MODE',
  ]) {
    await holder.query('BEGIN');
    await holder.query(lock);
    for (let index = 0; index < 5; index += 1) {
      ids.push((await postRaw(naru.url, { path: '/webhook/open', body: `${index}` })).json.id);
    }
    await until(async () => {
      const { rows } = await holder.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'naru'`,
      );
      return rows.length > 0;
    });
    await holder.query('COMMIT');
    await untilStored(naru, ids.length);
  }
  await expectExactlyOnce(naru, ids);
});

test('a projection that throws in the middle of a batch is done again, once', async () => {
  const naru = await start();
  await addSource(naru.app, 'open');
  const client = await connect(naru);
  // A sequence does not roll back: the second and third body fail, once each.
  await client.query(`
    CREATE SEQUENCE tries;
    CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF nextval('tries') IN (2, 3) THEN RAISE EXCEPTION 'the test says no'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER fail_twice BEFORE INSERT ON webhook_body FOR EACH ROW EXECUTE FUNCTION fail_twice()`);
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      postRaw(naru.url, { path: '/webhook/open', body: `${index}` }),
    ),
  );
  await expectExactlyOnce(
    naru,
    answers.map(({ json }) => json.id),
  );
});

test('a message that cannot be stored does not hold up what follows', async () => {
  const naru = await start();
  await addSource(naru.app, 'open');
  const client = await connect(naru);
  await client.query(`
    CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.path LIKE '%poison%' THEN RAISE EXCEPTION 'poison'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER refuse_poison BEFORE INSERT ON webhook_message
      FOR EACH ROW EXECUTE FUNCTION refuse_poison()`);
  const post = (path: string) => postRaw(naru.url, { path, body: path });
  const ids: string[] = [];
  for (const path of ['a', 'poison', 'b', 'c']) {
    const { json } = await post(`/webhook/open/${path}`);
    if (path !== 'poison') ids.push(json.id);
  }
  const together = await Promise.all(['d', 'poison/2', 'e'].map((p) => post(`/webhook/open/${p}`)));
  ids.push(
    ...together
      .filter(({ json }) => !json.webhookPath.includes('poison'))
      .map(({ json }) => json.id),
  );
  await expectExactlyOnce(naru, ids);
  // Once the reason is gone they come by themselves: they were kept, not dropped.
  await client.query('DROP TRIGGER refuse_poison ON webhook_message');
  await untilStored(naru, 7);
});
