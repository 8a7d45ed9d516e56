// Following without a hole: whatever is cut, whenever and however often, each message comes exactly once and
// in order. The cuts are drawn from a seed that a failing run names.
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { newId } from '#lib/ids.ts';
import type { Entry } from '#pubsub/bus.ts';
import type { WebhookReceived } from '#pubsub/topics/webhooks.ts';
import { projectWebhooks } from '#resolvers/webhooks/project.ts';
import { bearer, openEventStream, post, until } from '../support/graphql-client.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addSource, watchWebhooks } from '../support/webhooks.ts';

const MESSAGES = 5_000;
const CUTS = 200;
const BATCH = 15;
const SEED = Number(process.env['SEED'] ?? 20_261_121);

const LIVE = `subscription ($after: Cursor) { webhookMessageReceived(after: $after) {
  ... on StreamItem { cursor } ... on WebhookMessageReceived { message { deliveryId } } } }`;

// biome-ignore lint/suspicious/noExplicitAny: a result of the query above
type Data = any;

let first: TestNaru;
let second: TestNaru;
let token: string;
let sourceId: string;
const lines: Record<string, unknown>[] = [];

beforeAll(async () => {
  const logTo = (line: Record<string, unknown>) => lines.push(line);
  first = await startNaru({ logTo });
  second = await startNaru({ database: first.database, logTo });
  sourceId = await addSource(first.app, 'flow');
  token = await first.tokenFor('alice');
});
afterAll(async () => {
  await second?.close();
  await first?.close();
});

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** As the consumer of the log hands them to the projector; ingress is proven elsewhere. */
function entryOf(n: number): Entry<WebhookReceived> {
  return {
    id: `${n}`,
    key: 'flow',
    payload: {
      messageId: newId(),
      sourceId,
      provider: 'NONE',
      verification: 'UNSIGNED',
      path: '/webhook/flow',
      method: 'POST',
      headers: [],
      contentType: null,
      deliveryId: `${n}`,
      receivedAt: new Date().toISOString(),
    },
    attachment: null,
    place: { incarnation: 'test', sequence: BigInt(n) },
    publishedAt: new Date(),
  };
}

/** Stores 1 to `MESSAGES`, in batches of random sizes, no faster than `isFree` allows. */
async function flow(random: () => number, untilFree: (stored: number) => Promise<void>) {
  for (let stored = 0; stored < MESSAGES; ) {
    const count = Math.min(1 + Math.floor(random() * 2 * BATCH), MESSAGES - stored);
    const batch = Array.from({ length: count }, (_, index) => entryOf(stored + index + 1));
    await projectWebhooks(first.app, batch);
    stored += count;
    await untilFree(stored);
  }
}

interface Subscriber {
  /** Delivery ids in the order in which they came. */
  readonly received: number[];
  cut(): void;
  close(): Promise<void>;
}

/** Without a look at the messages it is told by their places, which in a fresh feed are their numbers. */
const PLACES = LIVE.replace('message { deliveryId }', '__typename');

function positionOf(cursor: string): number {
  const { cursors } = first.app.webhookFeed;
  return Number(cursors.decode(cursor, { feed: 'webhooks', key: '' }).position);
}

function createLog() {
  const received: number[] = [];
  let cursor: string | null = null;
  return {
    received,
    cursor: () => cursor,
    take(data: Data) {
      const { cursor: place, message, __typename } = data.webhookMessageReceived;
      cursor = place;
      if (message !== undefined) received.push(Number(message.deliveryId));
      else if (__typename !== undefined) received.push(positionOf(place));
    },
  };
}

/** The stock client, which connects again by itself and reads the payload afresh each time. */
function followOverSocket(url: string, after: string, isAbrupt: () => boolean): Subscriber {
  const log = createLog();
  let socket: WebSocket | null = null;
  const client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: bearer(token),
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: async () => {},
    shouldRetry: () => true,
    on: {
      opened: (opened) => {
        socket = opened as WebSocket;
      },
    },
  });
  const payload = { query: LIVE, variables: { after } };
  const errors: unknown[] = [];
  const leave = client.subscribe(payload, {
    next: ({ data }) => {
      log.take(data);
      payload.variables.after = log.cursor() ?? after;
    },
    error: (error) => errors.push(error),
    complete: () => errors.push('complete'),
  });
  return {
    received: log.received,
    cut() {
      if (isAbrupt()) socket?.terminate();
      else socket?.close(4205, 'Cut');
    },
    async close() {
      expect(errors).toEqual([]);
      leave();
      await client.dispose();
    },
  };
}

/** As a browser's EventSource does it: the last id goes back as a header. */
function followOverEvents(url: string, after: string): Subscriber {
  const log = createLog();
  let leaving = new AbortController();
  let isClosed = false;
  let lastEventId: string | null = null;
  const search = new URLSearchParams({ query: PLACES, variables: JSON.stringify({ after }) });

  const connect = async () => {
    const response = await fetch(`${url}/graphql?${search}`, {
      headers: {
        accept: 'text/event-stream',
        ...bearer(token),
        ...(lastEventId !== null && { 'last-event-id': lastEventId }),
      },
      signal: leaving.signal,
    });
    expect(response.status).toBe(200);
    let text = '';
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      // What was on its way when the line was cut is lost.
      if (leaving.signal.aborted) return;
      const events = (text + chunk).split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) {
        const data = /^data: (.+)$/m.exec(event)?.[1];
        if (data === undefined) continue;
        log.take(JSON.parse(data).data);
        lastEventId = /^id: (.+)$/m.exec(event)?.[1] ?? lastEventId;
      }
    }
  };
  const run = async () => {
    while (!isClosed) {
      leaving = new AbortController();
      await connect().catch((error: unknown) => {
        if (!leaving.signal.aborted) throw error;
      });
    }
  };
  const running = run();
  running.catch(() => {});
  return {
    received: log.received,
    cut: () => leaving.abort(),
    async close() {
      isClosed = true;
      leaving.abort();
      await running;
    },
  };
}

test('subscribers that are each cut 200 times receive exactly 1 to 5,000, on the node that stores and on another', async () => {
  const random = randomFrom(SEED);
  const head = await watchWebhooks(first.url, token);
  await head.close();
  const followers = [first, second].flatMap(({ url }) =>
    [followOverSocket, followOverEvents].map((start) => ({
      subscriber: start(url, head.startCursor, () => random() < 0.5),
      cuts: 0,
    })),
  );
  const isThrough = (stored: number) =>
    followers.every(({ subscriber }) => subscriber.received.length >= stored);
  await flow(random, async (stored) => {
    for (const follower of followers) {
      const due = Math.floor((CUTS * stored) / MESSAGES);
      if (follower.cuts >= due && random() > 0.1) continue;
      follower.subscriber.cut();
      follower.cuts += 1;
    }
    // Now level and now a long way behind, so that replay, ring and live all have their turn.
    const slack = random() < 0.2 ? 0 : 600;
    await until(() => isThrough(stored - slack));
  });
  await until(() => isThrough(MESSAGES));
  const expected = Array.from({ length: MESSAGES }, (_, index) => index + 1);
  for (const { subscriber, cuts } of followers) {
    expect(cuts).toBeGreaterThanOrEqual(CUTS);
    expect(subscriber.received).toEqual(expected);
    await subscriber.close();
  }
  await until(() => first.app.webhookFeed.size === 0 && second.app.webhookFeed.size === 0);
}, 120_000);

/** The errors with which following after `after` ends, over each transport. */
async function endsOf(after: string): Promise<unknown[]> {
  const events = await openEventStream(first.url, { query: LIVE, variables: { after } }, token);
  const overEvents = (await events.next())?.errors;
  expect(await events.next()).toBeNull();
  const client = createClient({
    url: `${first.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: bearer(token),
    retryAttempts: 0,
  });
  const overSocket = await new Promise((resolve) => {
    client.subscribe(
      { query: LIVE, variables: { after } },
      { next: ({ errors }) => resolve(errors), error: resolve, complete: () => resolve(null) },
    );
  });
  await client.dispose();
  return [overEvents, overSocket];
}

describe('a cursor that cannot be followed says why, over either transport', () => {
  const headCursor = async () => {
    const { result } = await post(
      first.url,
      { query: '{ webhookMessages { followCursor } }' },
      token,
    );
    return result.data.webhookMessages.followCursor as string;
  };

  test('one that was forged or damaged is CURSOR_INVALID', async () => {
    const good = await headCursor();
    const damaged = `${good.slice(0, 20)}${good[20] === 'A' ? 'B' : 'A'}${good.slice(21)}`;
    for (const after of [damaged, `${good}=`, 'x', '']) {
      for (const errors of await endsOf(after)) {
        expect(errors).toMatchObject([{ extensions: { code: 'CURSOR_INVALID' } }]);
      }
    }
  });

  test('one before what is kept is CURSOR_EXPIRED, and names where reading can start', async () => {
    await projectWebhooks(first.app, [entryOf(1)]);
    const { hub, epoch, head } = await placeOf();
    const before = hub.cursors.encode({ feed: 'webhooks', key: '', epoch, position: head - 5n });
    await first.app.database.transaction(async (sql) => {
      await sql.query('DELETE FROM webhook_message WHERE position < $1', [head.toString()]);
      await sql.query('UPDATE feed SET pruned_position = $1', [(head - 1n).toString()]);
    });
    for (const errors of await endsOf(before)) {
      expect(errors).toMatchObject([{ extensions: { code: 'CURSOR_EXPIRED' } }]);
      const [{ extensions }] = errors as [{ extensions: { earliestCursor: string } }];
      const again = await watchWebhooks(first.url, token, { after: extensions.earliestCursor });
      expect((await again.nextMessage()).deliveryId).toBe('1');
      await again.close();
    }
  });

  test('one of another epoch is FEED_RESET, also for who follows when it changes', async () => {
    const before = await headCursor();
    const watches = [await watchWebhooks(first.url, token), await watchWebhooks(second.url, token)];
    const events = await openEventStream(first.url, { query: LIVE }, token);
    await events.next();
    await first.app.database.query('UPDATE feed SET epoch = gen_random_uuid()');
    for (const watch of watches) await expect(watch.next()).rejects.toThrow('FEED_RESET');
    expect(await events.next()).toMatchObject({ errors: [{ extensions: { code: 'FEED_RESET' } }] });
    for (const errors of await endsOf(before)) {
      expect(errors).toMatchObject([{ extensions: { code: 'FEED_RESET' } }]);
    }
    for (const watch of watches) await watch.close();
  });

  async function placeOf() {
    const hub = first.app.webhookFeed;
    const { epoch, head } = await hub.readHead('');
    return { hub, epoch, head };
  }
});

test('nothing of this was a fault of ours', async () => {
  await until(() => first.app.webhookFeed.size === 0 && second.app.webhookFeed.size === 0);
  expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
});
