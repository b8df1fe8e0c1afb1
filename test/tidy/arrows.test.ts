import { describe, expect, test } from 'vitest';
import { arrowProblems, importsOf } from './arrows.ts';
import { exceptions } from './exceptions.ts';
import { paths, read, sources } from './tree.ts';

const aliases = (JSON.parse(read('package.json')) as { imports: Record<string, string> }).imports;
const code = sources((path) => /^(services|adapters|proto|test|docs|deploy)\/.*\.ts$/.test(path));
/** What is wrong when one file stands in the tree, and nothing else. */
const planted = (path: string, text: string) => arrowProblems([{ path, text }], aliases, []);

test('arrows between folders point one way', () => {
  expect(code.length).toBeGreaterThan(150);
  expect(arrowProblems(code, aliases, exceptions)).toEqual([]);
  for (const { why } of exceptions) expect(why.length).toBeGreaterThan(15);
});

test('each folder that is imported by a name has an index', () => {
  for (const [alias, to] of Object.entries(aliases))
    if (!alias.includes('*')) expect([alias, paths().includes(to.replace('./', ''))]).toEqual([alias, true]);
  const names = new Set(
    code.flatMap(({ text }) => importsOf(text)).filter((name) => /^#(services|adapters)\//.test(name)),
  );
  for (const name of names) expect([name, paths().includes(`${name.slice(1)}/index.ts`)]).toEqual([name, true]);
});

test('a module connects, starts or listens only when it is called', () => {
  const entries =
    /^(proto\/generate|deploy\/\w+\/(main|tool)\.ts|services\/state|services\/.*\/thread|services\/cli\/|adapters\/xml\/worker|test\/|docs\/|.*\.test|services\/(bus\/bench|pseudonyms\/measure))/;
  for (const { path, text } of code)
    if (!entries.test(path))
      expect([path, /^(await|start\w*\(|\w+\.(listen|start)\()/m.test(text)]).toEqual([path, false]);
});

// What begins within a call runs under its deadline, also for whoever shares it: `shared` of the kernel does not.
const runsOnce = /\?\?=[^;]*?\.finally\(/;
test('work that callers share is begun in one way', () => {
  const doors = code.filter(({ path }) => path.startsWith('services/edge/'));
  expect(doors.filter(({ text }) => runsOnce.test(text)).map(({ path }) => path)).toEqual([]);
  expect(runsOnce.test('this.#running ??= this.#all().finally(() => {\n  this.#running = undefined;\n});')).toBe(true);
});

describe('what breaks a rule is found', () => {
  test.each([
    [
      'a service whose test imports another',
      'services/orders/order.test.ts',
      "import { access } from '#services/access';",
      'may not import services/access',
    ],
    [
      'a service that imports another',
      'services/orders/order.ts',
      "import { access } from '#services/access';",
      'may not import services/access',
    ],
    [
      'the same by a path',
      'services/orders/order.ts',
      "import { access } from '../access/index.ts';",
      'may not import services/access',
    ],
    [
      'the same in a type',
      'services/orders/order.ts',
      "import type { X } from '../access/index.ts';",
      'may not import services/access',
    ],
    [
      'the same over lines',
      'services/orders/order.ts',
      "import {\n  a,\n  b,\n} from '#services/access';",
      'may not import services/access',
    ],
    [
      'the same when called',
      'services/orders/order.ts',
      "const x = await import('#services/access');",
      'may not import services/access',
    ],
    [
      'the same passed on',
      'services/orders/order.ts',
      "export * from '#services/access';",
      'may not import services/access',
    ],
    [
      'the same as a worker',
      'services/orders/order.ts',
      "new Worker(new URL('../access/index.ts', import.meta.url));",
      'may not import services/access',
    ],
    [
      'a decider that imports an adapter',
      'services/results/result.ts',
      "import uwlr from '#adapters/uwlr';",
      'may not import adapters/uwlr',
    ],
    [
      'a decider that imports release',
      'services/results/serve.ts',
      "import { released } from '#release';",
      'may not import services/release',
    ],
    [
      'the kernel that imports the bus',
      'services/kernel/log.ts',
      "import { x } from '#bus';",
      'may not import services/bus',
    ],
    [
      'the bus that imports a service',
      'services/bus/core.ts',
      "import { flows } from '#services/flows';",
      'may not import services/flows',
    ],
    [
      'release that imports a service',
      'services/release/reveal.ts',
      "import { parties } from '#services/parties';",
      'may not import services/parties',
    ],
    [
      'an adapter that imports the bus',
      'adapters/uwlr/wire.ts',
      "import { x } from '#bus';",
      'may not import services/bus',
    ],
    [
      'an adapter that imports another',
      'adapters/uwlr/wire.ts',
      "import edexml from '#adapters/edexml';",
      'may not import adapters/edexml',
    ],
    [
      'xml that imports a standard',
      'adapters/xml/read.ts',
      "import edexml from '#adapters/edexml';",
      'may not import adapters/edexml',
    ],
    [
      'a contract that imports code',
      'proto/labels.ts',
      "import { faults } from '#kernel';",
      'may not import services/kernel',
    ],
    [
      'a simulated party that imports the gateway',
      'test/parties/las.ts',
      "import { newId } from '#kernel';",
      'may not import services/kernel',
    ],
    [
      'a simulated party that imports an adapter',
      'test/parties/las.ts',
      "import edexml from '#adapters/edexml';",
      'may not import adapters/edexml',
    ],
    [
      'a simulated party that imports other tests',
      'test/parties/las.ts',
      "import { x } from '../chain/gateway.ts';",
      'may not import test/chain',
    ],
    [
      'a door that imports a service',
      'services/edge/chain.ts',
      "import { parties } from '#services/parties';",
      'may not import services/parties',
    ],
    [
      'a deep import',
      'services/edge/chain.ts',
      "import { Clear } from '../kernel/clear.ts';",
      'across folders only by a name',
    ],
    [
      'a deep import from a test',
      'test/chain/x.test.ts',
      "import { Clear } from '../../services/kernel/clear.ts';",
      'across folders only by a name',
    ],
    [
      'a program that starts servers and imports the gateway',
      'deploy/local/kafka.ts',
      "import { x } from '#kernel';",
      'may not import services/kernel',
    ],
    [
      'a service that starts servers',
      'services/bus/engine.ts',
      "import { startKafka } from '#deploy/local';",
      'may not import deploy/local',
    ],
    ['a service without arrows', 'services/unheard/unheard.ts', "import { Clear } from '#kernel';", 'has no arrows'],
    [
      'a name that is not there',
      'services/edge/chain.ts',
      "import { x } from '#elsewhere';",
      'which package.json does not name',
    ],
  ])('%s', (_, path, text, problem) => {
    const problems = planted(path, `/** x */\n${text}\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });

  test('an exception that names something that is gone', () => {
    const stale = { from: 'services/edge/gone.ts', imports: '#bus', why: 'It was needed once, long ago.' };
    expect(arrowProblems(code, aliases, [...exceptions, stale])).toContain(
      'the exception of services/edge/gone.ts for #bus is no longer needed',
    );
  });

  test('and what breaks none is not', () => {
    expect(
      planted('services/orders/order.ts', "import { x } from './consume.ts';\nimport fc from 'fast-check';\n"),
    ).toEqual([]);
    expect(
      planted('services/orders/order.ts', "import { x } from '#bus';\nimport { y } from '#proto/events';\n"),
    ).toEqual([]);
    expect(
      planted('services/edge/http/uwlr.ts', "import uwlr from '#adapters/uwlr';\nimport { x } from '#release';\n"),
    ).toEqual([]);
    expect(planted('adapters/oneroster/wire.ts', "import { readXml } from '#adapters/xml';\n")).toEqual([]);
    expect(planted('test/chain/x.test.ts', "import { startGateway } from '../../services/main.ts';\n")).toEqual([]);
  });
});
