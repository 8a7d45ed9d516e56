// Two API processes on one bus and one PostgreSQL share the work, and one goes on when the other dies.
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { until } from '../support/graphql-client.ts';
import { postSigned, readAll, watchWebhooks } from '../support/webhooks.ts';
import type { NodesWorld } from './world.ts';

const HANDOVER_MS = 5_000;
const LEADING = `
  SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'advisory' AND a.application_name = 'naru-bus'`;

export async function countMessages(world: NodesWorld): Promise<number> {
  const [row] = await world.query<{ count: string }>('SELECT count(*) FROM webhook_message');
  return Number(row?.count);
}

export function testNews(world: () => NodesWorld): void {
  test('what comes in through one node is live on the other', async () => {
    const [first, second] = world().nodes;
    const token = await world().addReader('news');
    for (const [door, watched] of [
      [first, second],
      [second, first],
    ] as const) {
      const watch = await watchWebhooks(watched.url, token);
      const { status, json } = await postSigned(door.url, `{"n":"${randomUUID()}"}`);
      expect(status).toBe(202);
      expect((await watch.nextMessage()).id).toBe(json.id);
      await watch.close();
    }
  });
}

/** Ends the first node: for the end of a suite. */
export function testHandover(world: () => NodesWorld): void {
  test('when the node dies that projects and relays, the other does within 5 s, and nothing is lost or doubled', async () => {
    const { nodes, addReader, query } = world();
    const [first, second] = nodes;
    const token = await addReader('handover');
    const countBefore = await countMessages(world());
    const isLedByOther = async () => (await query(LEADING)).length > 0;
    // The first is to lead all, whoever led before.
    await second.kill();
    await until(isLedByOther);
    await second.start();
    const watch = await watchWebhooks(second.url, token);
    const accepted: string[] = [];
    let posting = true;
    const post = async (url: string) => {
      const answer = await postSigned(url, `{"n":"${randomUUID()}"}`).catch(() => null);
      if (answer?.status === 202) accepted.push(answer.json.id);
    };
    const senders = nodes.map(async ({ url }) => {
      while (posting) await post(url);
    });
    await until(() => accepted.length > 50);
    await first.kill();
    const killedAt = performance.now();
    const before = accepted.length;
    await until(() => accepted.length > before + 10);
    posting = false;
    await Promise.all(senders);
    // What was accepted before the death and after it, by whichever node.
    const wanted = new Set(accepted);
    const seen: string[] = [];
    while (wanted.size > 0) {
      const { id } = await watch.nextMessage();
      seen.push(id);
      wanted.delete(id);
    }
    expect(performance.now() - killedAt).toBeLessThan(HANDOVER_MS);
    await watch.close();
    const stored = (await readAll(second.url, token)).map(({ id }) => id).slice(countBefore);
    expect(new Set(stored).size).toBe(stored.length);
    expect(accepted.filter((id) => !stored.includes(id))).toEqual([]);
    expect(seen).toEqual(stored.slice(0, seen.length));
  });
}
