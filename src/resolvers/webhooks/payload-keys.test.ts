import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  PAYLOAD_DEPTH_MAX,
  PAYLOAD_KEYS_MAX,
  PAYLOAD_TEXT_LENGTH_MAX,
  type PayloadScalar,
  payloadKeyOf,
  payloadKeysOf,
} from './payload-keys.ts';

/** Few names and values, so that different payloads often nearly agree. */
const name = fc.oneof(
  fc.constantFrom('a', 'b', 'a.b', '', '__proto__', '0', '\u001f', '"'),
  fc.string({ unit: 'binary', maxLength: 3 }),
);
const scalar: fc.Arbitrary<PayloadScalar> = fc.oneof(
  fc.constantFrom(1, '1', true, 'true', null, 'null', '', 0, 'a'),
  fc.string({ unit: 'binary', maxLength: 3 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const payload = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('tree'), { maxLength: 4 }),
    fc
      .dictionary(name, tie('tree'), { maxKeys: 4 })
      .map((made) => JSON.parse(JSON.stringify(made))),
  ),
})).tree;

interface Said {
  readonly path: readonly string[];
  readonly value: PayloadScalar;
}

/** Written apart from the code: every scalar and where it stands. */
function saidBy(value: unknown, path: readonly string[] = []): Said[] {
  if (Array.isArray(value)) return value.flatMap((element) => saidBy(element, path));
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, child]) => saidBy(child, [...path, key]));
  }
  return [{ path, value: value as PayloadScalar }];
}

const isSame = (left: Said, right: Said) =>
  JSON.stringify([left.path, left.value]) === JSON.stringify([right.path, right.value]);

test('a filter for anything that a payload says finds it, and no other filter does', () => {
  fc.assert(
    fc.property(payload, fc.array(name, { maxLength: 3 }), scalar, (given, path, value) => {
      const keys = payloadKeysOf(given);
      const said = saidBy(given);
      for (const one of said) expect(keys).toContain(payloadKeyOf(one.path, one.value));
      const asked = { path, value };
      expect(keys.includes(payloadKeyOf(path, value))).toBe(said.some((one) => isSame(one, asked)));
      expect(new Set(keys).size).toBe(keys.length);
      // The same value elsewhere, and another value at the same place.
      for (const one of said) {
        const elsewhere = { path: [...one.path, 'a'], value: one.value };
        expect(keys.includes(payloadKeyOf(elsewhere.path, elsewhere.value))).toBe(
          said.some((other) => isSame(other, elsewhere)),
        );
      }
    }),
    { numRuns: 5_000 },
  );
});

test('an element of an array is found under the name of the array', () => {
  const keys = payloadKeysOf({ labels: [{ name: 'bug' }, { name: 'ui' }], matrix: [[1], [2]] });
  expect(keys).toEqual(
    expect.arrayContaining([payloadKeyOf(['labels', 'name'], 'ui'), payloadKeyOf(['matrix'], 2)]),
  );
});

test('a number is not its text, and a name is not the end of another', () => {
  const keys = payloadKeysOf({ number: 1, a: { b: 'c' } });
  expect(keys).toContain(payloadKeyOf(['number'], 1));
  expect(keys).not.toContain(payloadKeyOf(['number'], '1'));
  expect(keys).not.toContain(payloadKeyOf(['a.b'], 'c'));
  expect(keys).not.toContain(payloadKeyOf(['b'], 'c'));
});

test('every number fits a column of 64 bits', () => {
  for (const key of payloadKeysOf(Array.from({ length: 500 }, (_, index) => index))) {
    expect(BigInt.asIntN(64, key)).toBe(key);
  }
});

describe('of what is very large', () => {
  test('what stands higher is kept, whatever comes before it', () => {
    const deep = Array.from({ length: 3_000 }, (_, index) => ({ index }));
    const keys = payloadKeysOf({ deep, action: 'opened' });
    expect(keys).toHaveLength(PAYLOAD_KEYS_MAX);
    expect(keys).toContain(payloadKeyOf(['action'], 'opened'));
  });

  test('what nests too deep, is too long a text or no finite number is left out', () => {
    const nested = (depth: number): unknown => (depth === 0 ? 'end' : { a: nested(depth - 1) });
    expect(payloadKeysOf(nested(PAYLOAD_DEPTH_MAX))).toHaveLength(1);
    expect(payloadKeysOf(nested(PAYLOAD_DEPTH_MAX + 1))).toEqual([]);
    expect(payloadKeysOf('x'.repeat(PAYLOAD_TEXT_LENGTH_MAX))).toHaveLength(1);
    expect(payloadKeysOf('x'.repeat(PAYLOAD_TEXT_LENGTH_MAX + 1))).toEqual([]);
    expect(payloadKeysOf(JSON.parse('[1e999, -1e999]'))).toEqual([]);
    expect(payloadKeysOf(undefined)).toEqual([]);
  });

  test('what stands under very long names is left out, and costs nothing', () => {
    const long = 'x'.repeat(5_000_000);
    const values = Array.from({ length: 2_000 }, (_, index) => index);
    const payload = { [long]: values, ['y'.repeat(900)]: { ['z'.repeat(900)]: values }, end: 1 };
    expect(payloadKeysOf(payload)).toEqual([payloadKeyOf(['end'], 1)]);
  });

  test('the same value millions of times is looked at only so often', () => {
    const same = Array.from({ length: 3_000_000 }, () => 'x');
    const reads: string[] = [];
    const watched = new Proxy(same, {
      get: (target, key, self) => {
        if (typeof key === 'string' && /^\d/.test(key)) reads.push(key);
        return Reflect.get(target, key, self);
      },
    });
    expect(payloadKeysOf({ watched })).toHaveLength(1);
    expect(reads.length).toBeLessThan(30_000);
  });
});
