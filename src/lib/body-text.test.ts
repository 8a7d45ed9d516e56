import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeUtf8, FORM_MEDIA_TYPE, mediaTypeOf, parsePayload } from './body-text.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

test('text is exact or null: encoding it again gives the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (body) => {
      const text = decodeUtf8(body);
      if (text !== null) expect(bytes(text)).toEqual(body);
    }),
  );
  expect(decodeUtf8(bytes('\ufeff{}'))).toBe('\ufeff{}');
  expect(decodeUtf8(new Uint8Array([0xff]))).toBeNull();
  expect(decodeUtf8(new Uint8Array([0xed, 0xa0, 0x80]))).toBeNull();
});

test('a payload is the same in JSON and in a form', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json = JSON.stringify(value);
      const form = new URLSearchParams({ before: 'x', payload: json }).toString();
      const sent = JSON.parse(json);
      expect(parsePayload('application/json', bytes(json))).toEqual(sent);
      expect(parsePayload(`${FORM_MEDIA_TYPE}; charset=utf-8`, bytes(form))).toEqual(sent);
    }),
  );
});

test('parsing never throws, whatever the bytes', () => {
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.constantFrom(null, 'application/json', FORM_MEDIA_TYPE, ';', 'x'),
      (body, contentType) => {
        parsePayload(contentType, body);
      },
    ),
  );
});

test('what nests deeper than 500 has no payload; brackets in strings do not nest', () => {
  const nested = (depth: number) => bytes('['.repeat(depth) + ']'.repeat(depth));
  expect(parsePayload(null, nested(500))).toBeDefined();
  expect(parsePayload(null, nested(501))).toBeUndefined();
  expect(parsePayload(null, nested(500_000))).toBeUndefined();
  const text = { a: `${'['.repeat(1_000)}\\"{` };
  expect(parsePayload(null, bytes(JSON.stringify([text, text])))).toEqual([text, text]);
});

test('keys that are special to JavaScript are just keys', () => {
  const json = '{"__proto__":{"polluted":1},"constructor":2}';
  const payload = parsePayload(null, bytes(json));
  expect(JSON.stringify(payload)).toBe(json);
  expect(Object.getPrototypeOf(payload)).toBe(Object.prototype);
});

test('a media type is read without its parameters and without regard to case', () => {
  expect(mediaTypeOf('Application/JSON; charset=utf-8')).toBe('application/json');
  for (const none of [null, undefined, '', ' ; x']) expect(mediaTypeOf(none)).toBeNull();
});
