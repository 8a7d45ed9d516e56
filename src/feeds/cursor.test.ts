import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createCursorCodec, judgePlace } from './cursor.ts';

// Cases a property, of which there are four that count them: part of the 100,000 of a run.
const RUNS = 2_000;

const KEY = Buffer.alloc(32, 7);
const codec = createCursorCodec(KEY);
const POSITION_MAX = 2n ** 63n - 1n;
const place = fc.record({
  feed: fc.string({ unit: 'binary' }),
  key: fc.string({ unit: 'binary' }),
  epoch: fc.uuid(),
  position: fc.bigInt({ min: 0n, max: POSITION_MAX }),
});
const invalid = expect.objectContaining({ code: 'CURSOR_INVALID' });

test('a cursor brings back the place it was made for', () => {
  fc.assert(
    fc.property(place, (given) => {
      expect(codec.decode(codec.encode(given), given)).toEqual(given);
    }),
    { numRuns: RUNS },
  );
});

test('any flipped bit makes it invalid', () => {
  fc.assert(
    fc.property(place, fc.nat(), (given, at) => {
      const bytes = Buffer.from(codec.encode(given), 'base64url');
      const bit = at % (bytes.length * 8);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => codec.decode(bytes.toString('base64url'), given)).toThrow(invalid);
    }),
    { numRuns: RUNS },
  );
});

test('every single bit of one cursor counts', () => {
  const given = {
    feed: 'f',
    key: 'k',
    epoch: '0b8f7a52-94f5-4c4e-8a55-111111111111',
    position: 5n,
  };
  const cursor = Buffer.from(codec.encode(given), 'base64url');
  for (let bit = 0; bit < cursor.length * 8; bit += 1) {
    const changed = Buffer.from(cursor);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(() => codec.decode(changed.toString('base64url'), given)).toThrow(invalid);
  }
});

test('it counts for no other feed, key or server, and has no second spelling', () => {
  fc.assert(
    fc.property(place, fc.string(), (given, other) => {
      const cursor = codec.encode(given);
      if (other !== given.feed) {
        expect(() => codec.decode(cursor, { ...given, feed: other })).toThrow(invalid);
      }
      if (other !== given.key) {
        expect(() => codec.decode(cursor, { ...given, key: other })).toThrow(invalid);
      }
      const elsewhere = createCursorCodec(Buffer.alloc(32, 8));
      expect(() => elsewhere.decode(cursor, given)).toThrow(invalid);
      for (const spelling of [`${cursor}=`, ` ${cursor}`, `${cursor}A`, cursor.slice(1), '']) {
        expect(() => codec.decode(spelling, given)).toThrow(invalid);
      }
    }),
  );
});

test('no other text is one, and what is refused is refused by name', () => {
  const bytes41 = fc.uint8Array({ minLength: 41, maxLength: 41 });
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.base64String(),
    bytes41.map((bytes) => Buffer.from(bytes).toString('base64url')),
  );
  fc.assert(
    fc.property(text, (given) => {
      expect(() => codec.decode(given, { feed: 'f', key: 'k' })).toThrow(invalid);
    }),
    { numRuns: RUNS },
  );
});

test('a cursor of another version or length is none, however it was signed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (head) => {
      const bytes = Buffer.from(head);
      if (bytes.length === 25) bytes[0] = 2;
      const signature = createHmac('sha256', KEY)
        .update(JSON.stringify(['f', 'k']))
        .update(bytes)
        .digest()
        .subarray(0, 16);
      const forged = Buffer.concat([bytes, signature]).toString('base64url');
      expect(() => codec.decode(forged, { feed: 'f', key: 'k' })).toThrow(invalid);
    }),
    { numRuns: RUNS },
  );
});

test('reading goes on from every place that is kept, and from no other', () => {
  const bounds = fc.tuple(fc.nat(50), fc.nat(50), fc.nat(120));
  fc.assert(
    fc.property(place, fc.uuid(), bounds, (given, epoch, [pruned, kept, at]) => {
      const head = { epoch: given.epoch, pruned: BigInt(pruned), head: BigInt(pruned + kept) };
      const here = { ...given, position: BigInt(at) };
      const fault = judgePlace(codec, here, head);
      if (at < pruned) {
        expect(fault).toMatchObject({ code: 'CURSOR_EXPIRED' });
        const earliest = (fault as { earliestCursor?: string }).earliestCursor ?? '';
        expect(codec.decode(earliest, given).position).toBe(head.pruned);
      } else if (at > pruned + kept) expect(fault).toMatchObject({ code: 'FEED_RESET' });
      else expect(fault).toBeNull();
      if (epoch !== given.epoch) {
        expect(judgePlace(codec, { ...here, epoch }, head)).toMatchObject({ code: 'FEED_RESET' });
      }
    }),
  );
});
