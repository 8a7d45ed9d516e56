import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseSettings, parseSourcePath } from './source-input.ts';

const NUM_RUNS = 20_000;

const part = fc.oneof(
  fc.constantFrom('a', 'A', '.', '..', '...', '-', '_', '', 'x'.repeat(64), 'x'.repeat(65), '%2F'),
  fc.string({ maxLength: 5 }),
);

test('a path is taken as it came, and only where each of its names stands for itself in a URL', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 7 }), (parts) => {
      const path = parts.join('/');
      let isTaken = true;
      try {
        expect(parseSourcePath(path)).toBe(path);
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_INPUT', field: 'input.path' });
        isTaken = false;
      }
      const names = path.split('/');
      // What a URL keeps as it is written, dots and escapes included.
      const isPlain =
        new URL(`https://a/webhook/${path}`).pathname === `/webhook/${path}` &&
        names.every((name) => /^[\w.-]{1,64}$/.test(name));
      expect(isTaken).toBe(isPlain && names.length <= 5);
    }),
    { numRuns: NUM_RUNS },
  );
});

test('settings are the known ones and nothing else, whatever came along', () => {
  const given = JSON.parse(
    '{"header":"X-A","__proto__":{"prefix":"p"},"constructor":"c","prefix":null,"other":"o"}',
  );
  const settings = parseSettings(given);
  expect(settings).toEqual({ header: 'x-a' });
  expect(settings.prefix).toBeUndefined();
});
