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
      const form = new URLSearchParams({ payload: json, after: 'x' }).toString();
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

test('what has more than 500,000 values has no payload', () => {
  const list = (count: number) => bytes(`[${'0,'.repeat(count - 1)}0]`);
  expect(parsePayload(null, list(500_000))).toBeDefined();
  expect(parsePayload(null, list(500_001))).toBeUndefined();
});

test('of a form counts the first field and no other: a signed JSON body that is called a form holds none', () => {
  const form = 'application/x-www-form-urlencoded';
  expect(parsePayload(form, bytes('payload=%7B%22a%22%3A+1%7D&payload=2'))).toEqual({ a: 1 });
  expect(parsePayload(form, bytes('x=1&payload=2'))).toBeUndefined();
  expect(
    parsePayload(form, bytes('{"title":"&payload=%7B%22forged%22%3Atrue%7D&"}')),
  ).toBeUndefined();
  expect(parsePayload(form, bytes('payload=%FF'))).toBeUndefined();
});

test('a form of a million fields is read as fast as one of a few', () => {
  const many = bytes('a&'.repeat(1_000_000));
  const began = process.cpuUsage();
  expect(parsePayload('application/x-www-form-urlencoded', many)).toBeUndefined();
  // Read field by field it takes seconds.
  expect(process.cpuUsage(began).user).toBeLessThan(1_000_000);
});
