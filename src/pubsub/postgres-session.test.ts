import { once } from 'node:events';
import pg from 'pg';
import { expect, test } from 'vitest';
import { until } from '../../tests/support/graphql-client.ts';
import { startTestPostgres } from '../../tests/support/servers.ts';
import type { BusLog } from './log.ts';
import { createPostgresSession } from './postgres-session.ts';

const log: BusLog = { debug() {}, info() {}, warn() {}, error() {} };
const LOCKS = ['first', 'second', 'third'];

test('leaders that leave while PostgreSQL dies are all let go', async () => {
  const postgres = await startTestPostgres();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => postgres.stop());
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  // All that a session looks at.
  await client.query('CREATE TABLE bus_topic (name text, incarnation uuid, last_sequence bigint)');
  await client.end();
  const session = createPostgresSession(postgres.url, log);
  stack.defer(() => session.close());
  let led = 0;
  const leaderships = LOCKS.map((name) =>
    session.lead(name, async (term) => {
      led += 1;
      if (!term.aborted) await once(term, 'abort');
    }),
  );
  await until(() => led === LOCKS.length);
  // Before the session hears of it: it asks for the first lock to be given back, and gets no answer.
  const killed = postgres.kill();
  await Promise.all(leaderships.map((leadership) => leadership.close()));
  await killed;
  expect(led).toBe(LOCKS.length);
});
