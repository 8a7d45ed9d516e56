import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { PayloadTooLargeError, UnavailableError } from '#lib/errors.ts';
import type { Bus, Entry, Place, TailOptions } from '#pubsub/bus.ts';
import type { BusLog } from '#pubsub/log.ts';
import { defineTopic, type Topic } from '#pubsub/topic.ts';
import type { NodeTask } from './consuming-node.ts';

/** A private server, and what a contract cannot say through a bus. */
export interface BusWorld {
  /** A node of its own. */
  openBus(topics: readonly Topic<unknown>[], log: BusLog): Promise<Bus>;
  /** How a child process opens the same bus. */
  readonly node: NodeTask['open'];
  readonly server: { kill(): Promise<void>; restart(): Promise<void> };
  /** Removes a topic's entries behind the bus's back. */
  purge(topicName: string): Promise<void>;
  /** Removes a topic's stream behind the bus's back. */
  destroy(topicName: string): Promise<void>;
  /** What the server holds for a topic's tails. */
  countReaders(topicName: string): Promise<number>;
  /** Of these, how many one node needs for a topic, whatever the number of its tails. */
  readonly readersPerTail: 0 | 1;
  close(): Promise<void>;
}

const payload = z.object({ n: z.number(), text: z.string().optional() });
type Payload = z.infer<typeof payload>;

const HANDOVER_MS = 5_000;
const NODE = fileURLToPath(new URL('./consuming-node.ts', import.meta.url));

export const silent: BusLog = { debug() {}, info() {}, warn() {}, error() {} };

export function describeBus(name: string, setup: () => Promise<BusWorld>): void {
  let world: BusWorld;
  let buses: Bus[] = [];
  let topicCount = 0;

  beforeAll(async () => {
    world = await setup();
  });
  afterAll(() => world?.close());
  afterEach(async () => {
    await Promise.all(buses.map((bus) => bus.close()));
    buses = [];
  });

  function newTopic(): Topic<Payload> {
    const name = `contract.topic-${++topicCount}`;
    return defineTopic({ name, payload, retainMs: 3_600_000, retainBytesMax: 64 * 2 ** 20 });
  }

  async function openBus(...topics: Topic<unknown>[]): Promise<Bus> {
    const bus = await world.openBus(topics, silent);
    buses.push(bus);
    return bus;
  }

  async function openNew() {
    const topic = newTopic();
    return { topic, bus: await openBus(topic) };
  }

  describe(name, () => {
    describe('publishing', () => {
      test('entries of one key keep their order while others are published beside them', async () => {
        const { bus, topic } = await openNew();
        const seen = await watch(bus, topic, 'head');
        await Promise.all(
          Array.from({ length: 500 }, (_, n) =>
            bus.publish(topic, `room ${n % 5}`, { n }, { id: `id-${n}` }),
          ),
        );
        await seen.reaches(500);
        for (const [key, entries] of Map.groupBy(seen.entries, (entry) => entry.key)) {
          const order = entries.map((entry) => entry.payload.n);
          expect(order, key).toEqual(order.toSorted((a, b) => a - b));
        }
        expect(seen.losses).toEqual([]);
      });

      test('the same id is stored once, and answers with the same place on every node', async () => {
        const { bus, topic } = await openNew();
        const other = await openBus(topic);
        const seen = await watch(bus, topic, 'head');
        const places = await Promise.all([
          bus.publish(topic, 'k', { n: 1 }, { id: 'twice' }),
          bus.publish(topic, 'k', { n: 1 }, { id: 'twice' }),
          other.publish(topic, 'k', { n: 1 }, { id: 'twice' }),
        ]);
        places.push(await other.publish(topic, 'k', { n: 1 }, { id: 'twice' }));
        for (const place of places) expect(place).toEqual(places[0]);
        await bus.publish(topic, 'k', { n: 2 }, { id: 'last' });
        await seen.reaches(2);
        expect(seen.numbers()).toEqual([1, 2]);
      });

      test('keys, payloads and attachments arrive byte for byte', async () => {
        const { bus, topic } = await openNew();
        const seen = await watch(bus, topic, 'head');
        const near = Buffer.alloc(Math.min(bus.entryBytesMax, 9 * 2 ** 20) - 100, 0xa5);
        const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);
        const attachments = [undefined, new Uint8Array(0), everyByte, near];
        const keys = ['', 'a.b *>', 'UPPER/lower~', '한국어 \u0000 🎈'.padEnd(480, '.')];
        for (const [n, attachment] of attachments.entries()) {
          const text = `U+0000: \u0000, ${n}`;
          const options = { id: `id-${n}`, ...(attachment && { attachment }) };
          await bus.publish(topic, keys[n] ?? '', { n, text }, options);
        }
        await seen.reaches(4);
        expect(seen.entries.map((entry) => entry.key)).toEqual(keys);
        expect(seen.entries.map((entry) => entry.payload.text?.at(-1))).toEqual([
          '0',
          '1',
          '2',
          '3',
        ]);
        expect(seen.entries.map((entry) => entry.payload.text?.at(8))).toEqual(
          Array(4).fill('\u0000'),
        );
        for (const [n, attachment] of attachments.entries()) {
          const got = seen.entries[n]?.attachment;
          if (attachment === undefined) expect(got).toBeNull();
          else expect(Buffer.compare(got ?? Buffer.from('none'), attachment)).toBe(0);
        }
      });

      test('the largest entry fits, and one byte more is refused by naming the limit', async () => {
        const { bus, topic } = await openNew();
        const room = bus.entryBytesMax - JSON.stringify({ n: 1 }).length;
        const key = 'k'.repeat(512);
        await bus.publish(
          topic,
          key,
          { n: 1 },
          { id: 'i'.repeat(128), attachment: Buffer.alloc(room) },
        );
        const refusal = bus.publish(
          topic,
          key,
          { n: 1 },
          { id: 'b', attachment: Buffer.alloc(room + 1) },
        );
        await expect(refusal).rejects.toThrow(PayloadTooLargeError);
        await expect(refusal).rejects.toThrow(String(bus.entryBytesMax));
      });

      test('a payload, key, id or topic that is no good is refused and stores nothing', async () => {
        const { bus, topic } = await openNew();
        const seen = await watch(bus, topic, 'head');
        const bad = { n: 'one' } as unknown as Payload;
        await expect(bus.publish(topic, 'k', bad, { id: 'a' })).rejects.toThrow(topic.name);
        await expect(bus.publish(topic, 'k'.repeat(513), { n: 1 }, { id: 'b' })).rejects.toThrow(
          '512',
        );
        await expect(bus.publish(topic, 'k', { n: 1 }, { id: 'c\n' })).rejects.toThrow(TypeError);
        await expect(bus.publish(newTopic(), 'k', { n: 1 }, { id: 'd' })).rejects.toThrow(
          TypeError,
        );
        await bus.publish(topic, 'k', { n: 2 }, { id: 'e' });
        await seen.reaches(1);
        expect(seen.numbers()).toEqual([2]);
      });
    });

    describe('tailing', () => {
      test('a tail from a place gets exactly what follows it', async () => {
        const { bus, topic } = await openNew();
        const places = await publishMany(bus, topic, 0, 20);
        const seen = await watch(bus, topic, places[6]);
        await seen.reaches(13);
        expect(seen.numbers()).toEqual(range(7, 20));
        expect(seen.entries.map((entry) => entry.place)).toEqual(places.slice(7));
      });

      test('replay and live join without a gap or repeat while others publish', async () => {
        const { bus, topic } = await openNew();
        const other = await openBus(topic);
        const [first] = await publishMany(bus, topic, 0, 50);
        const tails = [await watch(bus, topic, first)];
        const publishing = [
          publishMany(bus, topic, 50, 400, 'left'),
          publishMany(other, topic, 400, 750, 'right'),
        ];
        for (let i = 0; i < 5; i++) tails.push(await watch(bus, topic, first));
        await Promise.all(publishing);
        for (const seen of tails) {
          await seen.reaches(749);
          expect(seen.sequences()).toEqual(range(2, 751));
          expect(seen.losses).toEqual([]);
        }
      });

      test('a tail that starts further back repeats nothing to the others and needs no further reader', async () => {
        const { bus, topic } = await openNew();
        const [first] = await publishMany(bus, topic, 0, 10);
        const live = await watch(bus, topic, 'head');
        await publishMany(bus, topic, 10, 12);
        await live.reaches(2);
        const late = await watch(bus, topic, first);
        const head = await watch(bus, topic, 'head');
        await publishMany(bus, topic, 12, 14);
        await late.reaches(13);
        await live.reaches(4);
        await head.reaches(2);
        expect(late.numbers()).toEqual(range(1, 14));
        expect(live.numbers()).toEqual(range(10, 14));
        expect(head.numbers()).toEqual([12, 13]);
        expect(await world.countReaders(topic.name)).toBe(world.readersPerTail);
      });

      test('a closed tail hears nothing more, and the others go on', async () => {
        const { bus, topic } = await openNew();
        const gone = await watch(bus, topic, 'head');
        const stays = await watch(bus, topic, 'head');
        await gone.close();
        await gone.close();
        await publishMany(bus, topic, 0, 3);
        await stays.reaches(3);
        expect(gone.numbers()).toEqual([]);
      });

      test('a tail that throws, or meets an entry it cannot read, goes on and is told', async () => {
        const { bus, topic } = await openNew();
        const older = await openBus(olderRelease(topic));
        const seen = await watch(bus, topic, 'head', ({ payload: { n } }) => {
          if (n === 0) throw new Error('A bug of the reader');
        });
        await publishMany(bus, topic, 0, 1);
        await older.publish(olderRelease(topic), 'k', { other: true }, { id: 'other' });
        await publishMany(bus, topic, 1, 2);
        await seen.reaches(2);
        expect(seen.numbers()).toEqual([0, 1]);
        expect(seen.losses).toHaveLength(1);
      });
    });

    describe('losing the stream', () => {
      test('a tail from a place that was purged is told, and goes on with what is there', async () => {
        const { bus, topic } = await openNew();
        const places = await publishMany(bus, topic, 0, 5);
        await world.purge(topic.name);
        const seen = await watch(bus, topic, places[1]);
        await seen.loses();
        await publishMany(bus, topic, 5, 8);
        await seen.reaches(3);
        expect(seen.numbers()).toEqual([5, 6, 7]);
        expect(seen.losses[0]?.after).toEqual(places[1]);
      });

      test('a live tail is told that the stream was made anew, and misses nothing published afterwards', async () => {
        const { bus, topic } = await openNew();
        const seen = await watch(bus, topic, 'head');
        const before = await publishMany(bus, topic, 0, 5);
        await seen.reaches(5);
        await world.destroy(topic.name);
        const after = await publishMany(bus, topic, 5, 8);
        await seen.loses();
        await seen.reaches(8);
        expect(seen.numbers()).toEqual(range(0, 8));
        expect(after[0]?.incarnation).not.toBe(before[0]?.incarnation);
        expect(after.map((place) => place.sequence)).toEqual([1n, 2n, 3n]);
        const old = await watch(bus, topic, before[3]);
        await old.loses();
        await old.reaches(3);
        expect(old.numbers()).toEqual([5, 6, 7]);
      });

      test('a consumer goes on with what is published afterwards', async () => {
        const { bus, topic } = await openNew();
        const handled: number[] = [];
        await consume(bus, topic, (n) => void handled.push(n));
        await publishMany(bus, topic, 0, 3);
        await vi.waitUntil(() => handled.length === 3, { timeout: 5_000 });
        await world.destroy(topic.name);
        await publishMany(bus, topic, 3, 6);
        await vi.waitUntil(() => new Set(handled).size === 6, { timeout: 10_000 });
        await world.purge(topic.name);
        await publishMany(bus, topic, 6, 9);
        await vi.waitUntil(() => new Set(handled).size === 9, { timeout: 10_000 });
      });
    });

    describe('consuming', () => {
      test('starts at the oldest entry, in batches, and each name gets everything', async () => {
        const { bus, topic } = await openNew();
        await publishMany(bus, topic, 0, 25);
        const batches: number[][] = [];
        const handle = async (batch: readonly Entry<Payload>[]) => {
          batches.push(batch.map((entry) => entry.payload.n));
        };
        await bus.consume(topic, { name: 'one', batchMax: 10, handle });
        const other: number[] = [];
        await consume(bus, topic, (n) => void other.push(n), { name: 'other' });
        await vi.waitUntil(() => batches.flat().length === 25 && other.length === 25, 5_000);
        expect(batches.flat()).toEqual(range(0, 25));
        expect(Math.max(...batches.map((batch) => batch.length))).toBeLessThanOrEqual(10);
        expect(other).toEqual(range(0, 25));
      });

      test('goes on where it stopped when it comes back', async () => {
        const { bus, topic } = await openNew();
        const handled: number[] = [];
        const first = await consume(bus, topic, (n) => void handled.push(n));
        await publishMany(bus, topic, 0, 5);
        await vi.waitUntil(() => handled.length === 5, 5_000);
        await first.close();
        await publishMany(bus, topic, 5, 10);
        const other = await openBus(topic);
        await consume(other, topic, (n) => void handled.push(n));
        await vi.waitUntil(() => handled.length === 10, 10_000);
        expect(handled).toEqual(range(0, 10));
      });

      test('closing waits for what is being handled', async () => {
        const { bus, topic } = await openNew();
        const started = Promise.withResolvers<void>();
        const finish = Promise.withResolvers<void>();
        let finished = false;
        const consumer = await consume(bus, topic, async () => {
          started.resolve();
          await finish.promise;
          finished = true;
        });
        await publishMany(bus, topic, 0, 1);
        await started.promise;
        const closed = consumer.close().then(() => expect(finished).toBe(true));
        finish.resolve();
        await closed;
      });

      test('two nodes with one name share: each entry is handled, none twice', async () => {
        const { bus, topic } = await openNew();
        const other = await openBus(topic);
        const handled: number[] = [];
        await consume(bus, topic, (n) => void handled.push(n), { batchMax: 5 });
        await consume(other, topic, (n) => void handled.push(n), { batchMax: 5 });
        await Promise.all([
          publishMany(bus, topic, 0, 150, 'left'),
          publishMany(other, topic, 150, 300, 'right'),
        ]);
        await vi.waitUntil(() => handled.length >= 300, 10_000);
        expect(handled.toSorted((a, b) => a - b)).toEqual(range(0, 300));
      });

      test('an entry that is handled longer than any deadline is not handed over twice meanwhile', async () => {
        const { bus, topic } = await openNew();
        const other = await openBus(topic);
        const handled: number[] = [];
        const slow = async (n: number) => {
          handled.push(n);
          // Real time: it is the server's patience that is measured.
          if (n === 0) await new Promise((resolve) => setTimeout(resolve, 6_000));
        };
        await consume(bus, topic, slow, { batchMax: 1 });
        await consume(other, topic, slow, { batchMax: 1 });
        await publishMany(bus, topic, 0, 3);
        await vi.waitUntil(() => handled.length >= 3, 15_000);
        expect(handled.toSorted((a, b) => a - b)).toEqual([0, 1, 2]);
      });

      test('a poison entry is tried N times with growing pauses, then parked; the others flow', async () => {
        const { bus, topic } = await openNew();
        const handled = new Set<number>();
        const attempts: number[] = [];
        await consume(
          bus,
          topic,
          (n) => {
            if (n === 3) {
              attempts.push(performance.now());
              throw new Error('poison \u0000');
            }
            handled.add(n);
          },
          { attemptsMax: 3 },
        );
        await publishMany(bus, topic, 0, 10);
        await vi.waitUntil(() => handled.size === 9, 5_000);
        const isParked = async () => (await deadLettersOf(bus, topic)).length > 0;
        await vi.waitUntil(isParked, { timeout: 10_000, interval: 50 });
        const [letter, ...more] = await deadLettersOf(bus, topic);
        expect(more).toEqual([]);
        expect(letter).toEqual({
          topic: topic.name,
          consumer: 'worker',
          entryId: `${topic.name}-3`,
          key: 'key',
          reason: 'Error: poison ',
          attempts: 3,
          parkedAt: expect.any(Date),
        });
        await publishMany(bus, topic, 10, 12);
        await vi.waitUntil(() => handled.size === 11, 5_000);
        // The first batch's try may have been of several entries at once and counts for none of them.
        const alone = attempts.slice(-3);
        expect((alone[1] ?? 0) - (alone[0] ?? 0)).toBeGreaterThan(100);
        expect(await deadLettersOf(bus, topic)).toHaveLength(1);
      });

      test('a handler that throws once is handed the entry again', async () => {
        const { bus, topic } = await openNew();
        const tried: number[] = [];
        await consume(bus, topic, (n) => {
          tried.push(n);
          if (tried.length === 1) throw new Error('once');
        });
        await publishMany(bus, topic, 0, 1);
        await vi.waitUntil(() => tried.length === 2, 5_000);
        expect(await deadLettersOf(bus, topic)).toEqual([]);
      });

      test('UnavailableError from a handler counts as no attempt: an outage parks nothing', async () => {
        const { bus, topic } = await openNew();
        const handled: number[] = [];
        let outages = 0;
        const handle = (n: number) => {
          if (outages < 3) {
            outages++;
            throw new UnavailableError('The database is down');
          }
          handled.push(n);
        };
        await consume(bus, topic, handle, { attemptsMax: 1 });
        await publishMany(bus, topic, 0, 3);
        await vi.waitUntil(() => handled.length === 3, 10_000);
        expect(handled).toEqual([0, 1, 2]);
        expect(await deadLettersOf(bus, topic)).toEqual([]);
      });

      test('an entry that does not fit the topic is parked with the reason, and loops for ever nowhere', async () => {
        const { bus, topic } = await openNew();
        const older = await openBus(olderRelease(topic));
        await older.publish(olderRelease(topic), 'k', { other: true }, { id: 'misfit' });
        await publishMany(bus, topic, 0, 2);
        const handled: number[] = [];
        await consume(bus, topic, (n) => void handled.push(n), { attemptsMax: 2 });
        const isParked = async () => (await deadLettersOf(bus, topic)).length > 0;
        await vi.waitUntil(isParked, { timeout: 10_000, interval: 50 });
        const [letter] = await deadLettersOf(bus, topic);
        expect(letter).toMatchObject({ entryId: 'misfit', attempts: 2 });
        expect(letter?.reason).toContain('Cannot be read');
        expect(handled).toEqual([0, 1]);
      });

      test("a killed node's entries are handled by another within 5 s", async () => {
        const { bus, topic } = await openNew();
        const child = startNode({ topicName: topic.name, finish: 'never' });
        await once(child, 'message');
        const published = publishMany(bus, topic, 0, 200);
        // It says how far it is and then never returns: killed with a batch in its hands.
        const [held] = (await once(child, 'message')) as [number[]];
        await published;
        const handled = new Set<number>();
        await consume(bus, topic, (n) => void handled.add(n));
        const killedAt = performance.now();
        child.kill('SIGKILL');
        await vi.waitUntil(() => handled.size === 200, { timeout: 10_000 });
        expect(performance.now() - killedAt).toBeLessThan(HANDOVER_MS);
        expect(held.every((n) => handled.has(n))).toBe(true);
      });
    });

    describe('losing the server', () => {
      test('what was published stands exactly once and in order after kill -9 in mid-publish', async () => {
        const { bus, topic } = await openNew();
        const [start] = await publishMany(bus, topic, -1, 0);
        const live = await watch(bus, topic, 'head');
        const handled: number[] = [];
        await consume(bus, topic, (n) => void handled.push(n));
        const stored: number[] = [];
        const enough = Promise.withResolvers<void>();
        let restarted = false;
        const publishers = range(0, 4).map(async (writer) => {
          let afterRestart = 0;
          for (let i = 0; afterRestart < 20; i++) {
            const n = writer * 1_000_000 + i;
            await publishStubbornly(bus, topic, `writer ${writer}`, n);
            stored.push(n);
            if (stored.length === 400) enough.resolve();
            if (restarted) afterRestart++;
          }
        });
        await enough.promise;
        await world.server.kill();
        await world.server.restart();
        restarted = true;
        await Promise.all(publishers);
        const replayed = await watch(bus, topic, start);
        for (const seen of [live, replayed]) {
          await seen.reaches(stored.length);
          expect(seen.numbers().toSorted((a, b) => a - b)).toEqual(
            stored.toSorted((a, b) => a - b),
          );
          for (const entries of Map.groupBy(seen.entries, (entry) => entry.key).values()) {
            const order = entries.map((entry) => entry.payload.n);
            expect(order).toEqual(order.toSorted((a, b) => a - b));
          }
          expect(seen.losses).toEqual([]);
        }
        await vi.waitUntil(() => new Set(handled).size === stored.length + 1, 10_000);
      });

      test('publishing while it is down fails with UnavailableError within 5 s, and works again after', async () => {
        const { bus, topic } = await openNew();
        const seen = await watch(bus, topic, 'head');
        await publishMany(bus, topic, 0, 1);
        await world.server.kill();
        const asked = performance.now();
        const failures = await Promise.allSettled(
          range(1, 4).map((n) => bus.publish(topic, 'key', { n }, { id: `down-${n}` })),
        );
        expect(performance.now() - asked).toBeLessThan(5_500);
        for (const failure of failures) {
          expect(failure).toMatchObject({ reason: expect.any(UnavailableError) });
        }
        await expect(bus.check()).rejects.toThrow(UnavailableError);
        await world.server.restart();
        await publishStubbornly(bus, topic, 'key', 9);
        await seen.reachesNumber(9);
        await bus.check();
        expect(seen.losses).toEqual([]);
      });
    });

    test('a closed bus holds nothing: no reader on the server, nothing that keeps its process alive', async () => {
      const { bus, topic } = await openNew();
      await publishMany(bus, topic, 0, 3);
      const child = startNode({ topicName: topic.name, finish: 'closed' });
      const [code] = await once(child, 'exit');
      expect(code).toBe(0);
      const tail = await watch(bus, topic, 'head');
      const hasReader = async () => (await world.countReaders(topic.name)) === world.readersPerTail;
      await vi.waitUntil(hasReader, { timeout: 5_000, interval: 20 });
      await tail.close();
      expect(await world.countReaders(topic.name)).toBe(0);
      await bus.close();
      await bus.close();
      const late = bus.publish(topic, 'k', { n: 1 }, { id: 'late' });
      await expect(late).rejects.toThrow(UnavailableError);
    });
  });

  function startNode(task: Omit<NodeTask, 'open'>) {
    return fork(NODE, [JSON.stringify({ ...task, open: world.node })], { execArgv: [] });
  }
}

/** The same topic as another release declares it. */
function olderRelease(topic: Topic<unknown>) {
  return { ...topic, payload: z.object({ other: z.boolean() }) };
}

async function watch(
  bus: Bus,
  topic: Topic<Payload>,
  from: Place | 'head' | undefined,
  onEntry: (entry: Entry<Payload>) => void = () => {},
) {
  if (from === undefined) throw new Error('No place to start from');
  const entries: Entry<Payload>[] = [];
  const losses: Parameters<TailOptions<Payload>['onLoss']>[0][] = [];
  const tail = await bus.tail(topic, {
    from,
    onEntry(entry) {
      entries.push(entry);
      onEntry(entry);
    },
    onLoss: (loss) => void losses.push(loss),
  });
  return {
    entries,
    losses,
    numbers: () => entries.map((entry) => entry.payload.n),
    sequences: () => entries.map((entry) => Number(entry.place.sequence)),
    reaches: (count: number) => vi.waitUntil(() => entries.length >= count, { timeout: 10_000 }),
    reachesNumber: (n: number) =>
      vi.waitUntil(() => entries.some((entry) => entry.payload.n === n), { timeout: 10_000 }),
    loses: () => vi.waitUntil(() => losses.length > 0, { timeout: 10_000 }),
    close: () => tail.close(),
  };
}

function consume(
  bus: Bus,
  topic: Topic<Payload>,
  onNumber: (n: number) => void | Promise<void>,
  options: { name?: string; batchMax?: number; attemptsMax?: number } = {},
) {
  return bus.consume(topic, {
    name: 'worker',
    ...options,
    async handle(batch) {
      for (const entry of batch) await onNumber(entry.payload.n);
    },
  });
}

function publishMany(bus: Bus, topic: Topic<Payload>, from: number, to: number, key = 'key') {
  return Promise.all(
    range(from, to).map((n) => bus.publish(topic, key, { n }, { id: `${topic.name}-${n}` })),
  );
}

/** As the outbox does: the same id until the bus has it. */
async function publishStubbornly(bus: Bus, topic: Topic<Payload>, key: string, n: number) {
  for (;;) {
    try {
      return await bus.publish(topic, key, { n }, { id: `${key.replace(' ', '-')}-${n}` });
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function deadLettersOf(bus: Bus, topic: Topic<Payload>) {
  const letters = await bus.listDeadLetters(100);
  return letters.filter((letter) => letter.topic === topic.name);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}
