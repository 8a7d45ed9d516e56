import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fingerprintOf } from './fingerprint.ts';

const same = (left: unknown, right: unknown) => fingerprintOf(left).equals(fingerprintOf(right));
/** What JSON cannot tell apart is no other value: 0 and -0. */
const values = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown);

/** The same value with the fields of every object in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, field]) => [name, reversed(field)]),
  );
}

/** The same value with one thing in it changed, the one that `at` leads to. */
function changedAt(value: unknown, at: readonly number[]): unknown {
  const [step = 0, ...rest] = at;
  if (Array.isArray(value) && value.length > 0) {
    return value.with(step % value.length, changedAt(value[step % value.length], rest));
  }
  if (typeof value === 'object' && value !== null && Object.keys(value).length > 0) {
    const fields = Object.entries(value);
    const index = step % fields.length;
    return Object.fromEntries(
      fields.map(([name, field], place) => [
        name,
        place === index ? changedAt(field, rest) : field,
      ]),
    );
  }
  return value === 'changed' ? 'changed again' : 'changed';
}

test('the order of fields does not matter', () => {
  fc.assert(fc.property(values, (value) => same(value, reversed(value))));
});

test('a change of any value matters', () => {
  const paths = fc.array(fc.nat({ max: 20 }), { minLength: 8, maxLength: 8 });
  fc.assert(fc.property(values, paths, (value, at) => !same(value, changedAt(value, at))));
});

test('two values have one fingerprint only if they are the same', () => {
  fc.assert(
    fc.property(
      values,
      values,
      (left, right) => same(left, right) === isDeepStrictEqual(left, right),
    ),
  );
});

test.each([
  ['another order of a list', { ids: ['a', 'b'] }, { ids: ['b', 'a'] }],
  ['null for nothing', { filter: null }, {}],
  ['a number for its text', { days: 1 }, { days: '1' }],
  ['a field moved into another', { a: { b: 1 } }, { a: {}, b: 1 }],
  ['a name that holds punctuation', { 'a":1,"b': 1 }, { a: 1, b: 1 }],
  ['a field called __proto__', JSON.parse('{"__proto__":{"a":1}}'), {}],
  ['half a surrogate pair', { name: '\ud800' }, { name: '\ud801' }],
])('%s is another value', (_what, left, right) => {
  expect(same(left, right)).toBe(false);
});

test('what is undefined is not there, and a date is its time', () => {
  expect(same({ name: 'x', filter: undefined }, { name: 'x' })).toBe(true);
  const time = '2026-01-02T03:04:05.000Z';
  expect(same({ after: new Date(time) }, { after: time })).toBe(true);
  expect(same({ after: new Date(time) }, { after: new Date(0) })).toBe(false);
});
