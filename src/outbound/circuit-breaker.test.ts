import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type CircuitBreaker,
  createCircuitBreaker,
  FAILURES_MAX,
  HOSTS_MAX,
  type Settle,
} from './circuit-breaker.ts';

const HOST = 'https://hooks.example';

interface Clock {
  nowMs: number;
}

function start(): { breaker: CircuitBreaker; clock: Clock } {
  const clock = { nowMs: 1_000 };
  return { breaker: createCircuitBreaker(() => clock.nowMs), clock };
}

function enter(breaker: CircuitBreaker, host = HOST): Settle {
  const settle = breaker.enter(host);
  if (typeof settle === 'number') throw new Error(`It is paused for ${settle} ms`);
  return settle;
}

function fail(breaker: CircuitBreaker, times: number, host = HOST): void {
  for (let count = 0; count < times; count += 1) enter(breaker, host)(true);
}

test('five failures in a row pause a host, and one success between them does not let them', () => {
  const { breaker } = start();
  fail(breaker, FAILURES_MAX - 1);
  enter(breaker)(false);
  fail(breaker, FAILURES_MAX);
  expect(breaker.enter(HOST)).toBe(10_000);
});

test('pauses double from 10 s to 5 min, and begin anew after a success', () => {
  const { breaker, clock } = start();
  const pauses: unknown[] = [];
  const pause = () => {
    const waitMs = breaker.enter(HOST);
    pauses.push(waitMs);
    clock.nowMs += Number(waitMs);
  };
  fail(breaker, FAILURES_MAX);
  pause();
  for (let trial = 0; trial < 6; trial += 1) {
    enter(breaker)(true);
    pause();
  }
  expect(pauses.splice(0)).toEqual([10, 20, 40, 80, 160, 300, 300].map((s) => s * 1_000));
  enter(breaker)(false);
  fail(breaker, FAILURES_MAX);
  pause();
  expect(pauses).toEqual([10_000]);
});

test('what was under way when the pause began neither ends nor prolongs it', () => {
  const { breaker, clock } = start();
  const late = [enter(breaker), enter(breaker)];
  fail(breaker, FAILURES_MAX);
  clock.nowMs += 1;
  late[0]?.(false);
  late[1]?.(true);
  expect(breaker.enter(HOST)).toBe(9_999);
});

test('a host in trouble is no trouble of another', () => {
  const { breaker } = start();
  fail(breaker, FAILURES_MAX);
  enter(breaker, 'https://other.example')(false);
  expect(breaker.enter(HOST)).toBe(10_000);
});

test('of many hosts in trouble those are forgotten that nobody has called longest', () => {
  const { breaker } = start();
  fail(breaker, FAILURES_MAX);
  for (let host = 0; host < HOSTS_MAX - 1; host += 1) fail(breaker, 1, `https://${host}.example`);
  expect(breaker.enter(HOST)).toBe(10_000);
  fail(breaker, 1, 'https://one-more.example');
  expect(breaker.enter(HOST)).toBe(10_000);
  for (let host = 0; host < HOSTS_MAX; host += 1) fail(breaker, 1, `https://${host}.example`);
  enter(breaker)(false);
});

const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.oneof(fc.integer({ min: 1, max: 9_999 }), fc.constantFrom(10_000, 20_000, 300_000)),
    }),
    { arbitrary: fc.record({ kind: fc.constant('enter' as const) }), weight: 3 },
    {
      arbitrary: fc.record({
        kind: fc.constant('settle' as const),
        which: fc.nat(7),
        isAway: fc.oneof({ arbitrary: fc.constant(true), weight: 4 }, fc.constant(false)),
      }),
      weight: 3,
    },
  ),
  { maxLength: 150, size: 'max' },
);

// Judged from outside only: who was let through when, and how it went.
test('whatever happens: no pause without five failures, nobody during one, one at a time after it', () => {
  const reached = { pauses: 0, trials: 0, longest: 0 };
  fc.assert(
    fc.property(steps, (run) => {
      const { breaker, clock } = start();
      const underWay: { settle: Settle; isTrial: boolean }[] = [];
      /** Failures since the last success, of calls that began outside a pause. */
      let failures = 0;
      /** Null while everybody is let through. */
      let pause: { untilMs: number; lengthMs: number } | null = null;
      const pauseFor = (lengthMs: number) => {
        reached.pauses += 1;
        reached.longest = Math.max(reached.longest, lengthMs);
        return { untilMs: clock.nowMs + lengthMs, lengthMs };
      };

      for (const step of run) {
        if (step.kind === 'wait') {
          clock.nowMs += step.ms;
        } else if (step.kind === 'enter') {
          const settle = breaker.enter(HOST);
          const isTried = underWay.some(({ isTrial }) => isTrial);
          const remainingMs = pause === null ? 0 : pause.untilMs - clock.nowMs;
          if (remainingMs > 0) expect(settle).toBe(remainingMs);
          else if (pause !== null && isTried) expect(settle).toBe(1_000);
          else expect(settle).toBeTypeOf('function');
          if (typeof settle === 'function') underWay.push({ settle, isTrial: pause !== null });
        } else {
          const [call] = underWay.splice(step.which % Math.max(1, underWay.length), 1);
          if (call === undefined) continue;
          call.settle(step.isAway);
          if (call.isTrial) {
            reached.trials += 1;
            const doubledMs = Math.min(300_000, (pause?.lengthMs ?? 0) * 2);
            failures = 0;
            pause = step.isAway ? pauseFor(doubledMs) : null;
          } else if (pause === null) {
            failures = step.isAway ? failures + 1 : 0;
            if (failures === FAILURES_MAX) pause = pauseFor(10_000);
          }
        }
      }
    }),
    { numRuns: 1_000 },
  );
  // Else the law would hold of nothing.
  expect(reached.pauses).toBeGreaterThan(500);
  expect(reached.trials).toBeGreaterThan(100);
  expect(reached.longest).toBeGreaterThanOrEqual(40_000);
});
