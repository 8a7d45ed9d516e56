// Whatever is done to an inbox, in whatever order, it stands as a plain list in memory would.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeGlobalId } from '#lib/global-id.ts';
import {
  addUser,
  createInboxClient,
  type InboxClient,
  passTime,
  prune,
  storeWebhooks,
} from '../support/inbox.ts';
import { startNaru, type TestNaru } from '../support/naru.ts';
import { addGrant, addSource, removeGrant } from '../support/webhooks.ts';

let naru: TestNaru;
beforeAll(async () => {
  naru = await startNaru({ runsJobs: false });
});
afterAll(() => naru.close());

const BYTES = 200;
const ATTEMPTS_MAX = 5;

/** Places that messages arrive at: a source, and a repository or none. */
const LANES = [
  { source: 'a', repository: 1 },
  { source: 'a', repository: 2 },
  { source: 'a' },
  { source: 'b' },
] as const;

type Filter = 'all' | 'push' | 'b';

// Spans never add up to each other, so that the seconds a run takes decide nothing.
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('store' as const),
      arriving: fc.array(
        fc.record({ lane: fc.nat(LANES.length - 1), event: fc.constantFrom('push', 'star') }),
        { minLength: 1, maxLength: 4 },
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('pull' as const),
      limit: fc.integer({ min: 1, max: 5 }),
      leaseSeconds: fc.constantFrom(1_000, 2_000),
      filter: fc.constantFrom<Filter>('all', 'all', 'push', 'b'),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('ack' as const, 'nack' as const, 'extend' as const),
      /** Counted back from the newest receipt. */
      picks: fc.array(fc.nat(9), { minLength: 1, maxLength: 5 }),
      delaySeconds: fc.constantFrom(0, 700),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'ackIds' as const,
        'replayIds' as const,
        'retryIds' as const,
        'discardIds' as const,
      ),
      picks: fc.array(fc.nat(20), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('replay' as const, 'retry' as const),
      filter: fc.constantFrom<Filter>('all', 'push', 'b'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('time' as const),
      seconds: fc.constantFrom(600, 1_500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('grant' as const, 'watch' as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('start' as const),
      from: fc.constantFrom('HISTORY' as const, 'NOW' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('prune' as const),
      keep: fc.integer({ min: 1, max: 12 }),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

interface Message {
  readonly id: string;
  readonly source: 'a' | 'b';
  readonly repository: number | null;
  readonly event: string;
  raw: 'PENDING' | 'LEASED' | 'ACKNOWLEDGED' | 'DEAD' | 'DISCARDED';
  attempt: number;
  due: number;
  receipt: string | null;
  wasSettled: boolean;
  isGone: boolean;
}

interface World {
  readonly inbox: InboxClient;
  readonly userId: string;
  readonly username: string;
  readonly sources: { readonly a: string; readonly b: string };
  readonly messages: Message[];
  readonly receipts: { readonly receipt: string; readonly message: Message }[];
  now: number;
  isGranted: boolean;
  /** Of the first lane's repository. */
  isWatched: boolean;
}

function stateOf({ now }: World, { raw, due, attempt }: Message): Message['raw'] {
  if (raw !== 'LEASED' || due > now) return raw;
  return attempt >= ATTEMPTS_MAX ? 'DEAD' : 'PENDING';
}

const isVisible = (world: World, message: Message) =>
  !message.isGone && (message.source === 'a' || world.isGranted);

const isInInbox = (world: World, message: Message) =>
  isVisible(world, message) && (message.repository !== 1 || world.isWatched);

const matches = (message: Message, filter: Filter) =>
  filter === 'all' || (filter === 'push' ? message.event === 'push' : message.source === 'b');

const filterOf = ({ username }: World, filter: Filter) =>
  ({ all: {}, push: { eventNames: ['push'] }, b: { sources: [`b-${username}`] } })[filter];

const settleAs = (message: Message, state: 'ACKNOWLEDGED' | 'DEAD' | 'DISCARDED') => {
  message.raw = state;
  message.wasSettled = true;
};

async function take(world: World, one: Step): Promise<void> {
  switch (one.kind) {
    case 'store':
      return store(world, one.arriving);
    case 'pull':
      return pull(world, one);
    case 'ack':
    case 'nack':
    case 'extend':
      return settle(world, one);
    case 'ackIds':
    case 'replayIds':
    case 'retryIds':
    case 'discardIds':
      return settleById(world, one);
    case 'replay':
    case 'retry':
      return replay(
        world,
        one.kind,
        { filter: filterOf(world, one.filter) },
        world.messages.filter((message) => matches(message, one.filter)),
      );
    case 'start':
      return start(world, one.from);
    case 'watch':
      return toggleWatch(world);
    case 'time':
      world.now += one.seconds;
      return passTime(naru, one.seconds);
    case 'grant':
      world.isGranted = !world.isGranted;
      return world.isGranted
        ? addGrant(naru.app, `b-${world.username}`, { username: world.username })
        : removeGrant(naru.app, `b-${world.username}`, world.username);
    case 'prune':
      for (const message of world.messages.slice(0, -one.keep)) message.isGone = true;
      return prune(naru, { retainBytes: one.keep * BYTES });
  }
}

async function store(
  world: World,
  arriving: readonly { readonly lane: number; readonly event: string }[],
): Promise<void> {
  const places: { source: 'a' | 'b'; repository?: number; event: string }[] = arriving.map(
    ({ lane, event }) => ({ ...(LANES[lane] ?? LANES[0]), event }),
  );
  const ids = await storeWebhooks(
    naru,
    places.map(({ source, ...rest }) => ({
      ...rest,
      sourceId: world.sources[source],
      bytes: BYTES,
    })),
  );
  for (const [index, { source, event, repository = null }] of places.entries()) {
    world.messages.push({
      id: encodeGlobalId('WebhookMessage', ids[index] ?? ''),
      source,
      repository,
      event,
      raw: 'PENDING',
      attempt: 0,
      due: 0,
      receipt: null,
      wasSettled: false,
      isGone: false,
    });
  }
}

async function pull(
  world: World,
  given: { readonly limit: number; readonly leaseSeconds: number; readonly filter: Filter },
): Promise<void> {
  const { limit, leaseSeconds, filter } = given;
  bury(world);
  const pullable = world.messages.filter(
    (message) =>
      isInInbox(world, message) &&
      matches(message, filter) &&
      stateOf(world, message) === 'PENDING' &&
      message.due <= world.now,
  );
  const chosen = pullable.slice(0, limit);
  const pulled = await world.inbox.pull({ limit, leaseSeconds, filter: filterOf(world, filter) });
  expect(pulled.deliveries.map(({ attempt, message }) => [message.id, attempt])).toEqual(
    chosen.map(({ id, attempt }) => [id, attempt + 1]),
  );
  expect(pulled.hasMore).toBe(pullable.length > limit);
  for (const [index, message] of chosen.entries()) {
    const receipt = pulled.deliveries[index]?.receipt ?? '';
    const due = world.now + leaseSeconds;
    Object.assign(message, { raw: 'LEASED', attempt: message.attempt + 1, due, receipt });
    world.receipts.push({ receipt, message });
  }
}

function bury(world: World): void {
  for (const message of world.messages) {
    if (stateOf(world, message) === 'DEAD') settleAs(message, 'DEAD');
  }
}

async function start(world: World, from: 'HISTORY' | 'NOW'): Promise<void> {
  await world.inbox.start(from);
  bury(world);
  for (const message of world.messages.filter((one) => isInInbox(world, one))) {
    const isOpen = message.raw === 'PENDING' || message.raw === 'LEASED';
    if (from === 'NOW' && isOpen) settleAs(message, 'ACKNOWLEDGED');
    if (from === 'HISTORY' && message.raw === 'ACKNOWLEDGED') {
      Object.assign(message, { raw: 'PENDING', attempt: 0, due: 0, receipt: null });
    }
  }
}

async function toggleWatch(world: World): Promise<void> {
  const repository = await naru.app.prisma.webhookRepository.findFirstOrThrow({
    where: { sourceId: world.sources.a, providerId: '1' },
  });
  const id = encodeGlobalId('WebhookRepository', repository.id);
  await (world.isWatched ? world.inbox.unwatch(id) : world.inbox.watch(id));
  world.isWatched = !world.isWatched;
}

async function settle(
  world: World,
  given: {
    readonly kind: 'ack' | 'nack' | 'extend';
    readonly picks: readonly number[];
    readonly delaySeconds: number;
  },
): Promise<void> {
  const { kind, delaySeconds } = given;
  const picked = given.picks.flatMap((pick) => world.receipts.at(-1 - pick) ?? []);
  if (picked.length === 0) return;
  const receipts = picked.map(({ receipt }) => receipt);
  const held = new Set(
    picked
      .filter(
        ({ receipt, message }) =>
          isVisible(world, message) &&
          stateOf(world, message) === 'LEASED' &&
          message.receipt === receipt,
      )
      .map(({ receipt }) => receipt),
  );
  const done = picked.filter(
    ({ receipt }, index) => held.has(receipt) && receipts.indexOf(receipt) === index,
  );
  const ids = done.map(({ message }) => message.id);
  let refused: readonly { readonly receipt: string | null; readonly reason: string }[];
  if (kind === 'ack') {
    const result = await world.inbox.ack({ receipts });
    expect(result.acknowledged).toEqual(ids);
    refused = result.refused;
    for (const { message } of done) settleAs(message, 'ACKNOWLEDGED');
  } else if (kind === 'nack') {
    const result = await world.inbox.nack(receipts, { delaySeconds });
    expect(result.handedBack).toEqual(ids);
    refused = result.refused;
    for (const { message } of done) {
      if (message.attempt >= ATTEMPTS_MAX) settleAs(message, 'DEAD');
      else Object.assign(message, { raw: 'PENDING', due: world.now + delaySeconds });
    }
  } else {
    const result = await world.inbox.extend(receipts, 2_000);
    refused = result.refused;
    const byId = new Map(result.deliveries.map((delivery) => [delivery.message.id, delivery]));
    expect([...byId.keys()].toSorted()).toEqual(ids.toSorted());
    for (const { message } of done) {
      const { receipt = '', attempt } = byId.get(message.id) ?? {};
      expect(attempt).toBe(message.attempt);
      Object.assign(message, { due: world.now + 2_000, receipt });
      world.receipts.push({ receipt, message });
    }
  }
  const left = picked.filter(
    ({ receipt }, index) => !held.has(receipt) || receipts.indexOf(receipt) !== index,
  );
  expect(refused.map(({ receipt, reason }) => [receipt, reason])).toEqual(
    left.map((pick) => [pick.receipt, reasonFor(world, pick)]),
  );
}

function reasonFor(
  world: World,
  { receipt, message }: { readonly receipt: string; readonly message: Message },
): string {
  if (!isVisible(world, message)) return 'NOT_FOUND';
  const state = stateOf(world, message);
  if (state === 'ACKNOWLEDGED') return 'ALREADY_ACKNOWLEDGED';
  if (state === 'DEAD' || state === 'DISCARDED') return state;
  return message.raw === 'LEASED' && message.receipt === receipt ? 'EXPIRED' : 'STALE';
}

async function settleById(
  world: World,
  given: {
    readonly kind: 'ackIds' | 'replayIds' | 'retryIds' | 'discardIds';
    readonly picks: readonly number[];
  },
): Promise<void> {
  const picked = [...new Set(given.picks.flatMap((pick) => world.messages.at(-1 - pick) ?? []))];
  if (picked.length === 0) return;
  const messageIds = picked.map(({ id }) => id);
  if (given.kind === 'replayIds') return replay(world, 'replay', { messageIds }, picked);
  if (given.kind === 'retryIds') return replay(world, 'retry', { messageIds }, picked);
  if (given.kind === 'discardIds') return discard(world, picked);
  const visible = picked.filter((message) => isVisible(world, message));
  const result = await world.inbox.ack({ messageIds });
  expect(result.acknowledged.toSorted()).toEqual(visible.map(({ id }) => id).toSorted());
  expect(result.refused.map(({ messageId }) => messageId)).toEqual(
    picked.filter((message) => !visible.includes(message)).map(({ id }) => id),
  );
  for (const message of visible) settleAs(message, 'ACKNOWLEDGED');
}

async function discard(world: World, picked: readonly Message[]): Promise<void> {
  const isDead = (message: Message) =>
    isVisible(world, message) && stateOf(world, message) === 'DEAD';
  const dead = picked.filter(isDead);
  const result = await world.inbox.discard(picked.map(({ id }) => id));
  expect(result.discarded.toSorted()).toEqual(dead.map(({ id }) => id).toSorted());
  expect(result.refused.map(({ messageId, reason }) => [messageId, reason])).toEqual(
    picked
      .filter((message) => !isDead(message))
      .map((message) => {
        if (!isVisible(world, message)) return [message.id, 'NOT_FOUND'];
        return [message.id, message.raw === 'DISCARDED' ? 'DISCARDED' : 'NOT_DEAD'];
      }),
  );
  for (const message of dead) settleAs(message, 'DISCARDED');
}

async function replay(
  world: World,
  kind: 'replay' | 'retry',
  input: Readonly<Record<string, unknown>>,
  asked: readonly Message[],
): Promise<void> {
  const from = kind === 'retry' ? ['DEAD'] : ['ACKNOWLEDGED', 'DEAD', 'DISCARDED'];
  const settled = asked.filter(
    (message) => isInInbox(world, message) && from.includes(stateOf(world, message)),
  );
  expect((await world.inbox[kind](input)).count).toBe(settled.length);
  for (const message of settled) {
    Object.assign(message, { raw: 'PENDING', attempt: 0, due: 0, receipt: null, wasSettled: true });
  }
}

/** What the model would count. */
function countsOf(world: World, messages: readonly Message[]) {
  const states = messages.map((message) => [message, stateOf(world, message)] as const);
  const count = (wanted: string) => states.filter(([, state]) => state === wanted).length;
  return {
    pending: count('PENDING'),
    leased: count('LEASED'),
    acknowledged: count('ACKNOWLEDGED'),
    dead: count('DEAD'),
    discarded: count('DISCARDED'),
    redelivered: states.filter(
      ([{ attempt }, state]) => attempt > 1 && state !== 'ACKNOWLEDGED' && state !== 'DISCARDED',
    ).length,
  };
}

/** What an outsider sees, and that no floor has passed what was never settled. */
async function check(world: World): Promise<void> {
  const visible = world.messages.filter((message) => isVisible(world, message));
  const inInbox = visible.filter((message) => isInInbox(world, message));
  for (const filter of ['all', 'push', 'b'] as const) {
    const counted = inInbox.filter((message) => matches(message, filter));
    const counts = await world.inbox.counts(filterOf(world, filter));
    expect(counts).toMatchObject(countsOf(world, counted));
    const hasPending = counted.some((message) => stateOf(world, message) === 'PENDING');
    expect(counts.oldestPendingAt !== null).toBe(hasPending);
  }
  const repositories = await world.inbox.repositories();
  for (const number of [1, 2]) {
    const known = world.messages.some(({ repository }) => repository === number);
    const found = repositories.get(`test/${number}`);
    expect(found !== undefined).toBe(known);
    if (found === undefined) continue;
    const messages = visible.filter(({ repository }) => repository === number);
    expect(found).toMatchObject({
      permission: 'ALLOWED',
      permissionsCheckedAt: null,
      isWatched: number === 2 || world.isWatched,
      ...countsOf(world, messages),
    });
    const hasPending = messages.some((message) => stateOf(world, message) === 'PENDING');
    expect(found.oldestPendingAt !== null).toBe(hasPending);
  }
  const seen = await world.inbox.states();
  expect([...seen.keys()]).toEqual(visible.slice(-100).map(({ id }) => id));
  for (const message of visible.slice(-100)) {
    const standing = seen.get(message.id);
    const state = stateOf(world, message);
    const shown = isInInbox(world, message) ? state : null;
    expect([message.id, standing?.inboxState]).toEqual([message.id, shown]);
    if (shown === null) continue;
    if (state !== 'ACKNOWLEDGED') expect(standing?.attempts).toBe(message.attempt);
  }
  const passed = await naru.app.database.query<{ id: string }>(
    `SELECT m.id FROM webhook_message m
     JOIN webhook_inbox_floor f ON f.lane_id = m.lane_id AND m.lane_sequence <= f.floor
     WHERE f.user_id = $1`,
    [world.userId],
  );
  const settled = new Set(world.messages.filter((one) => one.wasSettled).map(({ id }) => id));
  for (const { id } of passed) expect(settled).toContain(encodeGlobalId('WebhookMessage', id));
}

test('pulls, settlements, dead letters, time, replays, starts, watches, grants and retention leave the inbox as the model has it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      const { userId, username, token } = await addUser(naru);
      const world: World = {
        inbox: createInboxClient(naru.url, token),
        userId,
        username,
        sources: {
          a: await addSource(naru.app, `a-${username}`, { username }),
          b: await addSource(naru.app, `b-${username}`, { username }),
        },
        messages: [],
        receipts: [],
        now: 0,
        isGranted: true,
        isWatched: true,
      };
      // Tokens live by the same clock that the steps move on: each run starts from now.
      await naru.app.database.query('DELETE FROM clock_offset');
      await store(world, [{ lane: 0, event: 'push' }]);
      for (const one of steps) {
        await take(world, one);
        await check(world);
      }
    }),
    {
      numRuns: Number(process.env['INBOX_MODEL_RUNS'] ?? 25),
    },
  );
}, 120_000);
