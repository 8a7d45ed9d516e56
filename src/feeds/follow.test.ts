// A feed whose table, bus and clock are the test's own: every query, tail and permission check waits
// until the test lets it go on, in whatever order was generated.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { DomainError, UnavailableError } from '#lib/errors.ts';
import type { Bus, Entry, TailOptions } from '#pubsub/bus.ts';
import { type CursorPlace, createCursorCodec } from './cursor.ts';
import type { Feed } from './feed.ts';
import { type Followed, type FollowStream, follow } from './follow.ts';
import { createFeedHub, type FeedHub, type FeedNews } from './hub.ts';

const KEY = 'k';
const HEAD_CHECK_MS = 10;
const CHECKPOINT_MS = 50;
const cursors = createCursorCodec(Buffer.alloc(32, 7));

interface Item {
  readonly epoch: string;
  readonly position: bigint;
}

interface Limits {
  readonly pageItems: number;
  readonly ringBytesMax: number;
  readonly queueBytesMax: number;
}

/** What is true; the feed, the bus and the clock below only show it. */
interface World {
  readonly hub: FeedHub<Item>;
  epoch: string;
  head: number;
  pruned: number;
  /** How far each epoch was pruned before it was over. */
  readonly prunedIn: Map<string, number>;
  /** A row that is lost though it should be there. */
  missing: number | null;
  isTableAway: boolean;
  isBusAway: boolean;
  /** Operations under way, each waiting to be let on. */
  readonly waiting: (() => void)[];
  /** Published and not delivered yet. */
  readonly news: number[];
  readonly open: { tails: number; timers: number; listeners: number };
  deliver(position: number): void;
  lose(): void;
  /** Time passes, by a look of the hub's unless told otherwise, and the hub looks. */
  tick(passedMs?: number): Promise<void>;
  pause(): Promise<void>;
}

function createWorld(limits: Limits): World {
  const tails = new Set<TailOptions<FeedNews>>();
  const ticking = new Set<() => void>();
  let nowMs = 0;
  const open = { tails: 0, timers: 0, listeners: 0 };
  const query = async <Answer>(read: () => Answer): Promise<Answer> => {
    await world.pause();
    if (world.isTableAway) throw new UnavailableError('The table is away');
    const answer = read();
    await world.pause();
    return answer;
  };
  const feed: Feed<Item> = {
    name: 'f',
    readHeads: () =>
      query(() => {
        const { epoch, head, pruned } = world;
        return new Map([[KEY, { epoch, head: BigInt(head), pruned: BigInt(pruned) }]]);
      }),
    readPage: ({ epoch, after, limit }) =>
      query(() => {
        const first = Math.max(Number(after), world.pruned) + 1;
        const count = epoch === world.epoch ? Math.min(world.head - first + 1, limit) : 0;
        return Array.from({ length: Math.max(count, 0) }, (_, index) => ({
          epoch,
          position: BigInt(first + index),
        })).filter(({ position }) => Number(position) !== world.missing);
      }),
    positionOf: ({ position }) => position,
    bytesOf: () => 1,
  };
  const bus = {
    async tail(_topic: unknown, options: TailOptions<FeedNews>) {
      await world.pause();
      if (world.isBusAway) throw new UnavailableError('The bus is away');
      tails.add(options);
      open.tails += 1;
      let isOpen = true;
      return {
        async close() {
          tails.delete(options);
          if (isOpen) open.tails -= 1;
          isOpen = false;
          await world.pause();
        },
      };
    },
  } as unknown as Pick<Bus, 'tail'>;
  const topic = {
    name: 'f',
    payload: z.object({ position: z.string() }),
    retainMs: 1,
    retainBytesMax: 1,
  };
  const hub = createFeedHub({
    feed,
    topic,
    bus,
    cursors,
    onError: () => {},
    headCheckMs: HEAD_CHECK_MS,
    checkpointMs: CHECKPOINT_MS,
    ...limits,
    clock: {
      now: () => nowMs,
      every(_intervalMs, tick) {
        ticking.add(tick);
        open.timers += 1;
        return () => {
          if (ticking.delete(tick)) open.timers -= 1;
        };
      },
    },
  });
  const counted: FeedHub<Item> = Object.assign(Object.create(hub) as FeedHub<Item>, {
    onTick(listener: () => void) {
      const stop = hub.onTick(listener);
      open.listeners += 1;
      let isOn = true;
      return () => {
        if (isOn) open.listeners -= 1;
        isOn = false;
        stop();
      };
    },
  });
  const world: World = {
    hub: counted,
    epoch: epochOf(0),
    head: 0,
    pruned: 0,
    prunedIn: new Map(),
    missing: null,
    isTableAway: false,
    isBusAway: false,
    waiting: [],
    news: [],
    open,
    deliver(position) {
      for (const { onEntry } of [...tails]) {
        onEntry({ key: KEY, payload: { position: String(position) } } as Entry<FeedNews>);
      }
    },
    lose() {
      const after = { incarnation: 'i', sequence: 0n };
      for (const { onLoss } of [...tails]) onLoss({ after, reason: 'purged' });
    },
    async tick(passedMs = HEAD_CHECK_MS) {
      nowMs += passedMs;
      for (const tick of [...ticking]) tick();
      await settle();
    },
    pause: () => new Promise((resolve) => world.waiting.push(resolve)),
  };
  return world;
}

function epochOf(index: number): string {
  return `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
}

/** Everything goes on that waits for nothing of the test's. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets all go on that waits, and what that leads to. */
async function drain(world: World): Promise<void> {
  await settle();
  while (world.waiting.length > 0) {
    for (const goOn of world.waiting.splice(0)) goOn();
    await settle();
  }
}

function cursorAt(epoch: string, position: number): string {
  return cursors.encode({ feed: 'f', key: KEY, epoch, position: BigInt(position) });
}

function placeOf(cursor: string): CursorPlace {
  return cursors.decode(cursor, { feed: 'f', key: KEY });
}

/** A reader of a stream, as slow as it is told to be, that checks the law at each thing it gets. */
interface Reader {
  readonly epoch: () => string | null;
  /** All up to here is accounted for. */
  readonly position: () => number;
  readonly ended: () => unknown;
  want(count: number): void;
  close(): Promise<void>;
  readonly isClosed: () => boolean;
}

/** Takes one of `every`. */
function startReader(world: World, after: string | null, every: number): Reader {
  const accepts = (position: number) => position % every === 0;
  const prunedBefore = after === null ? 0 : (world.prunedIn.get(placeOf(after).epoch) ?? 0);
  let stream: FollowStream<Item> | null = null;
  let wanted = 0;
  let position: number | null = null;
  let epoch: string | null = null;
  let ended: unknown = null;
  let isClosed = false;
  let wake = () => {};

  const check = ({ cursor, item }: Followed<Item>) => {
    const place = placeOf(cursor);
    const at = Number(place.position);
    if (position === null) {
      // A checkpoint comes first, at the start.
      expect(item).toBeNull();
      if (after !== null) expect(cursor).toBe(after);
      [position, epoch] = [at, place.epoch];
      return;
    }
    expect(place.epoch).toBe(epoch);
    if (item !== null) {
      expect(item).toEqual({ epoch, position: BigInt(at) });
      expect(accepts(at)).toBe(true);
    }
    // Nothing between was due to this reader: not one is missing, none comes twice or out of order.
    const last = item === null ? at : at - 1;
    expect(at).toBeGreaterThanOrEqual(position + (item === null ? 0 : 1));
    for (let passed = position + 1; passed <= last; passed += 1)
      expect(accepts(passed)).toBe(false);
    position = at;
  };

  const run = async () => {
    try {
      stream = await follow(world.hub, KEY, {
        after,
        // The same law holds whichever of the two refuses.
        ...(every === 2 && { concerns: (item: Item) => accepts(Number(item.position)) }),
        accept: async (item) => {
          await world.pause();
          return accepts(Number(item.position));
        },
      });
    } catch (error) {
      ended = error;
      if (codeOf(error) === 'CURSOR_EXPIRED') {
        const place = placeOf(after ?? '');
        expect(world.prunedIn.get(place.epoch)).toBeGreaterThan(Number(place.position));
      }
      return;
    }
    if (after !== null) {
      expect(Number(placeOf(after).position)).toBeGreaterThanOrEqual(prunedBefore);
    }
    if (isClosed) await stream.return();
    for (;;) {
      while (wanted === 0 && !isClosed) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      wanted -= 1;
      try {
        const next = await stream.next();
        if (next.done) {
          expect(isClosed).toBe(true);
          return;
        }
        expect(isClosed).toBe(false);
        check(next.value);
      } catch (error) {
        ended = error;
        if (!(error instanceof DomainError)) throw error;
        if (error.code === 'CURSOR_EXPIRED') {
          expect(world.prunedIn.get(epoch ?? placeOf(after ?? '').epoch)).toBeGreaterThan(
            position ?? -1,
          );
        }
        // Whoever was told the end is told nothing else after it.
        expect(await stream.next()).toEqual({ done: true, value: undefined });
        return;
      }
    }
  };
  const running = run();
  running.catch(() => {});
  failures.push(running);
  return {
    epoch: () => epoch,
    position: () => position ?? -1,
    ended: () => ended,
    isClosed: () => isClosed,
    want(count) {
      wanted += count;
      wake();
    },
    async close() {
      isClosed = true;
      const leaving = stream?.return();
      wake();
      await leaving;
    },
  };
}

/** What the readers of the run under way promise: rejected where the law was broken. */
const failures: Promise<void>[] = [];

type Command = readonly [name: keyof typeof COMMANDS, a: number, b: number];

interface Run {
  readonly world: World;
  readonly readers: Reader[];
  epochs: number;
}

const pick = <Value>(values: readonly Value[], index: number): Value | undefined =>
  values[index % Math.max(values.length, 1)];

const COMMANDS = {
  commit({ world }: Run, count: number, fate: number) {
    world.head += 1 + (count % 4);
    if (fate % 3 > 0) world.news.push(world.head);
    if (fate % 3 > 1) world.news.push(world.head);
  },
  announceEarly: ({ world }: Run, ahead: number) => void world.news.push(world.head + (ahead % 4)),
  deliver({ world }: Run, index: number, keep: number) {
    if (world.news.length === 0) return;
    const at = index % world.news.length;
    const [position] = keep % 4 === 0 ? [world.news[at]] : world.news.splice(at, 1);
    if (position !== undefined) world.deliver(position);
  },
  drop: ({ world }: Run, index: number) =>
    void (world.news.length > 0 && world.news.splice(index % world.news.length, 1)),
  lose: ({ world }: Run) => world.lose(),
  prune({ world }: Run, count: number) {
    world.pruned = Math.min(world.head, world.pruned + (count % 6));
    world.prunedIn.set(world.epoch, world.pruned);
  },
  rebuild(run: Run, head: number, chance: number) {
    if (chance % 4 > 0) return;
    run.epochs += 1;
    run.world.epoch = epochOf(run.epochs);
    run.world.head = head % 12;
    run.world.pruned = 0;
  },
  table({ world }: Run, chance: number) {
    world.isTableAway = chance % 3 === 0;
  },
  bus({ world }: Run, chance: number) {
    world.isBusAway = chance % 3 === 0;
  },
  async tick({ world }: Run) {
    await world.tick();
  },
  follow({ world, readers }: Run, from: number, every: number) {
    const after = from % 3 === 0 ? null : cursorAt(world.epoch, from % (world.head + 1));
    readers.push(startReader(world, after, 1 + (every % 3)));
  },
  resume({ world, readers }: Run, index: number, every: number) {
    const from = pick(readers, index);
    const epoch = from?.epoch() ?? null;
    if (from === undefined || epoch === null) return;
    readers.push(startReader(world, cursorAt(epoch, from.position()), 1 + (every % 3)));
  },
  want: ({ readers }: Run, index: number, count: number) =>
    pick(readers, index)?.want(1 + (count % 6)),
  close({ readers }: Run, index: number) {
    void pick(readers, index)?.close();
  },
  async goOn({ world }: Run, index: number, count: number) {
    for (let step = 0; step <= count % 5 && world.waiting.length > 0; step += 1) {
      const [next] = world.waiting.splice((index + step) % world.waiting.length, 1);
      next?.();
      await settle();
    }
  },
} satisfies Record<string, (run: Run, a: number, b: number) => unknown>;

const WEIGHTS: Readonly<Record<keyof typeof COMMANDS, number>> = {
  goOn: 12,
  want: 6,
  commit: 6,
  deliver: 5,
  follow: 3,
  tick: 3,
  resume: 1,
  close: 1,
  prune: 1,
  drop: 1,
  lose: 1,
  announceEarly: 1,
  rebuild: 1,
  table: 3,
  bus: 3,
};

const commands = fc.array(
  fc.tuple(
    fc.oneof(
      ...(Object.keys(WEIGHTS) as (keyof typeof COMMANDS)[]).map((name) => ({
        weight: WEIGHTS[name],
        arbitrary: fc.constant(name),
      })),
    ),
    fc.nat(60),
    fc.nat(60),
  ),
  { minLength: 20, maxLength: 120 },
);

const limits = fc.record({
  pageItems: fc.integer({ min: 1, max: 5 }),
  ringBytesMax: fc.integer({ min: 1, max: 6 }),
  queueBytesMax: fc.integer({ min: 1, max: 4 }),
});

const codeOf = (error: unknown) => (error instanceof DomainError ? error.code : null);

/** Everything is back and time passes: whoever can be level now must be. */
async function quiesce({ world, readers }: Run): Promise<void> {
  world.isTableAway = false;
  world.isBusAway = false;
  for (const reader of readers) reader.want(1_000_000);
  for (let round = 0; round < 4; round += 1) {
    await drain(world);
    await world.tick();
  }
  await drain(world);
}

test('whatever is lost, late, doubled, pruned, rebuilt or away, each gets all once and in order, or a typed end', async () => {
  await fc.assert(
    fc.asyncProperty(limits, commands, async (given, list) => {
      failures.length = 0;
      const run: Run = { world: createWorld(given), readers: [], epochs: 0 };
      const { world, readers } = run;
      for (const [name, a, b] of list as readonly Command[]) {
        await COMMANDS[name](run, a, b);
        await settle();
      }
      await quiesce(run);
      for (const reader of readers) {
        if (reader.isClosed()) continue;
        const ended = reader.ended();
        if (ended === null) {
          expect(reader.epoch()).toBe(world.epoch);
          // What its filter refuses at the end is passed by the next checkpoint.
          expect(world.head - reader.position()).toBeLessThan(3);
          expect(reader.position()).toBeGreaterThanOrEqual(0);
        } else {
          expect(['CURSOR_EXPIRED', 'FEED_RESET', 'UNAVAILABLE']).toContain(codeOf(ended));
          // Only beginning needs the table at once; whoever has begun outlives that it is away.
          if (codeOf(ended) === 'UNAVAILABLE') expect(reader.epoch()).toBeNull();
          if (codeOf(ended) === 'FEED_RESET') expect(run.epochs).toBeGreaterThan(0);
        }
      }
      await Promise.all(readers.map((reader) => reader.close()));
      await drain(world);
      await Promise.all(failures);
      expect(world.hub.size).toBe(0);
      expect(world.open).toEqual({ tails: 0, timers: 0, listeners: 0 });
    }),
    { numRuns: Number(process.env['FEED_RUNS'] ?? 300) },
  );
});

const WIDE: Limits = { pageItems: 100, ringBytesMax: 100, queueBytesMax: 100 };
const all = async () => true;

/** For what may be rejected before the test asks. */
function awaited<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {});
  return promise;
}

/** What `promise` comes to once everything that waits has gone on. */
async function settled<Value>(world: World, promise: Promise<Value>): Promise<Value> {
  void awaited(promise);
  await drain(world);
  return promise;
}

async function opened(
  world: World,
  after: string | null = null,
  accept: (item: Item) => Promise<boolean> = all,
): Promise<FollowStream<Item>> {
  const stream = await settled(world, follow(world.hub, KEY, { after, accept }));
  expect((await stream.next()).value?.item).toBeNull();
  return stream;
}

const NOTHING_LEFT = { tails: 0, timers: 0, listeners: 0 };
const DONE = { done: true, value: undefined };

test('a checkpoint comes first, and again whenever nothing was handed out for so long', async () => {
  const world = createWorld(WIDE);
  world.head = 3;
  const stream = await opened(world);
  const next = stream.next();
  let isAnswered = false;
  void next.then(() => {
    isAnswered = true;
  });
  await world.tick(CHECKPOINT_MS - 1);
  expect(isAnswered).toBe(false);
  await world.tick(1);
  expect((await next).value).toEqual({
    cursor: cursorAt(world.epoch, 3),
    item: null,
    aside: null,
  });
  await stream.return();
});

test('asides are told between items, at the place that was reached, also to who only waits', async () => {
  const world = createWorld(WIDE);
  const waiting: string[] = [];
  const asides = { isEmpty: () => waiting.length === 0, take: () => waiting.shift() ?? null };
  const stream = await settled(
    world,
    follow<Item, string>(world.hub, KEY, { after: null, accept: all, asides }),
  );
  waiting.push('before the first');
  // The first is the checkpoint all the same: it says where the stream begins.
  expect((await stream.next()).value).toMatchObject({ item: null, aside: null });
  expect((await stream.next()).value).toMatchObject({ item: null, aside: 'before the first' });
  const next = stream.next();
  waiting.push('while it waits', 'and another');
  await world.tick();
  const reached = cursorAt(world.epoch, 0);
  expect((await next).value).toEqual({ cursor: reached, item: null, aside: 'while it waits' });
  world.head = 1;
  await world.tick();
  expect((await settled(world, stream.next())).value?.aside).toBe('and another');
  expect((await settled(world, stream.next())).value?.item?.position).toBe(1n);
  await stream.return();
});

test('an aside that says so is told at once, and one that may not be seen is told to nobody', async () => {
  const world = createWorld(WIDE);
  const waiting: string[] = [];
  const listeners = new Set<() => void>();
  const asides = {
    isEmpty: () => waiting.length === 0,
    take: () => waiting.shift() ?? null,
    listen: (wake: () => void) => {
      listeners.add(wake);
      return () => listeners.delete(wake);
    },
  };
  const tell = (...told: string[]) => {
    waiting.push(...told);
    for (const wake of [...listeners]) wake();
  };
  const stream = await settled(
    world,
    follow<Item, string>(world.hub, KEY, {
      after: null,
      accept: all,
      asides,
      acceptAside: async (aside) => aside !== 'secret',
    }),
  );
  await stream.next();
  const next = stream.next();
  await drain(world);
  tell('secret');
  await drain(world);
  tell('secret', 'open');
  // Without a tick of the clock.
  expect((await next).value?.aside).toBe('open');
  const last = stream.next();
  await drain(world);
  expect(listeners.size).toBe(1);
  await stream.return();
  expect(await last).toEqual(DONE);
  expect(listeners.size).toBe(0);
});

test('however many asides there are, items have their turns', async () => {
  const world = createWorld(WIDE);
  // One is always there, as where many people type without end.
  const asides = { isEmpty: () => false, take: () => 'again' };
  const stream = await settled(
    world,
    follow<Item, string>(world.hub, KEY, { after: null, accept: all, asides }),
  );
  await stream.next();
  world.head = 3;
  await world.tick();
  await drain(world);
  const told = [];
  for (let index = 0; index < 6; index += 1) {
    const { value } = await settled(world, stream.next());
    told.push(value?.item?.position ?? value?.aside);
  }
  expect(told).toEqual(['again', 1n, 'again', 2n, 'again', 3n]);
  await stream.return();
});

test('an aside whose permission cannot be asked for ends nothing', async () => {
  const world = createWorld(WIDE);
  const waiting = ['one', 'two'];
  const stream = await settled(
    world,
    follow<Item, string>(world.hub, KEY, {
      after: null,
      accept: all,
      asides: { isEmpty: () => waiting.length === 0, take: () => waiting.shift() ?? null },
      acceptAside: async (aside) => {
        if (aside === 'one') throw new UnavailableError('PostgreSQL is away');
        return true;
      },
    }),
  );
  await stream.next();
  expect((await settled(world, stream.next())).value?.aside).toBe('two');
  await stream.return();
});

test('what a filter refuses moves the checkpoint on', async () => {
  const world = createWorld(WIDE);
  const stream = await opened(world, null, async () => false);
  const next = stream.next();
  world.head = 7;
  await world.tick();
  await drain(world);
  await world.tick(CHECKPOINT_MS);
  expect((await next).value).toEqual({
    cursor: cursorAt(world.epoch, 7),
    item: null,
    aside: null,
  });
  await stream.return();
});

test('what does not concern a follower neither wakes it nor fills its queue, and moves its checkpoint on', async () => {
  const world = createWorld({ ...WIDE, queueBytesMax: 1 });
  let asked = 0;
  const stream = await settled(
    world,
    follow<Item>(world.hub, KEY, {
      after: null,
      concerns: ({ position }) => position === 9n,
      accept: async () => {
        asked += 1;
        return true;
      },
    }),
  );
  await stream.next();
  const next = stream.next();
  world.head = 7;
  await world.tick();
  await drain(world);
  expect(asked).toBe(0);
  await world.tick(CHECKPOINT_MS);
  expect((await next).value).toEqual({
    cursor: cursorAt(world.epoch, 7),
    item: null,
    aside: null,
  });
  world.head = 9;
  await world.tick();
  expect((await settled(world, stream.next())).value?.item?.position).toBe(9n);
  expect(asked).toBe(1);
  await stream.return();
});

test('a permission check that fails ends the stream, and nothing after it is handed out', async () => {
  const world = createWorld(WIDE);
  const stream = await opened(world, null, async () => {
    throw new Error('no answer');
  });
  world.head = 2;
  await world.tick();
  await expect(settled(world, stream.next())).rejects.toThrow('no answer');
  expect(await stream.next()).toEqual(DONE);
  await drain(world);
  expect(world.hub.size).toBe(0);
  expect(world.open).toEqual(NOTHING_LEFT);
});

test('leaving ends a next that waits, for whatever it waits, and frees everything', async () => {
  const world = createWorld(WIDE);
  const quiet = await opened(world);
  const waiting = quiet.next();
  expect(await quiet.return()).toEqual(DONE);
  expect(await waiting).toEqual(DONE);
  let answer = (_isAllowed: boolean) => {};
  const asking = await opened(world, cursorAt(world.epoch, 0), () => {
    return new Promise((resolve) => {
      answer = resolve;
    });
  });
  world.head = 1;
  await world.tick();
  const asked = asking.next();
  await drain(world);
  expect(await asking.return()).toEqual(DONE);
  answer(true);
  expect(await asked).toEqual(DONE);
  await drain(world);
  expect(world.hub.size).toBe(0);
  expect(world.open).toEqual(NOTHING_LEFT);
});

test('who is behind when the feed is rebuilt is told, and is handed nothing of the other history', async () => {
  const world = createWorld({ ...WIDE, pageItems: 1, ringBytesMax: 1 });
  world.head = 5;
  const behind = await opened(world, cursorAt(world.epoch, 1));
  const level = await opened(world);
  const waiting = awaited(level.next());
  world.epoch = epochOf(1);
  world.head = 9;
  await drain(world);
  world.deliver(9);
  const reset = expect.objectContaining({ code: 'FEED_RESET' });
  await expect(settled(world, behind.next())).rejects.toEqual(reset);
  await expect(settled(world, waiting)).rejects.toEqual(reset);
});

test('who follows the past epoch is told when somebody begins in the new one', async () => {
  const world = createWorld(WIDE);
  const past = await opened(world);
  const waiting = awaited(past.next());
  world.epoch = epochOf(1);
  const present = await opened(world);
  await expect(waiting).rejects.toMatchObject({ code: 'FEED_RESET' });
  const next = present.next();
  world.head = 1;
  await world.tick();
  expect((await settled(world, next)).value?.item?.position).toBe(1n);
  await present.return();
});

test('the table being away is outlived, level or behind, and nothing is missed', async () => {
  const world = createWorld({ ...WIDE, ringBytesMax: 1 });
  world.head = 5;
  const behind = await opened(world, cursorAt(world.epoch, 1));
  const level = await opened(world);
  world.isTableAway = true;
  const nexts = [awaited(behind.next()), awaited(level.next())];
  await drain(world);
  world.deliver(6);
  await drain(world);
  world.isTableAway = false;
  world.head = 6;
  await world.tick();
  await drain(world);
  const items = (await Promise.all(nexts)).map(({ value }) => value?.item?.position);
  expect(items).toEqual([2n, 6n]);
  await Promise.all([behind.return(), level.return()]);
});

test('who reads nothing holds no more than its queue, and reads on from the table', async () => {
  const world = createWorld({ pageItems: 10, ringBytesMax: 2, queueBytesMax: 5 });
  const [stuck, stays] = [await opened(world), await opened(world)];
  const read = async (stream: FollowStream<Item>) =>
    Number((await settled(world, stream.next())).value?.item?.position);
  world.head = 1;
  await world.tick();
  expect([await read(stuck), await read(stays)]).toEqual([1, 1]);
  world.head = 50;
  world.deliver(50);
  await drain(world);
  for (let position = 2; position <= 50; position += 1) expect(await read(stays)).toBe(position);
  // What it would still have to read is gone: all that it gets now is what it held.
  world.pruned = 50;
  for (let position = 2; position <= 7; position += 1) expect(await read(stuck)).toBe(position);
  await expect(read(stuck)).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
  await stays.return();
});

test('a hole that the table cannot explain ends the stream rather than be skipped', async () => {
  const world = createWorld(WIDE);
  world.head = 5;
  const stream = await opened(world);
  const next = awaited(stream.next());
  world.head = 9;
  world.missing = 7;
  await world.tick();
  await expect(settled(world, next)).rejects.toMatchObject({ code: 'FEED_RESET' });
});

test('closing ends every stream with UNAVAILABLE, also one that waits for the table, and nobody begins', async () => {
  const world = createWorld({ ...WIDE, ringBytesMax: 1 });
  world.head = 5;
  const behind = await opened(world, cursorAt(world.epoch, 1));
  const level = await opened(world);
  world.isTableAway = true;
  const nexts = [awaited(behind.next()), awaited(level.next())];
  await drain(world);
  world.isTableAway = false;
  const starting = awaited(follow(world.hub, KEY, { after: null, accept: all }));
  await settled(world, world.hub.close());
  const unavailable = expect.objectContaining({ code: 'UNAVAILABLE' });
  await drain(world);
  for (const ended of [...nexts, starting]) {
    await expect(ended).rejects.toEqual(unavailable);
  }
  await drain(world);
  expect(world.hub.size).toBe(0);
  expect(world.open).toEqual(NOTHING_LEFT);
});

test('a tail that could not be opened for who has left does not take the next one with it', async () => {
  const world = createWorld(WIDE);
  const goOn = async (index: number) => {
    world.waiting.splice(index, 1)[0]?.();
    await settle();
  };
  const begin = async (at: number) => {
    const starting = follow(world.hub, KEY, { after: null, accept: all });
    await settle();
    // The question and the answer of the head; then its tail waits at the same place.
    await goOn(at);
    await goOn(at);
    return starting;
  };
  await (await begin(0)).return();
  const stays = await begin(1);
  expect(world.waiting).toHaveLength(2);
  world.isBusAway = true;
  await goOn(0);
  world.isBusAway = false;
  await goOn(0);
  expect(world.open.tails).toBe(1);
  await stays.return();
  await drain(world);
  expect(world.open).toEqual(NOTHING_LEFT);
});
