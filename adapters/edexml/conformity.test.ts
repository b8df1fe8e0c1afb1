/**
 * Our schema against the published one: both accept and both refuse the same files, over the published samples, our own
 * examples and 1,000 seeded mutations. The published files are not ours to carry, so where they are absent this is skipped,
 * and says so.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { compileSchema, elementToXml, readXml, type Schema, type XmlElement } from '#adapters/xml';
import { GatewayError, isSchoolYear } from '#kernel';
import { inventSchool } from './examples/invent.ts';
import { everyField, mutated } from './mutate.ts';
import { accept, schema as ours } from './wire.ts';

const published = new URL('../../../shared/standards/edexml/', import.meta.url);
const present = existsSync(new URL('2.1/EDEXML.structuur.xsd', published));
if (!present)
  console.warn(
    'SKIPPED: the published EDEXML schema is not at ../shared/standards/edexml, so ours is not compared with it.',
  );

const MUTATIONS = 1_000;

/** Differences that we want. `same` turns a file into one on which both must agree, or undefined when it is no such case. */
const wanted: { difference: string; because: string; same: (root: XmlElement) => XmlElement | undefined }[] = [
  {
    difference: 'toevoegingen are not judged, wherever they stand',
    because: 'They are private; their types are in no schema we could have, and nothing in them is taken in.',
    same: (root) => {
      let found = false;
      const less = (it: XmlElement): XmlElement => {
        const children = it.children.filter(({ name }) => name !== 'toevoegingen');
        if (children.length < it.children.length) found = true;
        return { ...it, children: children.map(less) };
      };
      const without = less(root);
      return found ? without : undefined;
    },
  },
  {
    difference: 'school years after 2024-2025',
    because: 'The published list stopped there; schools did not.',
    same: (root) => {
      let found = false;
      const back = (it: XmlElement): XmlElement => {
        if (it.name !== 'schooljaar' || !isSchoolYear(it.text) || it.text <= '2024-2025')
          return { ...it, children: it.children.map(back) };
        found = true;
        return { ...it, text: '2024-2025' };
      };
      const earlier = back(root);
      return found ? earlier : undefined;
    },
  },
];

const accepts = (use: () => unknown): boolean => {
  try {
    use();
    return true;
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.fault === 'wire.invalid') return false;
    throw thrown;
  }
};

const bytesOf = (root: XmlElement) => Buffer.from(elementToXml(root), 'utf8');

interface Case {
  name: string;
  root: XmlElement;
  theirs: boolean;
}

describe.skipIf(!present)('our schema and the published one', () => {
  let theirs: Schema;
  const cases: Case[] = [];

  const theyAccept = (root: XmlElement) => accepts(() => readXml(bytesOf(root), { schema: theirs }));

  /** Cases on which the two differ and no wanted difference explains it; how often each wanted one did. */
  function compare(weAccept: (bytes: Uint8Array) => boolean, until = Number.POSITIVE_INFINITY) {
    const unexplained: string[] = [];
    const explained = new Map<string, number>();
    for (const { name, root, theirs: they } of cases) {
      const we = weAccept(bytesOf(root));
      if (we === they) continue;
      let same: XmlElement = root;
      const reasons: string[] = [];
      for (const it of wanted) {
        const next = it.same(same);
        if (next) {
          same = next;
          reasons.push(it.difference);
        }
      }
      if (reasons.length > 0 && theyAccept(same) === we)
        for (const it of reasons) explained.set(it, (explained.get(it) ?? 0) + 1);
      else unexplained.push(`${name}: we ${we ? 'accept' : 'refuse'}, they ${they ? 'accept' : 'refuse'}`);
      if (unexplained.length >= until) break;
    }
    return { unexplained, explained };
  }

  beforeAll(() => {
    const folder = new URL('2.1/', published);
    const files = readdirSync(folder).filter((it) => it.endsWith('.xsd'));
    theirs = compileSchema(
      Object.fromEntries(files.map((it) => [it, readFileSync(new URL(it, folder), 'utf8')])),
      'EDEXML.structuur.xsd',
    );

    const at = (folder: URL) =>
      readdirSync(folder)
        .filter((it) => it.endsWith('.xml'))
        .map((it) => [it, readFileSync(new URL(it, folder))] as const);
    const documents = [
      ...at(new URL('examples/', published)),
      ...at(new URL('./examples/', import.meta.url)),
      ['every field', Buffer.from(everyField)] as const,
      ['invented', Buffer.from(inventSchool({ pupils: 4, seed: 7, toevoegingen: true }))] as const,
    ];
    const roots = documents.map(([name, bytes]) => ({ name, root: readXml(bytes).root }));
    for (const { name, root } of roots) cases.push({ name, root, theirs: theyAccept(root) });
    // Half of them of the one with every field, since it reaches all rules.
    for (let seed = 1; seed <= MUTATIONS; seed++) {
      const { name, root } =
        seed % 2 === 0 ? roots.find((it) => it.name === 'every field')! : roots[(seed >> 1) % roots.length]!;
      const changed = mutated(root, seed);
      cases.push({ name: `${name}, mutation ${seed}`, root: changed, theirs: theyAccept(changed) });
    }
  });

  test('accept and refuse the same, but for the wanted differences, each of which occurs', () => {
    const { unexplained, explained } = compare((bytes) => accepts(() => accept(bytes)));
    expect(unexplained).toEqual([]);
    expect([...explained.keys()].sort()).toEqual(wanted.map((it) => it.difference).sort());
    const accepted = cases.filter((it) => it.theirs).length;
    console.info(
      `compared ${cases.length} files: published accepts ${accepted}; ${[...explained].map(([it, n]) => `${it}: ${n}`).join('; ')}`,
    );
    // A comparison in which nearly all are refused, or accepted, would show little.
    expect(accepted / cases.length).toBeGreaterThan(0.15);
    expect(accepted / cases.length).toBeLessThan(0.85);
  });

  /** Our schema with one rule less, which the comparison must notice. */
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
  ])('a planted fault is noticed: %s', (_, rule, weaker) => {
    const main = ours.main;
    const text = ours.files[main]!;
    expect(text).toContain(rule);
    const faulty = compileSchema({ [main]: text.replaceAll(rule, weaker) }, main);
    expect(compare((bytes) => accepts(() => accept(bytes, faulty)), 1).unexplained).toHaveLength(1);
  });
});
