import type { Database, Sql } from '#database/client.ts';
import { OUTBOX_CHANNEL } from '#pubsub/outbox-relay.ts';
import type { PostgresSession } from '#pubsub/postgres-session.ts';
import type { Topic } from '#pubsub/topic.ts';

/** Stores news beside the fact: it is published if, and only if, the transaction commits. */
export type Announce = <Payload>(
  topic: Topic<Payload>,
  key: string,
  payload: Payload,
) => Promise<void>;

/**
 * A transaction that may announce. Announcements of one key are published in commit order as long as
 * whoever announces on it holds the key's row lock. The relay is told right after the commit; should
 * that get lost, its own look each second finds what is there.
 */
export async function transact<Result>(
  app: { readonly database: Database; readonly session: PostgresSession },
  work: (sql: Sql, announce: Announce) => Promise<Result>,
): Promise<Result> {
  let hasNews = false;
  const result = await app.database.transaction((sql) =>
    work(sql, async (topic, key, payload) => {
      hasNews = true;
      const parsed = JSON.stringify(topic.payload.parse(payload));
      await sql.query(
        'INSERT INTO outbox (topic, key, payload) VALUES ($1, $2, $3)',
        [topic.name, key, parsed],
        'announce',
      );
    }),
  );
  if (hasNews) app.session.announce(OUTBOX_CHANNEL);
  return result;
}
