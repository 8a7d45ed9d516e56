import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { decodeGlobalId, encodeGlobalId } from './global-id.ts';
import { derivedId, isUuid, newId } from './ids.ts';

test('a derived id is the same for the same parts, and differs where any part does', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.array(fc.string()), (parts, others) => {
      const id = derivedId(...parts);
      expect(id).toBe(derivedId(...parts));
      expect(z.uuid().safeParse(id).success && isUuid(id)).toBe(true);
      const same = JSON.stringify(parts) === JSON.stringify(others);
      expect(id === derivedId(...others)).toBe(same);
    }),
  );
});

test('new ids differ and rise', () => {
  const ids = Array.from({ length: 1_000 }, newId);
  expect(new Set(ids).size).toBe(1_000);
  expect(ids.toSorted()).toEqual(ids);
});

test('a global id names its row, and nothing that was not made here is one', () => {
  const id = newId();
  expect(decodeGlobalId(encodeGlobalId('WebhookMessage', id))).toEqual({
    typename: 'WebhookMessage',
    id,
  });
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(() => decodeGlobalId(text)).toThrow('Not an id');
    }),
  );
  const padded = `${encodeGlobalId('WebhookMessage', id)}=`;
  expect(() => decodeGlobalId(padded)).toThrow('Not an id');
});
