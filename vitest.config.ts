import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{services,adapters,proto,test,docs,deploy}/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'proto/gen/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
