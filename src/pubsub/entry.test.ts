import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { decodeFrame, encodeFrame, openEntry, sealEntry } from './entry.ts';
import { defineTopic } from './topic.ts';

const place = { incarnation: 'one', sequence: 1n };
const publishedAt = new Date(0);

describe('a frame', () => {
  test('brings back payload and attachment byte for byte; none and empty are not the same', () => {
    const attachment = fc.option(fc.uint8Array({ maxLength: 2_000 }));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), attachment, (json, bytes) => {
        const frame = decodeFrame(encodeFrame(json, bytes));
        expect(Buffer.compare(frame.json, json)).toBe(0);
        expect(frame.attachment && Uint8Array.from(frame.attachment)).toEqual(bytes);
      }),
    );
  });

  test('that was cut short or is not ours is refused, never read as something else', () => {
    const frame = encodeFrame(Buffer.from('{"n":1}'), null);
    for (let length = 0; length < frame.length; length++) {
      expect(() => decodeFrame(frame.subarray(0, length))).toThrow(TypeError);
    }
    expect(() => decodeFrame(Buffer.concat([frame, Buffer.from('x')]))).toThrow(TypeError);
    expect(() => decodeFrame(Buffer.from('{"n":1}'))).toThrow(TypeError);
  });
});

describe('an entry', () => {
  const topic = defineTopic({
    name: 'things.happened',
    payload: z.object({
      text: z.string(),
      at: z.codec(z.iso.datetime(), z.date(), {
        decode: (text) => new Date(text),
        encode: (date) => date.toISOString(),
      }),
    }),
    retainMs: 1,
    retainBytesMax: 1,
  });

  test('brings back its payload, whatever text it holds and types its schema makes', () => {
    const payload = fc.record({
      text: fc.string({ unit: 'binary' }),
      at: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-01-01') }),
    });
    fc.assert(
      fc.property(payload, fc.string({ maxLength: 100, unit: 'grapheme' }), (value, key) => {
        const sealed = sealEntry(topic, key, value, { id: 'id' }, 1_000_000);
        const entry = openEntry(topic, { ...sealed, place, publishedAt });
        expect(entry).toEqual({
          id: 'id',
          key,
          payload: value,
          attachment: null,
          place,
          publishedAt,
        });
      }),
    );
  });

  test('of another shape is refused on the way in and on the way out', () => {
    const wrong = { text: 1, at: publishedAt } as unknown as { text: string; at: Date };
    expect(() => sealEntry(topic, 'k', wrong, { id: 'id' }, 1_000)).toThrow('things.happened');
    const frame = encodeFrame(Buffer.from('{"text":"no date"}'), null);
    expect(() =>
      openEntry(topic, { id: 'id', keyToken: 'k', frame, place, publishedAt }),
    ).toThrow();
  });
});
