import { expect, test } from 'vitest';
import { singleHeader } from './single-header.ts';

test('a header that came once is read, in whatever case its name came', () => {
  const rawHeaders = ['Host', 'x-signature', 'X-Signature', 'a'];
  expect(singleHeader(rawHeaders, 'x-signature')).toEqual({ value: 'a', failure: null });
});

test('a header that is absent is missing, even where its name is the value of another', () => {
  expect(singleHeader([], 'x-signature').failure).toBe('SIGNATURE_MISSING');
  expect(singleHeader(['host', 'x-signature'], 'x-signature').failure).toBe('SIGNATURE_MISSING');
});

test('a header that came twice or says nothing is malformed, even if both say the same', () => {
  expect(singleHeader(['x-signature', ''], 'x-signature').failure).toBe('SIGNATURE_MALFORMED');
  const twice = ['x-signature', 'a', 'X-SIGNATURE', 'a'];
  expect(singleHeader(twice, 'x-signature').failure).toBe('SIGNATURE_MALFORMED');
});
