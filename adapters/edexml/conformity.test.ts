/** Our schemas against the published ones; where those are not there this is skipped, and says so. What it does: compare.ts. */
import { beforeAll, describe, expect, test } from 'vitest';
import { compileSchema } from '#adapters/xml';
import { Comparison, isPresent, wanted } from './compare.ts';
import { versions } from './losses.ts';
import { schema as ours } from './wire.ts';

const present = isPresent();
if (!present)
  console.warn(
    'SKIPPED: the published EDEXML schemas are not at ../shared/standards/edexml, so ours are not compared with them.',
  );

const MUTATIONS = { '1.03': 500, '2.0': 500, '2.1': 1_000 };

describe.skipIf(!present).each(versions)('our schema of %s and the published one', (version) => {
  let comparison: Comparison;
  beforeAll(() => {
    comparison = new Comparison(version, MUTATIONS[version]);
  });

  test('accept and refuse the same, but for the wanted differences, each of which occurs', () => {
    const { unexplained, explained } = comparison.with();
    expect(unexplained).toEqual([]);
    expect([...explained.keys()].sort()).toEqual(wanted.map((it) => it.difference).sort());
    // A comparison in which nearly all are refused, or accepted, would show little.
    const share = comparison.accepted() / comparison.cases.length;
    expect(share).toBeGreaterThan(0.15);
    expect(share).toBeLessThan(0.85);
  });

  test('what it accepts is read', () => {
    expect(comparison.notRead()).toEqual([]);
  });
});

describe.skipIf(!present)('our schema with one rule less', () => {
  let comparison: Comparison;
  beforeAll(() => {
    comparison = new Comparison('2.1', MUTATIONS['2.1']);
  });

  test.each<[string, string, string]>([
    ['an upper length', '<xs:maxLength value="64"/>', ''],
    ['a year group', '1[1-6]', '1[1-7]'],
    ['a duty', '|TAL', ''],
    [
      'a reference to a group',
      '<xs:selector xpath="leerlingen/leerling/groep | leerkrachten/leerkracht/groepen/groep"/>',
      '<xs:selector xpath="leerkrachten/leerkracht/groepen/groep"/>',
    ],
    ['a group given twice', '<xs:selector xpath="groepen/*"/>', '<xs:selector xpath="groepen/groep"/>'],
    [
      'an ECK iD given twice',
      '<xs:selector xpath="leerlingen/leerling"/><xs:field xpath="@eckid"/>',
      '<xs:selector xpath="leerlingen/leerling"/><xs:field xpath="@key"/>',
    ],
    ['at least one group', '<xs:choice maxOccurs="unbounded">', '<xs:choice minOccurs="0" maxOccurs="unbounded">'],
    ['a required key', 'type="UpTo256" use="required"', 'type="UpTo256"'],
    ['a date', '<xs:element name="geboortedatum" type="xs:date"', '<xs:element name="geboortedatum" type="xs:string"'],
    ['an empty text', '<xs:minLength value="1"/>', ''],
  ])('is noticed: %s', (_, rule, weaker) => {
    const main = ours.main;
    const text = ours.files[main]!;
    expect(text).toContain(rule);
    const faulty = compileSchema({ [main]: text.replaceAll(rule, weaker) }, main);
    expect(comparison.with(faulty, 1).unexplained).toHaveLength(1);
  });
});
