import pg from 'pg';
import { migrate } from '#database/migrate.ts';
import { createPostgresBus } from '#pubsub/postgres.ts';
import { startTestPostgres } from '../support/servers.ts';
import { type BusWorld, describeBus } from './bus.ts';

describeBus('the bus on PostgreSQL', async (): Promise<BusWorld> => {
  const server = await startTestPostgres();
  const { url } = server;
  await migrate(url);

  async function query(text: string, values: unknown[] = []): Promise<{ count?: number }[]> {
    const client = new pg.Client({ connectionString: url, application_name: 'test' });
    await client.connect();
    try {
      return (await client.query(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  return {
    server,
    node: { kind: 'postgres', url },
    async openBus(topics, log) {
      const pool = new pg.Pool({ connectionString: url, max: 4 });
      pool.on('error', () => {});
      const bus = await createPostgresBus({ connectionString: url, pool, log, topics });
      let closing: Promise<void> | null = null;
      return { ...bus, close: () => (closing ??= bus.close().then(() => pool.end())) };
    },
    async purge(topicName) {
      await query('DELETE FROM bus_entry WHERE topic = $1', [topicName]);
    },
    async destroy(topicName) {
      await query('DELETE FROM bus_topic WHERE name = $1', [topicName]);
    },
    // Reading takes no object of the server.
    countReaders: async () => 0,
    readersPerTail: 0,
    close: () => server.stop(),
  };
});
