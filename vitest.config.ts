import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes a minute or so, or starts servers: spread over the run, so that two of them seldom share the machine, and none comes last. */
const LONG = [
  'test/demo/demo',
  'test/chaos/chaos',
  'test/canary/canary',
  'test/kill/kill',
  'services/bus/kafka/faults',
  'test/chain/engines',
  'services/bus/postgres/faults',
  'test/chain/console-pages',
  'test/chain/crash',
  'services/bus/survival',
  'test/chain/moving',
  'test/chain/delivery-moves',
  'test/sim/sim',
  'adapters/uwlr/schema',
  'services/bus/kafka/contract',
  'test/sim/elsewhere',
  'services/bus/postgres/contract',
  'test/chain/stop',
  'services/pseudonyms/postgres/vault',
  'deploy/distributed',
  'test/sim/plants',
];

class Spread extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => LONG.findIndex((one) => moduleId.endsWith(`/${one}.test.ts`));
    const sorted = await super.sort(files);
    const long = sorted.filter((file) => rank(file) >= 0).sort((a, b) => rank(a) - rank(b));
    const others = sorted.filter((file) => rank(file) < 0);
    const between = Math.floor(others.length / (long.length + 1));
    return [
      ...long.flatMap((file, i) => [file, ...others.slice(i * between, (i + 1) * between)]),
      ...others.slice(long.length * between),
    ];
  }
}

export default defineConfig({
  test: {
    include: ['{services,adapters,proto,test,docs,deploy}/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'proto/gen/**'],
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: Spread },
    // How long something may take is no promise of most tests: what waits ends as soon as it is so, on a slow machine too.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
