import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

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
  },
});
