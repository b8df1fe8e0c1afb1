import { describe, expect, test } from 'vitest';
import { paths, read, sources } from './tree.ts';

/** What may stand in no file of the tree. Each is written so that this file does not hold it itself. */
const forbidden: readonly { what: string; pattern: RegExp; planted: string }[] = [
  { what: 'a private key', pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----/, planted: `-----BEGIN ${'PRIVATE'} KEY-----` },
  {
    what: 'a key of a party',
    pattern: /\beduk_(?:key|operator)_[\w-]{43}\b/,
    planted: `eduk_${'key'}_${'aB3-_x9'.repeat(6)}Q`,
  },
  {
    what: 'an access token',
    pattern: /\beduk_at_[\w-]{40,}\.[\w-]{20,}/,
    planted: `eduk_${'at'}_${'aB3'.repeat(20)}.${'aB3'.repeat(10)}`,
  },
  {
    what: 'a token of a forge or registry',
    pattern: /\b(?:ghp|gho|npm|glpat)_[A-Za-z0-9]{20,}|\bAKIA[A-Z0-9]{16}\b/,
    planted: `ghp${'_'}${'a1B2'.repeat(9)}`,
  },
  {
    what: 'a path of one machine',
    pattern: /(?<![\w.~-])\/(?:home|Users|root|work)\/[\w.-]+\//,
    planted: `/${'home'}/someone/eduk/x.ts`,
  },
  { what: 'a mark of unfinished work', pattern: /\b(?:TODO|FIXME|XXX|HACK)\b/, planted: `// ${'TO'}${'DO'}: later` },
  { what: 'a skipped test', pattern: /\b(?:test|it|describe)\.(?:skip|only|todo)\(/, planted: `test.${'skip'}('x')` },
];

const found = (text: string): string[] => forbidden.filter(({ pattern }) => pattern.test(text)).map(({ what }) => what);

const texts = paths().filter((path) =>
  /\.(ts|js|json|md|proto|ya?ml|xml|xsd|wsdl|sh|toml)$|^\.ci\/|^(LICENSE|package)/.test(path),
);

describe('the tree', () => {
  test('holds no secret, no path of one machine, no unfinished work', () => {
    expect(texts.length).toBeGreaterThan(300);
    const here = 'test/tidy/tree.test.ts';
    for (const path of texts) if (path !== here) expect([path, found(read(path))]).toEqual([path, []]);
  });
  test.each(forbidden.map(({ what, planted }) => [what, planted]))('%s would be found', (what, planted) => {
    expect(found(`x\n${planted}\n`)).toEqual([what]);
  });
  test('holds no key, data or database file', () => {
    expect(paths().filter((path) => /\.(key|pem|p12|pfx|jks|db|sqlite|db-wal|crt)$|(^|\/)\.env$/.test(path))).toEqual(
      [],
    );
  });
});

test('services make folders with makeFolders: Node’s own recursion never ends in a place such as /proc', () => {
  const recursive = /\bmkdir(?:Sync)?\([^;]*?\brecursive: true/;
  expect(recursive.test('mkdirSync(folder, { recursive: true, mode: 0o700 });')).toBe(true);
  const ours = sources((path) => /^(services|adapters)\/.*\.ts$/.test(path) && !path.endsWith('.test.ts'));
  expect(ours.filter(({ text }) => recursive.test(text)).map(({ path }) => path)).toEqual([]);
});

describe('package-lock.json', () => {
  const lock = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { resolved?: string; integrity?: string; link?: boolean }>;
  };
  test('names no registry, and a digest for each package', () => {
    const packages = Object.entries(lock.packages).filter(([name]) => name !== '');
    expect(packages.length).toBeGreaterThan(50);
    for (const [name, { resolved, integrity }] of packages) {
      expect([name, resolved]).toEqual([name, undefined]);
      expect([name, integrity?.startsWith('sha512-')]).toEqual([name, true]);
    }
  });
  test('is that of package.json', () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const { '': own } = lock.packages as unknown as Record<string, Record<string, Record<string, string>>>;
    expect(own).toMatchObject({ dependencies, devDependencies, optionalDependencies });
    for (const version of Object.values({ ...dependencies, ...devDependencies, ...optionalDependencies }))
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });
});
