import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{services,adapters,proto,test,docs,deploy}/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'proto/gen/**'],
    pool: 'forks',
    maxWorkers: 2,
    // How long something may take is no promise of most tests: what waits ends as soon as it is so, on a slow machine too.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
