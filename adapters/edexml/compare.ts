/**
 * Our schemas against the published ones, which are not ours to carry: both accept and both refuse the same files, over the
 * published samples, our examples and seeded mutations. `conformity.test.ts` runs it with some; as a command it runs with many:
 *
 *   node adapters/edexml/compare.ts [MUTATIONS of each version, 10000] [FOLDER of the published files]
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { compileSchema, elementToXml, readXml, type Schema, type XmlElement } from '#adapters/xml';
import { GatewayError, isSchoolYear } from '#kernel';
import { inventSchool } from './examples/invent.ts';
import { type Version, versions } from './losses.ts';
import { everyFieldOf, mutated } from './mutate.ts';
import { accept, schemas } from './wire.ts';

export const published = new URL('../../../shared/standards/edexml/', import.meta.url);
export const isPresent = (at: URL = published): boolean => existsSync(new URL('2.1/EDEXML.structuur.xsd', at));

const folders: Readonly<Record<Version, string>> = { '1.03': '1.0.3/', '2.0': '2.0/', '2.1': '2.1/' };
const lastYears: Readonly<Record<Version, string>> = { '1.03': '2019-2020', '2.0': '2024-2025', '2.1': '2024-2025' };

/** A difference that we want. `same` turns a file into one on which both must agree, or undefined when it is no such case. */
export interface Difference {
  difference: string;
  because: string;
  same(root: XmlElement, version: Version): XmlElement | undefined;
}

export const wanted: readonly Difference[] = [
  {
    difference: 'toevoegingen are not judged, wherever they stand',
    because: 'They are private; their types are in no schema we could have, and nothing in them is taken in.',
    same(root) {
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
    difference: 'school years after the last of the published list',
    because: 'The list stopped at 2019-2020 (1.03) and 2024-2025; schools did not.',
    same(root, version) {
      const last = lastYears[version];
      let found = false;
      const back = (it: XmlElement): XmlElement => {
        if (it.name !== 'schooljaar' || !isSchoolYear(it.text) || it.text <= last)
          return { ...it, children: it.children.map(back) };
        found = true;
        return { ...it, text: last };
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

export interface Outcome {
  /** Cases on which the two differ and no wanted difference explains it. */
  unexplained: string[];
  /** How often each wanted one did. */
  explained: Map<string, number>;
}

export function publishedSchema(version: Version, at: URL = published): Schema {
  const folder = new URL(folders[version], at);
  const files = readdirSync(folder).filter((it) => it.endsWith('.xsd'));
  return compileSchema(
    Object.fromEntries(files.map((it) => [it, readFileSync(new URL(it, folder), 'utf8')])),
    'EDEXML.structuur.xsd',
  );
}

/** Files of one version, and what the published schema of it says of each. */
export class Comparison {
  readonly version: Version;
  readonly cases: readonly Case[];
  readonly #theirs: Schema;

  constructor(version: Version, mutations: number, at: URL = published) {
    this.version = version;
    this.#theirs = publishedSchema(version, at);
    const of = (place: URL) =>
      readdirSync(place)
        .filter((it) => it.endsWith('.xml'))
        .map((it) => [it, readFileSync(new URL(it, place))] as const);
    const documents = [
      ...of(new URL('examples/', at)),
      ...of(new URL('./examples/', import.meta.url)),
      ['every field', Buffer.from(everyFieldOf(version))] as const,
      ['invented', Buffer.from(inventSchool({ pupils: 4, seed: 7, toevoegingen: true }))] as const,
    ];
    const roots = documents.map(([name, bytes]) => ({ name, root: readXml(bytes).root }));
    const cases = roots.map(({ name, root }): Case => ({ name, root, theirs: this.#theyAccept(root) }));
    // The last place in a pupil where a block may stand, in every version.
    const block = '$1<toevoegingen><blok><code>x</code><geheim>y</geheim></blok></toevoegingen>';
    const { root } = readXml(Buffer.from(everyFieldOf(version).replace(/(<\/uitstroomdatum>)/, block)));
    cases.push({ name: 'a private block', root, theirs: this.#theyAccept(root) });
    // Half of them of the one with every field, since it reaches all rules.
    for (let seed = 1; seed <= mutations; seed++) {
      const { name, root } =
        seed % 2 === 0 ? roots.find((it) => it.name === 'every field')! : roots[(seed >> 1) % roots.length]!;
      const changed = mutated(root, seed);
      cases.push({ name: `${name}, mutation ${seed}`, root: changed, theirs: this.#theyAccept(changed) });
    }
    this.cases = cases;
  }

  #theyAccept(root: XmlElement): boolean {
    return accepts(() => readXml(bytesOf(root), { schema: this.#theirs }));
  }

  /** By our schema of the version, or another; stops after so many that nothing explains. */
  with(schema: Schema = schemas[this.version], until = Number.POSITIVE_INFINITY): Outcome {
    const unexplained: string[] = [];
    const explained = new Map<string, number>();
    for (const { name, root, theirs: they } of this.cases) {
      const we = accepts(() => accept(bytesOf(root), schema));
      if (we === they) continue;
      let same: XmlElement = root;
      const reasons: string[] = [];
      for (const it of wanted) {
        const next = it.same(same, this.version);
        if (next) {
          same = next;
          reasons.push(it.difference);
        }
      }
      if (reasons.length > 0 && this.#theyAccept(same) === we)
        for (const it of reasons) explained.set(it, (explained.get(it) ?? 0) + 1);
      else unexplained.push(`${name}: we ${we ? 'accept' : 'refuse'}, they ${they ? 'accept' : 'refuse'}`);
      if (unexplained.length >= until) break;
    }
    return { unexplained, explained };
  }

  /** What the published schema of this version accepts and our reading, which is by 2.1, does not. */
  notRead(): string[] {
    return this.cases
      .filter(({ root, theirs }) => theirs && !accepts(() => accept(bytesOf(root))))
      .map(({ name }) => name);
  }

  accepted(): number {
    return this.cases.filter(({ theirs }) => theirs).length;
  }
}

if (import.meta.main) {
  const [mutations = '10000', folder] = process.argv.slice(2);
  const at = folder === undefined ? published : pathToFileURL(`${folder}/`);
  if (!isPresent(at)) {
    process.stderr.write('The published files are not there.\n');
    process.exit(2);
  }
  for (const version of versions) {
    const comparison = new Comparison(version, Number(mutations), at);
    const { unexplained, explained } = comparison.with();
    const notRead = comparison.notRead();
    process.stdout.write(
      `EDEXML ${version}: ${comparison.cases.length} files, the published schema accepts ${comparison.accepted()}; not explained ${unexplained.length}, not read ${notRead.length}; ${wanted.map(({ difference }) => `${difference}: ${explained.get(difference) ?? 0}`).join('; ')}\n`,
    );
    for (const one of [...unexplained, ...notRead.map((name) => `${name}: accepted there and not read here`)])
      process.stdout.write(`  ${one}\n`);
    if (unexplained.length + notRead.length > 0) process.exitCode = 1;
  }
}
