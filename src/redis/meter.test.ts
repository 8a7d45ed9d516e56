import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anyPorts } from '../../embedded/ports.ts';
import { startRedis } from '../../embedded/redis.ts';
import { testFolder, testRedisUrl } from '../../tests/support/servers.ts';
import { createRedis, type RedisClient } from './client.ts';
import { type Meter, type MeterRun, TAKE_UNITS, takeFrom } from './meter.ts';

const MINUTE_MICROS = 60_000_000;
const paceOf = (limit: number, windowMicros = MINUTE_MICROS) => ({
  limit,
  perMicro: limit / windowMicros,
});
const whole = (units: number): MeterRun => ({ units, step: Math.max(1, units) });
const partly = (units: number): MeterRun => ({ units, step: 1 });

describe('takeFrom', () => {
  test('all are there at first, and none is given beyond the limit', () => {
    const first = takeFrom(null, 0, paceOf(5), partly(50));
    expect(first).toEqual({ given: 5, meter: { used: 5, atMicros: 0 } });
    expect(takeFrom(first.meter, 0, paceOf(5), partly(1)).given).toBe(0);
  });

  test('units come back one by one, evenly, each at its microsecond', () => {
    for (const limit of [1, 5, 7, 900, 85_714, 1_000_000_000]) {
      const spent: Meter = { used: limit, atMicros: 1_795_294_074_304_000 };
      for (const back of [1, 2, limit - 1, limit].filter((count) => count > 0 && count <= limit)) {
        const after = Math.ceil((back * MINUTE_MICROS) / limit);
        const at = (micros: number) =>
          takeFrom(spent, spent.atMicros + micros, paceOf(limit), partly(limit)).given;
        expect(at(after)).toBeGreaterThanOrEqual(back);
        expect(at(after - 1)).toBeLessThanOrEqual(
          Math.floor(((after - 0.99) * limit) / MINUTE_MICROS),
        );
      }
    }
  });

  test('so many single units as the limit are given, whatever its fraction of the window', () => {
    for (const limit of [3, 7, 900, 7_777, 85_714]) {
      let meter: Meter | null = null;
      let given = 0;
      for (let take = 0; take < limit + 10; take += 1) {
        const taken = takeFrom(meter, 1_795_294_074_304_000, paceOf(limit), whole(1));
        meter = taken.meter;
        given += taken.given;
      }
      expect(given).toBe(limit);
    }
  });

  test('a clock that was set back gives nothing, and takes nothing away', () => {
    const { given, meter } = takeFrom({ used: 4, atMicros: 1e15 }, 1_000, paceOf(5), partly(3));
    expect({ given, meter }).toEqual({ given: 1, meter: { used: 5, atMicros: 1_000 } });
  });

  test('whatever is taken and given back, what is used stays between nothing and the limit', () => {
    const step = fc.record({
      elapsed: fc.nat(MINUTE_MICROS),
      limit: fc.integer({ min: 1, max: 1_000 }),
      run: anyRun(),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        let meter: Meter | null = null;
        let now = 0;
        for (const { elapsed, limit, run } of steps) {
          now += elapsed;
          const taken = takeFrom(meter, now, paceOf(limit), run);
          meter = taken.meter;
          expect(meter.used).toBeGreaterThanOrEqual(0);
          expect(meter.used).toBeLessThanOrEqual(limit);
          expect(taken.given).toBeGreaterThanOrEqual(0);
          expect(taken.given).toBeLessThanOrEqual(Math.max(0, run.units));
          expect(taken.given % run.step).toBe(0);
        }
      }),
    );
  });
});

function anyRun(): fc.Arbitrary<MeterRun> {
  return fc.oneof(
    fc.nat(60).map(whole),
    fc.nat(60).map(partly),
    fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 9 })).map(([count, step]) => ({
      units: count * step,
      step,
    })),
    fc.integer({ min: 1, max: 60 }).map((units) => ({ units: -units, step: 1 })),
  );
}

describe.each(['the Redis of the tests', 'the Redis in JavaScript'])('in %s', (name) => {
  let redis: RedisClient;
  let stop = async () => {};
  beforeAll(async () => {
    if (name === 'the Redis of the tests') {
      redis = createRedis({ ...testRedisUrl(), onError: () => {} });
      return;
    }
    const server = await startRedis({ folder: testFolder(), ports: anyPorts, forceJs: true });
    stop = () => server.stop();
    redis = createRedis({ url: server.url, keyPrefix: 'meter:', onError: () => {} });
  });
  afterAll(async () => {
    redis.disconnect();
    await stop();
  });

  /** What Redis holds and when its script ran; null where all units are there. */
  const readMeter = (kept: unknown): Meter | null => {
    if (typeof kept !== 'string') return null;
    const [used, atMicros] = kept.split(' ').map(Number);
    return used === undefined || atMicros === undefined ? null : { used, atMicros };
  };

  test('the script gives, keeps and takes back what takeFrom does, to the last bit', async () => {
    const batch = fc.record({
      key: fc.constantFrom('one', 'two'),
      elapsed: fc.nat(MINUTE_MICROS),
      limit: fc.integer({ min: 1, max: 100 }),
      runs: fc.array(anyRun(), { minLength: 1, maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { maxLength: 12 }), async (batches) => {
        await redis.del('one', 'two');
        for (const { key, elapsed, limit, runs } of batches) {
          const kept = readMeter(await redis.get(key));
          const before = kept && { ...kept, atMicros: kept.atMicros - elapsed };
          if (before !== null) await redis.set(key, `${before.used} ${before.atMicros}`);
          const pace = paceOf(limit);
          const args = [limit, pace.perMicro, runs.length];
          for (const { units, step } of runs) args.push(units, step);
          const results = await redis
            .multi()
            .eval(TAKE_UNITS, 1, key, ...args)
            .get(key)
            .exec();
          const [answered, written] = (results ?? []).map(([, result]) => result);
          const answers = (answered as string[]).map(Number);
          let meter = readMeter(written);
          if (meter === null) {
            expect(answers.at(-1)).toBe(0);
            continue;
          }
          const { atMicros } = meter;
          meter = before;
          const expected = runs.flatMap((run) => {
            const taken = takeFrom(meter, atMicros, pace, run);
            meter = taken.meter;
            return [taken.given, meter.used];
          });
          expect(answers).toEqual(expected);
          expect(readMeter(written)).toEqual(meter);
        }
      }),
      { numRuns: name.endsWith('JavaScript') ? 5 : 100 },
    );
  });

  test('a meter is gone from Redis once all of its units are back, and not before', async () => {
    const { limit, perMicro } = paceOf(5);
    await redis.eval(TAKE_UNITS, 1, 'three', limit, perMicro, 1, 3, 1);
    const leftMs = await redis.pttl('three');
    expect(leftMs).toBeGreaterThan(30_000);
    expect(leftMs).toBeLessThanOrEqual(36_001);
    await redis.eval(TAKE_UNITS, 1, 'three', limit, perMicro, 1, -3, 1);
    expect(await redis.exists('three')).toBe(0);
  });
});
