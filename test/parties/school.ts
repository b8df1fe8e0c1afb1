/**
 * An invented school of real size: pupils, groups, staff. Nobody in it exists; one seed decides all of it. What a
 * receiver should have in the end is counted from here, never from the gateway.
 */
import { type Random, randomFrom } from './random.ts';

export interface Pupil {
  lasKey: string;
  eckId: string;
  callName: string;
  familyName: string;
  familyNamePrefix: string;
  /** YYYY-MM-DD. */
  birthDate: string;
  /** `1` boy, `2` girl, `9` unspecified. */
  gender: string;
  accountName: string;
  email: string;
  /** `1` to `8`. */
  yearGroup: string;
  groupKey: string;
  compositeGroupKeys: readonly string[];
}

export interface Group {
  key: string;
  name: string;
  /** `1` to `8`; of a composite group empty. */
  yearGroup: string;
  composite: boolean;
}

export interface Teacher {
  lasKey: string;
  eckId: string;
  callName: string;
  familyName: string;
  email: string;
  duties: readonly string[];
  groupKeys: readonly string[];
}

export interface School {
  /** Invented: no institution's number starts with 99. */
  brin: string;
  oin: string;
  name: string;
  /** `2026-2027`. */
  schoolYear: string;
  groups: readonly Group[];
  pupils: readonly Pupil[];
  staff: readonly Teacher[];
}

export interface SchoolSettings {
  pupils: number;
  seed: number;
  /** The day of the start, YYYY-MM-DD, Dutch; decides the school year. */
  today: string;
}

const YEARS = ['1', '2', '3', '4', '5', '6', '7', '8'] as const;
const GROUP_SIZE = 25;

const starts = [
  'Be',
  'Da',
  'Ee',
  'Fem',
  'Gij',
  'Hil',
  'Jo',
  'Kee',
  'Lo',
  'Maa',
  'Nin',
  'Oti',
  'Pie',
  'Roe',
  'San',
  'Tij',
];
const middles = ['', '', 'ri', 'le', 'na', 'vi', 'do'];
const ends = ['s', 'ke', 'n', 'na', 'tje', 'lla', 'm', 'ra'];
const familyStarts = [
  'Bron',
  'Dui',
  'Eik',
  'Fluit',
  'Groen',
  'Haver',
  'Klaver',
  'Linde',
  'Moer',
  'Noor',
  'Pols',
  'Riet',
  'Spring',
  'Tol',
  'Veen',
  'Wilg',
];
const familyMiddles = ['', 'en', 'er', 'el', 'ing'];
const familyEnds = ['stra', 'ma', 'hof', 'kamp', 'burg', 'dijk', 'beek', 'veld', 'boom', 'schot', 'laar', 'ink'];
const prefixes = ['van', 'van de', 'de', 'ter', 'van der'];

export function inventSchool({ pupils: count, seed, today }: SchoolSettings): School {
  const random = randomFrom(seed);
  const letters = 'BCDFGHJKLMNPRSTVWXZ';
  const brin = `99${letters[random.between(0, letters.length - 1)]}${letters[random.between(0, letters.length - 1)]}`;
  const schoolYear = schoolYearOf(today);
  const groups = inventGroups(Math.max(1, Math.round(count / GROUP_SIZE)));
  const composites = YEARS.slice(4).map(
    (year): Group => ({ key: `plus-${year}`, name: `Plusgroep ${year}`, yearGroup: '', composite: true }),
  );
  const firstYear = Number(schoolYear.slice(0, 4));
  const taken = new Set<string>();
  const pupils = Array.from({ length: count }, (_, i): Pupil => {
    // Dealt out one by one, so that groups differ in size by one at most.
    const group = groups[i % groups.length]!;
    const lasKey = inventKey(random, taken);
    const callName = firstName(random);
    const accountName = `${callName.toLowerCase()}.${lasKey.toLowerCase()}`;
    return {
      lasKey,
      eckId: eckId(random),
      callName,
      familyName: random.pick(familyStarts) + random.pick(familyMiddles) + random.pick(familyEnds),
      familyNamePrefix: random.chance(0.2) ? random.pick(prefixes) : '',
      birthDate: birthDate(random, firstYear - 3 - Number(group.yearGroup)),
      gender: random.pick(['1', '2', '1', '2', '9']),
      accountName,
      email: `${accountName}@waterlelie.example`,
      yearGroup: group.yearGroup,
      groupKey: group.key,
      compositeGroupKeys: Number(group.yearGroup) >= 5 && random.chance(0.1) ? [`plus-${group.yearGroup}`] : [],
    };
  });
  const used = composites.filter(({ key }) => pupils.some((pupil) => pupil.compositeGroupKeys.includes(key)));
  const staff = inventStaff(random, groups, used, taken);
  return {
    brin,
    oin: `00000007000${brin}00000`,
    name: 'Basisschool De Waterlelie',
    schoolYear,
    groups: [...groups, ...used],
    pupils,
    staff,
  };
}

/** School years turn on 1 August. */
const schoolYearOf = (day: string): string => {
  const first = Number(day.slice(0, 4)) - (Number(day.slice(5, 7)) < 8 ? 1 : 0);
  return `${first}-${first + 1}`;
};

/** Year groups in turn; the letter tells groups of one year apart. */
function inventGroups(count: number): Group[] {
  return Array.from({ length: count }, (_, i) => {
    const year = YEARS[i % YEARS.length]!;
    const parallel = Math.floor(i / YEARS.length);
    const letter = parallel < 26 ? String.fromCharCode(65 + parallel) : `-${parallel + 1}`;
    return {
      key: `g-${year}${letter.toLowerCase()}`,
      name: `Groep ${year}${letter}`,
      yearGroup: year,
      composite: false,
    };
  });
}

/** One for each group, and the head and the care coordinator of the school. */
function inventStaff(
  random: Random,
  groups: readonly Group[],
  composites: readonly Group[],
  taken: Set<string>,
): Teacher[] {
  const one = (duties: readonly string[], groupKeys: readonly string[]): Teacher => {
    const lasKey = inventKey(random, taken);
    return {
      lasKey,
      eckId: eckId(random),
      callName: firstName(random),
      familyName: random.pick(familyStarts) + random.pick(familyEnds),
      email: `${lasKey.toLowerCase()}@waterlelie.example`,
      duties,
      groupKeys,
    };
  };
  return [
    ...groups.map(({ key }, i) => one(['LRK'], [key, ...(composites[i] ? [composites[i].key] : [])])),
    one(['DIR'], []),
    one(['IB'], []),
  ];
}

const firstName = (random: Random): string => random.pick(starts) + random.pick(middles) + random.pick(ends);

/** Begins with a letter, so that no key has the form of a personal number. */
function inventKey(random: Random, taken: Set<string>): string {
  for (;;) {
    const key = `W${random.between(100_000, 999_999)}`;
    if (taken.has(key)) continue;
    taken.add(key);
    return key;
  }
}

const eckId = (random: Random): string => `https://ketenid.nl/pilot/${random.hex(128)}`;

const birthDate = (random: Random, year: number): string =>
  `${year}-${String(random.between(1, 12)).padStart(2, '0')}-${String(random.between(1, 28)).padStart(2, '0')}`;
