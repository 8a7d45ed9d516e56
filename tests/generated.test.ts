import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '..');
let fresh = '';

beforeAll(() => {
  fresh = mkdtempSync(path.join(tmpdir(), 'naru-generated-'));
  execFileSync(process.execPath, [path.join(ROOT, 'tools/generate.ts'), fresh], {
    cwd: ROOT,
    stdio: 'pipe',
  });
});

afterAll(() => rmSync(fresh, { recursive: true, force: true }));

// When one of these fails, run `npm run generate` and commit what it wrote.
test.each([
  ['the Prisma client', 'src/generated/prisma'],
  ['the Pothos types', 'src/generated/pothos-types.ts'],
  ['schema.graphql', 'schema.graphql'],
  ["the SDK's types", 'sdk/src/generated'],
])('%s is what its sources would generate now', (_name, place) => {
  const committed = readAll(ROOT, place);
  expect(Object.keys(committed)).not.toEqual([]);
  expect(committed).toEqual(readAll(fresh, place));
});

function readAll(root: string, place: string): Record<string, string> {
  const files = globSync([place, `${place}/**/*`], { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
  return Object.fromEntries(
    files.toSorted().map((file) => [path.relative(root, file), readFileSync(file, 'utf8')]),
  );
}
