/** Rules that the schema does not say: hard ones, which refuse a file, and soft ones of the handbook, which are told. */
import { child, type XmlElement, type XmlRead } from '#adapters/xml';
import { flemishSchoolOin, GatewayError, isBrin, isSchoolYear, schoolOin, type Where } from '#kernel';
import { isVersion } from './losses.ts';
import { numbersIn, refusePgn } from './pgn.ts';

/** What the sender says beside the file. */
export interface Given {
  /** OIN of the school, which goes before what the file says; with `schoolYear` it stands for a header that the file does not have. */
  schoolOin?: string;
  schoolYear?: string;
  /** Unix milliseconds, to judge by which school years are past; absent = none is. */
  nowMs?: number;
}

/** Soft rules: what the handbook asks and the schema lets pass. */
export const softRules = {
  year_group_missing: 'A pupil has no jaargroep; that of its groep is taken, where that has one.',
  year_group_unclear: 'A groep has jaargroep C, which is for groups of which none can be told.',
  past_pupil_without_end: 'A pupil who left (jaargroep H) has no uitstroomdatum.',
  year_past: 'The file is of a school year that is over.',
  version_missing: 'The file does not say its xsdversie, or one that there is not.',
  key_spaces: 'A key has white space around it, which means nothing.',
  key_dummy: 'A key begins with #: the administration does not promise to keep it.',
  prefix_in_name: 'An achternaam begins with what belongs in voorvoegsel.',
  number_leading_zero: 'An instellingsnummer has zeros before it.',
  other_school: 'The file names another school than the one that was named with it; it was taken as of the latter.',
} as const;
export type SoftRule = keyof typeof softRules;

/** One rule, how often it was not kept, and the first hundred places. */
export interface Warning {
  code: SoftRule;
  told: string;
  count: number;
  where: Where[];
}

const NAMED = 100;
/** Places of which it is said in words what is wrong. */
const TOLD = 10;

const LISTS = [
  ['vestigingen', undefined],
  ['groepen', undefined],
  ['leerlingen', 'eckid'],
  ['leerkrachten', 'eckid'],
] as const;

/** Children of one of the lists of a file with their paths, as errors write them. */
function* listed(root: XmlElement, list: string): Generator<{ element: XmlElement; path: string }> {
  const all = child(root, list)?.children ?? [];
  const totals = new Map<string, number>();
  for (const { name } of all) totals.set(name, (totals.get(name) ?? 0) + 1);
  const seen = new Map<string, number>();
  for (const element of all) {
    const nth = (seen.get(element.name) ?? 0) + 1;
    seen.set(element.name, nth);
    const index = totals.get(element.name)! > 1 ? `[${nth}]` : '';
    yield { element, path: `EDEX/${list}/${element.name}${index}` };
  }
}

/** A place, and what is wrong there. */
type Wrong = Where & { kind: string };

function hardFaults(root: XmlElement, given: Given): Wrong[] {
  const wrong: Wrong[] = [];
  const school = child(root, 'school');
  const year = school && child(school, 'schooljaar');
  // A pattern cannot say that the second year follows the first. The standard's own list starts in 1991.
  if (year && !(isSchoolYear(year.text) && year.text >= '1991'))
    wrong.push({ path: 'EDEX/school/schooljaar', line: year.line, kind: 'this is no school year' });
  if (year && given.schoolYear && isSchoolYear(year.text) && year.text !== given.schoolYear)
    wrong.push({
      path: 'EDEX/school/schooljaar',
      line: year.line,
      kind: 'the file is of another year than the one named',
    });
  const brin = school && child(school, 'brincode');
  if (brin && !isBrin(brin.text))
    wrong.push({ path: 'EDEX/school/brincode', line: brin.line, kind: 'the school code is no BRIN' });
  const flemish = school && child(school, 'instellingsnummer');
  if (flemish && !/^\d{2,6}$/.test(flemish.text))
    wrong.push({ path: 'EDEX/school/instellingsnummer', line: flemish.line, kind: 'this is no instellingsnummer' });
  if (!school && root.name === 'EDEX' && !(given.schoolOin && given.schoolYear))
    wrong.push({
      path: 'EDEX/school',
      line: root.line,
      kind: 'the file has no school and no school year; name both with it (school, schooljaar)',
    });
  for (const [list, eckid] of LISTS) {
    const [keys, eckIds] = [new Set<string>(), new Set<string>()];
    for (const { element, path } of listed(root, list))
      for (const [name, seen] of [['key', keys], ...(eckid ? [[eckid, eckIds] as const] : [])] as const) {
        const value = element.attrs[name]?.trim();
        if (value === undefined) continue;
        // Keys that differ only in white space would make one pupil of two.
        if (value === '' || seen.has(value))
          wrong.push({ path: `${path}/@${name}`, line: element.line, kind: 'a key is empty or given twice' });
        seen.add(value);
      }
  }
  return wrong;
}

const byLine = (a: Where, b: Where): number => (a.line ?? 0) - (b.line ?? 0);

/**
 * All hard faults of a file at once, with their lines: what breaks the schema, what it cannot say, and personal numbers. Throws
 * `wire.invalid`, or `wire.pgn` where numbers are all that is wrong.
 */
export function refuse(file: XmlRead, given: Given = {}): void {
  const { root, invalid } = file;
  const known = new Set(invalid?.where.map(({ line }) => line));
  // What the schema said of a line is not said again; that there is no header is said better.
  const headless = !child(root, 'school') && root.name === 'EDEX';
  const wrong = hardFaults(root, given).filter(({ line, path }) => path === 'EDEX/school' || !known.has(line));
  const numbers = numbersIn(file);
  if (!invalid && wrong.length === 0) {
    refusePgn(file);
    return;
  }
  const broken = (invalid?.where ?? []).map((where, i) => ({ ...where, kind: invalid!.kinds[i]! }));
  const dropped = headless && wrong.length > 0 ? broken.splice(0, 1).length : 0;
  const all: Wrong[] = [
    ...wrong,
    ...broken,
    ...numbers.map((where) => ({ ...where, kind: 'this is a personal number' })),
  ].sort(byLine);
  const total = (invalid?.total ?? 0) - dropped + wrong.length + numbers.length;
  const told = [
    ...all.slice(0, TOLD).map(({ path, line, kind }) => `${path}${line ? `, line ${line}` : ''}: ${kind}.`),
    ...(total > 1 ? [`Places in all: ${total}.`] : []),
    ...(numbers.length > 0 ? [`Among them personal numbers: ${numbers.length}.`] : []),
  ].join(' ');
  throw new GatewayError('wire.invalid', told, {
    where: all.slice(0, NAMED).map(({ path, line }) => (line ? { path, line } : { path })),
  });
}

const PREFIX = /^(?:van|von|de|den|der|het|te|ten|ter|op|in|aan|'t|’t|d'|la|le|el)\s+\p{Lu}?/iu;

/** What the handbook asks and the file does not do. Nothing of it keeps the file out. */
export function warningsOf({ root }: XmlRead, runningYear = '', named = ''): Warning[] {
  const found = new Map<SoftRule, Warning>();
  const warn = (code: SoftRule, path: string, line: number): void => {
    const one = found.get(code) ?? { code, told: softRules[code], count: 0, where: [] };
    found.set(code, one);
    one.count++;
    if (one.where.length < NAMED) one.where.push({ path, line });
  };
  const school = child(root, 'school');
  const version = (school && child(school, 'xsdversie')?.text.trim()) ?? '';
  if (school) {
    for (const it of school.children) {
      if (it.name === 'schooljaar' && it.text < runningYear) warn('year_past', 'EDEX/school/schooljaar', it.line);
      if (it.name === 'instellingsnummer' && it.text.startsWith('0'))
        warn('number_leading_zero', 'EDEX/school/instellingsnummer', it.line);
      const says =
        it.name === 'brincode' ? schoolOin(it.text) : it.name === 'instellingsnummer' ? flemishSchoolOin(it.text) : '';
      if (named !== '' && says !== '' && says !== named) warn('other_school', `EDEX/school/${it.name}`, it.line);
    }
    if (!isVersion(version === '1.0.3' ? '1.03' : version))
      warn('version_missing', 'EDEX/school/xsdversie', child(school, 'xsdversie')?.line ?? school.line);
  }
  for (const [list] of LISTS)
    for (const { element, path } of listed(root, list)) {
      const key = element.attrs['key'] ?? '';
      if (key !== key.trim()) warn('key_spaces', `${path}/@key`, element.line);
      if (key.trim().startsWith('#')) warn('key_dummy', `${path}/@key`, element.line);
      const yearGroup = child(element, 'jaargroep');
      const year = yearGroup?.text;
      if (element.name === 'groep' && year === 'C') warn('year_group_unclear', `${path}/jaargroep`, yearGroup!.line);
      if (element.name === 'leerling') {
        // In 1.03 a pupil had one or the other.
        if (year === undefined && !(version.startsWith('1.') && child(element, 'groep')))
          warn('year_group_missing', path, element.line);
        if (year === 'H' && !child(element, 'uitstroomdatum')) warn('past_pupil_without_end', path, element.line);
      }
      const name = child(element, 'achternaam');
      if (name && !child(element, 'voorvoegsel') && PREFIX.test(name.text))
        warn('prefix_in_name', `${path}/achternaam`, name.line);
    }
  return [...found.values()];
}

/** Lines of pupils, groups, teachers and sites, in the order in which the core names them. */
export interface Lines {
  learners: number[];
  groups: number[];
  staff: number[];
  sites: number[];
}

export const linesOf = ({ root }: XmlRead): Lines => {
  const of = (list: string) => (child(root, list)?.children ?? []).map(({ line }) => line);
  return { learners: of('leerlingen'), groups: of('groepen'), staff: of('leerkrachten'), sites: of('vestigingen') };
};
