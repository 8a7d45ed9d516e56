import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createReceiptCodec } from './receipt.ts';

const codec = createReceiptCodec(Buffer.alloc(32, 7));
const lease = fc.record({
  userId: fc.uuid(),
  messageId: fc.uuid(),
  lease: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
});

test('a receipt brings back the lease it was made for', () => {
  fc.assert(
    fc.property(lease, (given) => {
      expect(codec.decode(codec.encode(given))).toEqual(given);
    }),
  );
});

test('two leases never share a receipt', () => {
  fc.assert(
    fc.property(lease, lease, (one, other) => {
      fc.pre(JSON.stringify({ ...one, lease: '' }) !== JSON.stringify({ ...other, lease: '' }));
      expect(codec.encode(one)).not.toBe(codec.encode(other));
      expect(codec.encode(one)).not.toBe(codec.encode({ ...one, lease: one.lease + 1n }));
    }),
  );
});

test('any flipped bit makes it no receipt', () => {
  fc.assert(
    fc.property(lease, (given) => {
      const receipt = Buffer.from(codec.encode(given), 'base64url');
      for (let bit = 0; bit < receipt.length * 8; bit += 1) {
        const changed = Buffer.from(receipt);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(codec.decode(changed.toString('base64url'))).toBeNull();
      }
    }),
    { numRuns: 10 },
  );
});

test('it counts for no other server and has no second spelling', () => {
  const elsewhere = createReceiptCodec(Buffer.alloc(32, 8));
  fc.assert(
    fc.property(lease, (given) => {
      const receipt = codec.encode(given);
      expect(elsewhere.decode(receipt)).toBeNull();
      for (const other of [`${receipt}=`, ` ${receipt}`, `${receipt}A`, receipt.slice(1), '']) {
        expect(codec.decode(other)).toBeNull();
      }
    }),
  );
});

test('no other text is one, and none makes it throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(codec.decode(text)).toBeNull();
    }),
  );
});
