// Which source a path belongs to, whatever was percent-encoded on its way. No database: the directory is
// handed the rows that it would read.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseConfig } from '#config.ts';
import { newId } from '#lib/ids.ts';
import { createSourceDirectory, type SourceDirectory } from './source.ts';

// Directories, and paths asked of each: part of the 100,000 cases of a run.
const RUNS = 1_000;
const PATHS = 10;

const config = parseConfig({
  NODE_ENV: 'test',
  DATABASE_URL: 'postgresql://localhost',
  REDIS_URL: 'redis://localhost',
});

async function directoryOf(paths: readonly string[]): Promise<SourceDirectory> {
  const rows = paths.map((path) => ({
    id: newId(),
    path,
    provider: 'NONE',
    verification_mode: 'ENFORCE',
    secret_setting: null,
    settings: {},
    body_bytes_max: null,
    messages_per_minute: null,
    tolerance_seconds: null,
    secret_id: null,
    sealed: null,
    ends_at: null,
    now: new Date(),
  }));
  const directory = createSourceDirectory({ query: async <Row>() => rows as Row[] }, config);
  await directory.refresh();
  return directory;
}

/** As ingress reads the part of a path that follows `/webhook/`. */
const segmentsOf = (path: string): string[] =>
  path.split('/').filter(Boolean).map(decodeURIComponent);

const name = fc.constantFrom('a', 'a', 'A', 'b', 'a.b', 'constructor');
const sourcePath = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const sources = fc.uniqueArray(sourcePath, { maxLength: 6 });

// What may stand between two slashes, before it is percent-encoded.
const segment = fc.oneof(
  { weight: 4, arbitrary: name },
  fc.constantFrom('a/b', '/', 'a/', '..', '.', '%2f', '%', '\u0000', 'á', '__proto__', 'a ', ' a'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 }),
);
/** Characters that need no encoding are encoded or not, in either case of the hex digits. */
const encoded = fc.tuple(segment, fc.array(fc.boolean(), { maxLength: 6 })).map(([text, flags]) =>
  Array.from(text.toWellFormed())
    .map((character, index) =>
      flags[index] === true && /[\x21-\x7e]/.test(character)
        ? `%${character.charCodeAt(0).toString(16)}`
        : encodeURIComponent(character),
    )
    .join(''),
);
const path = fc.array(encoded, { maxLength: 7 }).map((segments) => segments.join('/'));

test('a source is found by its own segments alone, and the longest of several is', async () => {
  let found = 0;
  await fc.assert(
    fc.asyncProperty(
      sources,
      fc.array(path, { minLength: PATHS, maxLength: PATHS }),
      async (sourcePaths, paths) => {
        const directory = await directoryOf(sourcePaths);
        for (const each of paths) {
          const segments = segmentsOf(each);
          const expected = sourcePaths
            .map((sourceOf) => sourceOf.split('/'))
            .filter((names) => names.every((part, index) => part === segments[index]))
            .reduce((longest, names) => (names.length > longest.length ? names : longest), []);
          expect(directory.find(segments)?.path ?? '').toBe(expected.join('/'));
          found += expected.length > 0 ? 1 : 0;
        }
      },
    ),
    { numRuns: RUNS },
  );
  expect(found).toBeGreaterThan((RUNS * PATHS) / 20);
});

test('whatever follows the path of a source leads to it, or to one that is longer', async () => {
  await fc.assert(
    fc.asyncProperty(sources, sourcePath, path, async (others, own, rest) => {
      const directory = await directoryOf([...new Set([...others, own])]);
      const found = directory.find(segmentsOf(`${own}/${rest}`))?.path;
      expect(found === own || found?.startsWith(`${own}/`)).toBe(true);
    }),
    { numRuns: RUNS },
  );
});

test.each([
  ['a%2Fb', 'an encoded slash separates nothing'],
  ['A/b', 'case counts'],
  ['a/%62%2f', 'a slash at the end of a segment is part of it'],
  ['a/b.', 'a dot is a character'],
  ['a/../a/b', 'dots climb nowhere'],
  ['./a/b', 'a dot is a segment'],
  ['%00a/b', 'a NUL is a character'],
  ['a', 'the beginning of a path is not the path'],
  ['', 'nothing is no path'],
])('%s is not the source a/b: %s', async (given) => {
  const directory = await directoryOf(['a/b']);
  expect(directory.find(segmentsOf(given))).toBeNull();
});

test.each(['a/b', '%61/%62', 'a/b/', 'a//b', 'a/b/..', 'a/b/c%2Fd'])(
  '%s is the source a/b',
  async (given) => {
    const directory = await directoryOf(['a/b', 'a/b/d']);
    expect(directory.find(segmentsOf(given))?.path).toBe('a/b');
  },
);
