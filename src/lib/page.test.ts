import { expect, test } from 'vitest';
import { parsePage } from './page.ts';

test('`first` reads forward, `last` backward, and neither reads the end that the list shows', () => {
  expect(parsePage({ first: 3 }, 'backward')).toEqual({ size: 3, direction: 'forward' });
  expect(parsePage({ last: 3 }, 'forward')).toEqual({ size: 3, direction: 'backward' });
  expect(parsePage({}, 'backward')).toEqual({ size: 20, direction: 'backward' });
  expect(parsePage({}, 'forward')).toEqual({ size: 20, direction: 'forward' });
  expect(parsePage({ after: 'c' }, 'backward').direction).toBe('forward');
  expect(parsePage({ before: 'c' }, 'backward').direction).toBe('backward');
});

test('a page of no size, of too much, or from both ends is refused by name', () => {
  for (const size of [0, -1, 101, Number.MAX_SAFE_INTEGER]) {
    expect(() => parsePage({ first: size }, 'forward')).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', field: 'first' }),
    );
    expect(() => parsePage({ last: size }, 'forward')).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', field: 'last' }),
    );
  }
  expect(() => parsePage({ first: 1, last: 1 }, 'forward')).toThrow('not for both');
});
