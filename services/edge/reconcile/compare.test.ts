import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  compareStretch,
  type Expected,
  type Ours,
  type Page,
  type Stated,
  type Stretch,
  stretches,
  type Thing,
} from './compare.ts';

const key = fc.stringMatching(/^[a-e.:]{1,3}$/);
const words = fc.tuple(fc.constantFrom('open', 'blocked', 'closed'), fc.constantFrom('p', 'q'));
const ours = fc.uniqueArray(
  fc.record({ key, says: words, changedMs: fc.constantFrom(1, 9) }).map(
    ({ key, says, changedMs }): Ours => ({
      key,
      says,
      mayLack: says[0] === 'closed',
      changedMs,
    }),
  ),
  { selector: ({ key }) => key, maxLength: 40 },
);
const theirs = fc.uniqueArray(
  fc.record({ key, says: fc.tuple(words, fc.boolean()).map(([[a, b], whole]) => (whole ? [a, b] : [a, ''])) }),
  { selector: ({ key }) => key, maxLength: 40 },
);
const SETTLED = 5;

/** Brings things a page at a time; a page may reach behind its last thing, as where a filter passes rows over. */
function side<T extends Thing>(things: readonly T[], sizes: readonly number[], gap: boolean) {
  const sorted = [...things].sort((a, b) => (a.key < b.key ? -1 : 1));
  let turn = 0;
  return async (after: string): Promise<Page<T> & { asOfMs: number }> => {
    const rest = sorted.filter((one) => one.key > after);
    const size = sizes[turn++ % sizes.length]!;
    const page = rest.slice(0, size);
    const isLast = page.length === rest.length;
    const through = page.at(-1)?.key ?? '';
    // Behind the last thing of the page and before the next one.
    const next = rest[size]?.key;
    const behind = `${through}!`;
    return {
      things: page,
      through: gap && next !== undefined && behind < next ? behind : through,
      isLast,
      asOfMs: SETTLED,
    };
  };
}

/** By the book: two maps. */
function naive(here: readonly Ours[], there: readonly Thing[]) {
  const told = new Map<string, string>();
  const [a, b] = [new Map(here.map((one) => [one.key, one])), new Map(there.map((one) => [one.key, one]))];
  for (const one of here) {
    const other = b.get(one.key);
    if (one.changedMs > SETTLED) continue;
    if (other === undefined) {
      if (!one.mayLack) told.set(one.key, 'missing');
    } else if (one.says[0] !== other.says[0] || (other.says[1] !== '' && one.says[1] !== other.says[1]))
      told.set(one.key, 'differs');
  }
  for (const one of there) if (!a.has(one.key)) told.set(one.key, 'surplus');
  return told;
}

async function all(here: Expected, there: Stated): Promise<Stretch[]> {
  const found: Stretch[] = [];
  for await (const stretch of stretches(here, there, 0)) found.push(stretch);
  return found;
}

const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 });

test('whatever the pages, two sides compare as two maps do, each key once and in order', async () => {
  await fc.assert(
    fc.asyncProperty(ours, theirs, sizes, sizes, fc.boolean(), async (here, there, a, b, gap) => {
      const found = await all(side(here, a, gap), side(there, b, false));
      const differences = found.flatMap((stretch) => stretch.differences);
      expect(new Map(differences.map(({ key, what }) => [key, what]))).toEqual(naive(here, there));
      const keys = differences.map(({ key }) => key);
      expect(keys).toEqual([...new Set(keys)].sort());
      const sum = (name: keyof Stretch['counts']): number => found.reduce((n, { counts }) => n + counts[name], 0);
      expect([sum('ours'), sum('theirs')]).toEqual([here.length, there.length]);
      const named = new Set([...here, ...there].map((one) => one.key)).size;
      expect(sum('same') + sum('moving') + sum('missing') + sum('surplus') + sum('differs')).toBe(named);
      // Stretches follow each other: what one noted no other notes again.
      for (const [i, { after }] of found.entries()) expect(after).toBe(i === 0 ? '' : found[i - 1]!.through);
      expect(found.map(({ isLast }) => isLast)).toEqual(found.map((_one, i) => i === found.length - 1));
    }),
    { numRuns: 300 },
  );
});

test('what changed a moment ago is no difference, and what is over need not be named', () => {
  const here = (of: Partial<Ours>): Page<Ours> => ({
    things: [{ key: 'e1', says: ['open', 'p'], mayLack: false, changedMs: 1, ...of }],
    through: '',
    isLast: true,
  });
  const there = (...things: Thing[]): Page<Thing> => ({ things, through: '', isLast: true });
  const counted = (a: Page<Ours>, b: Page<Thing>) => {
    const { counts } = compareStretch('', a, b, SETTLED);
    return Object.entries(counts).flatMap(([name, n]) => (n > 0 && name !== 'ours' && name !== 'theirs' ? [name] : []));
  };
  expect(counted(here({}), there())).toEqual(['missing']);
  expect(counted(here({ changedMs: 6 }), there())).toEqual(['moving']);
  expect(counted(here({ changedMs: 6 }), there({ key: 'e1', says: ['open', ''] }))).toEqual(['same']);
  expect(counted(here({ says: ['closed', 'p'], mayLack: true }), there())).toEqual(['same']);
  expect(counted(here({ says: ['closed', 'p'], mayLack: true }), there({ key: 'e1', says: ['open', 'p'] }))).toEqual([
    'differs',
  ]);
  expect(counted(here({}), there({ key: 'e1', says: ['open', 'q'] }))).toEqual(['differs']);
});

test('a side that does not go on ends it, instead of asking forever', async () => {
  const stuck: Stated = async () => ({ things: [], through: '', isLast: false, asOfMs: SETTLED });
  await expect(all(side<Ours>([], [1], false), stuck)).rejects.toThrow('no further');
});
