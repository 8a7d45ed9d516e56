import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createReceiptCodec } from './receipt.ts';

// Cases a property, of which there are five that count them: part of the 100,000 of a run.
const RUNS = 2_000;

const KEY = Buffer.alloc(32, 7);
const codec = createReceiptCodec(KEY);
const lease = fc.record({
  userId: fc.uuid(),
  messageId: fc.uuid(),
  lease: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
});

test('a receipt brings back the lease it was made for', () => {
  fc.assert(
    fc.property(lease, (given) => {
      const receipt = codec.encode(given);
      expect(codec.decode(receipt)).toEqual(given);
      // Short and plain enough for every URL, header and log.
      expect(receipt).toMatch(/^[A-Za-z0-9_-]{76}$/);
    }),
    { numRuns: RUNS },
  );
});

test('two leases never share a receipt', () => {
  fc.assert(
    fc.property(lease, lease, (one, other) => {
      fc.pre(JSON.stringify({ ...one, lease: '' }) !== JSON.stringify({ ...other, lease: '' }));
      expect(codec.encode(one)).not.toBe(codec.encode(other));
      expect(codec.encode(one)).not.toBe(codec.encode({ ...one, lease: one.lease + 1n }));
    }),
    { numRuns: RUNS },
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
  const bytes57 = fc.uint8Array({ minLength: 57, maxLength: 57 });
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.base64String(),
    bytes57.map((bytes) => Buffer.from(bytes).toString('base64url')),
  );
  fc.assert(
    fc.property(text, (given) => {
      expect(codec.decode(given)).toBeNull();
    }),
    { numRuns: RUNS },
  );
});

test('parts of two receipts make no third', () => {
  fc.assert(
    fc.property(lease, lease, fc.nat(57), fc.nat(57), (one, other, from, to) => {
      const [left, right] = [one, other].map((each) =>
        Buffer.from(codec.encode(each), 'base64url'),
      );
      if (left === undefined || right === undefined) return expect.unreachable();
      const mixed = Buffer.concat([
        left.subarray(0, from),
        right.subarray(from, to),
        left.subarray(Math.max(from, to)),
      ]);
      const isWhole = mixed.equals(left) || mixed.equals(right);
      expect(codec.decode(mixed.toString('base64url')) !== null).toBe(isWhole);
    }),
    { numRuns: RUNS },
  );
});

test('a receipt of another version or length is none, however it was signed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (head) => {
      const bytes = Buffer.from(head);
      if (bytes.length === 41) bytes[0] = 2;
      const signature = createHmac('sha256', KEY).update(bytes).digest().subarray(0, 16);
      const forged = Buffer.concat([bytes, signature]).toString('base64url');
      expect(codec.decode(forged)).toBeNull();
    }),
    { numRuns: RUNS },
  );
});
