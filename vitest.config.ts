import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Folders whose files take longest, mostly waiting: begun last, they would be waited for by an idle machine. */
const LONG = ['/tests/proof/', '/tests/nodes/', '/tests/contracts/', '/tests/page/'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isShort = ({ moduleId }: TestSpecification) =>
      Number(!LONG.some((folder) => moduleId.includes(folder)));
    return (await super.sort(files)).toSorted((left, right) => isShort(left) - isShort(right));
  }
}

export default defineConfig({
  // Vite resolves `graphql` for our sources to another file than Node does for packages it does not
  // transform, which makes two copies whose types do not recognise each other.
  resolve: {
    alias: [{ find: /^graphql$/, replacement: fileURLToPath(import.meta.resolve('graphql')) }],
  },
  test: {
    include: [
      'tests/**/*.test.ts',
      'src/**/*.test.ts',
      'embedded/**/*.test.ts',
      'sdk/**/*.test.ts',
    ],
    globalSetup: ['tests/support/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
  },
});
