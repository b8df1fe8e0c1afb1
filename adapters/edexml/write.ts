import { type LossReason, LossTally } from '#adapters/contract';
import { readXml, writeXml, type XmlObject } from '#adapters/xml';
import { brinOf, flemishNumberOf, GatewayError, isDay, isSchoolYear, sha256 } from '#kernel';
import type { Person, Roster, RosterGroup, RosterLearner, RosterStaff } from '#proto/eduk/core/v1/learner';
import { type Version, writtenRows } from './losses.ts';
import { type EDEX, type Groep, type Leerkracht, type Leerling, type School, schemas, type Vestiging } from './wire.ts';

/** What of a roster has no place in the file: where it would have stood, and why it does not. */
export interface Loss {
  path: string;
  /** As in the tables of losses.ts. */
  element: string;
  reason: LossReason;
  why: string;
}

/** The same, counted. */
export function countLosses(losses: readonly Loss[]) {
  const tally = new LossTally();
  for (const { element, reason } of losses) tally.add(element, reason);
  return tally.list();
}

/** A file of this roster; undefined where the standard has none, which is a roster without anybody. */
export interface Written {
  wire: EDEX | undefined;
  losses: Loss[];
}

/** What the versions differ in, besides what they lack. */
const forms: Readonly<Record<Version, { key: number; family: number; years: RegExp; duties: RegExp }>> = {
  '2.1': {
    key: 256,
    family: 200,
    years: /^(?:[0-8]|1[1-6]|[BCDHNSV])$/,
    duties: /^(?:AD[JM]|CON|DIR|IB|ICT|KLA|LO[CS]|LRK|O(?:UD|WA)|RT|SMW|STA|TAL|VAK)$/,
  },
  '2.0': {
    key: 64,
    family: 200,
    years: /^(?:[0-8]|1[1-6]|[BCDHNSV])$/,
    duties: /^(?:AD[JM]|CON|DIR|IB|ICT|KLA|LO[CS]|LRK|O(?:UD|WA)|RT|SMW|STA|VAK)$/,
  },
  '1.03': { key: 64, family: 70, years: /^(?:[0-8]|1[1-3]|[HS])$/, duties: /^$/ },
};
const GENDER = /^[0129]$/;
const MOMENT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 has no place for these, not even escaped.
const IMPOSSIBLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

const isPossible = (value: string): boolean => !IMPOSSIBLE.test(value) && value.isWellFormed();
/** `leerlingen/leerling[3]/@key` → `key`. */
const elementAt = (path: string): string => /([^/@[]+)(?:\[\d+\])?$/.exec(path)![1]!;
/** The same key gives the same stand-in, in every file. */
const standInOf = (key: string): string => `#${Buffer.from(sha256(key), 'latin1').toString('hex').slice(0, 40)}`;

/** Core → wire, the other way round than `mapping.ts`. What does not fit the standard is left out whole and listed, never cut. */
export function fromCore(roster: Roster, version: Version = '2.1'): Written {
  const form = forms[version];
  const lacking = new Set(
    writtenRows(version).flatMap(({ element, reason }) => (reason === 'no_place' ? [element] : [])),
  );
  const isOld = version === '1.03';
  const losses: Loss[] = [];
  const lose = (path: string, why: string, reason: LossReason = 'unfit', element = elementAt(path)): undefined =>
    void losses.push({ path, element, reason, why });
  const noPlace = (path: string, element?: string): undefined =>
    lose(path, 'this version has no place for it', 'no_place', element);
  /** The value where it fits its element, else a loss. */
  const fitting = (path: string, value: string, most: number): string | undefined => {
    if (value === '') return undefined;
    if (!isPossible(value)) return lose(path, 'XML cannot carry a character of it');
    return [...value].length > most ? lose(path, `it is longer than ${most} characters`) : value;
  };
  /** The same for what 1.03 does not have. */
  const since20 = (path: string, value: string, most: number): string | undefined =>
    value !== '' && isOld ? noPlace(path) : fitting(path, value, most);
  const listed = (path: string, value: string, list: RegExp): string | undefined =>
    value === '' ? undefined : list.test(value) ? value : lose(path, 'the code is not on the list');
  const dayAt = (path: string, value: string): string | undefined =>
    value === '' ? undefined : isDay(value) ? value : lose(path, 'it is no day');

  /** All of a kind under a key that the file can carry; one that another has exactly so is left out. */
  const keyed = <One>(
    list: string,
    element: string,
    all: readonly One[],
    keyOf: (one: One) => string,
    spare: (one: One) => string = () => '',
  ): [path: string, one: One, key: string][] => {
    const [given, seen] = [new Set<string>(), new Set<string>()];
    const isFree = (key: string): boolean =>
      key !== '' && isPossible(key) && [...key].length <= form.key && !seen.has(key);
    return all.flatMap((one, i): [string, One, string][] => {
      const path = `${list}[${i + 1}]`;
      const own = keyOf(one);
      if (own !== '' && given.has(own)) {
        lose(path, 'another one has its key', 'unfit', element);
        return [];
      }
      given.add(own);
      let key = own.trim();
      if (!isFree(key)) {
        lose(`${path}/@key`, 'a stand-in is in its place', 'stand_in');
        key = own.trim() === '' ? `#${[...spare(one).trim()].slice(1 - form.key).join('')}` : standInOf(own);
        for (let n = i + 1; key === '#' || !isFree(key); n += all.length) key = `#${n}`;
      }
      seen.add(key);
      return [[path, one, key]];
    });
  };
  /** ECK iDs that stand in the file, of learners and of staff apart. */
  const eckIdIn = (seen: Set<string>) => (path: string, value: string) => {
    if (value.trim() === '') return {};
    if (lacking.has('eckid')) return noPlace(`${path}/@eckid`) ?? {};
    const eckId = fitting(`${path}/@eckid`, value.trim(), 256);
    if (eckId === undefined) return {};
    if (seen.has(eckId)) return lose(`${path}/@eckid`, 'another one has it') ?? {};
    seen.add(eckId);
    return { eckid: eckId };
  };
  const nameOf = (path: string, name: string, key: string): string =>
    fitting(`${path}/naam`, name, 64) ??
    (lose(`${path}/naam`, 'its key stands in its place', 'stand_in') || [...key].slice(0, 64).join(''));

  const person = (path: string, given: Person | undefined) => {
    const as = (name: string, text: string | undefined) => (text === undefined ? {} : { [name]: text });
    const of = (name: string, value: string | undefined, most: number) =>
      as(name, fitting(`${path}/${name}`, value ?? '', most));
    const later = (name: string, value: string | undefined, most: number) =>
      as(name, since20(`${path}/${name}`, value ?? '', most));
    const called = of('roepnaam', given?.callName, 64);
    const family = of('achternaam', given?.familyName, form.family);
    const isNamed = Object.keys(family).length > 0;
    const more = isNamed
      ? {
          ...of('voorvoegsel', given?.familyNamePrefix, 10),
          ...later('voornamen', given?.givenNames, 200),
          ...of('voorletters-1', given?.initials, 6),
        }
      : {};
    if (!isNamed)
      for (const [name, value] of [
        ['voorvoegsel', given?.familyNamePrefix],
        ['voornamen', given?.givenNames],
        ['voorletters-1', given?.initials],
      ] as const)
        if (value) lose(`${path}/${name}`, 'without achternaam only roepnaam stands', 'no_place');
    const named = { ...family, ...more, ...called };
    const isUnnamed = Object.keys(named).length === 0;
    // The standard wants a name of everybody.
    if (isUnnamed) lose(`${path}/roepnaam`, 'a stand-in is in its place', 'stand_in');
    return {
      ...(isUnnamed ? { roepnaam: UNNAMED } : named),
      ...later('gebruikersnaam', given?.accountName, 64),
      ...later('emailadres', given?.email, 256),
    };
  };

  const allSites = keyed('vestigingen/vestiging', 'vestiging', roster.sites, ({ key }) => key);
  if (isOld) for (const [path] of allSites) noPlace(path);
  const vestigingen = (isOld ? [] : allSites).map(
    ([path, { name, description }, key]): Vestiging => ({
      key,
      naam: nameOf(path, name, key),
      ...described(fitting(`${path}/omschrijving`, description, 256)),
    }),
  );
  const allGroups = keyed('groepen/*', 'groep', roster.groups, ({ key }) => key);
  const groepen = allGroups.flatMap(([path, given, key]: [string, RosterGroup, string]): Groep[] => {
    const { name, description, yearGroup, composite } = given;
    if (composite && isOld) return noPlace(path, 'samengestelde_groep') ?? [];
    const year = composite ? undefined : listed(`${path}/jaargroep`, yearGroup, form.years);
    if (!composite && year === undefined) {
      // A base group has one. 2.0 has a code for none; 1.03 has not.
      if (isOld) return lose(path, 'it has no jaargroep that this version knows', 'unfit', 'groep') ?? [];
      if (yearGroup === '') lose(`${path}/jaargroep`, 'a stand-in is in its place', 'stand_in');
    }
    return [
      {
        key,
        naam: nameOf(path, name, key),
        ...described(since20(`${path}/omschrijving`, description, 256)),
        ...(composite ? {} : { jaargroep: year ?? 'N' }),
      },
    ];
  });
  const yearOf = new Map(groepen.map(({ key, jaargroep }) => [key, jaargroep]));
  const isSite = namesIn(vestigingen);
  const isBase = (key: string): boolean => yearOf.get(key) !== undefined;
  const isComposite = (key: string): boolean => yearOf.has(key) && !isBase(key);
  const keysOf = (some: readonly [string, { key: string }, string][]): ReadonlyMap<string, string> =>
    new Map([
      ...some.map(([, { key }, written]): [string, string] => [key.trim(), written]),
      ...some.map(([, { key }, written]): [string, string] => [key, written]),
    ]);
  const [siteKeys, groupKeys] = [keysOf(allSites), keysOf(allGroups)];
  const isCompositeGiven = new Set(roster.groups.flatMap(({ key, composite }) => (composite ? [key] : [])));
  const reference = (
    path: string,
    given: string,
    keys: ReadonlyMap<string, string>,
    is: (key: string) => boolean,
    element = elementAt(path),
  ): string | undefined => {
    if (given.trim() === '') return undefined;
    const key = keys.get(given) ?? keys.get(given.trim());
    if (key !== undefined && is(key)) return key;
    if (isOld && (element === 'vestiging' || isCompositeGiven.has(given)))
      return noPlace(path, element === 'vestiging' ? element : 'samengestelde_groep');
    return lose(path, 'the file does not have what it names', 'unfit', element);
  };

  const pupilsEckId = eckIdIn(new Set());
  const numberOf = ({ ref }: RosterLearner | RosterStaff): string => ref?.eckId ?? '';
  const leerlingen = keyed(
    'leerlingen/leerling',
    'leerling',
    roster.learners,
    ({ ref }) => ref?.lasKey ?? '',
    numberOf,
  ).map(([path, given, key]: [string, RosterLearner, string]): Leerling => {
    const groep = reference(`${path}/groep`, given.groupKey, groupKeys, isBase);
    // One or the other in 1.03; whoever reads it takes the year of the group, and so do we.
    const isDouble = isOld && groep !== undefined;
    if (isDouble && given.yearGroup !== '' && given.yearGroup !== yearOf.get(groep)) noPlace(`${path}/jaargroep`);
    const optional = {
      geboortedatum: dayAt(`${path}/geboortedatum`, given.person?.birthDate ?? ''),
      geslacht: listed(`${path}/geslacht`, given.person?.gender ?? '', GENDER),
      jaargroep: isDouble ? undefined : listed(`${path}/jaargroep`, given.yearGroup, form.years),
      groep,
      vestiging: reference(`${path}/vestiging`, given.siteKey, siteKeys, isSite),
      instroomdatum: dayAt(`${path}/instroomdatum`, given.entersOn),
      uitstroomdatum: dayAt(`${path}/uitstroomdatum`, given.leavesOn),
    };
    if (given.siteCodes.length > 0) noPlace(`${path}/dependancecode`);
    return {
      key,
      ...pupilsEckId(path, given.ref?.eckId ?? ''),
      ...person(path, given.person),
      ...present(optional),
      samengestelde_groepen: given.compositeGroupKeys.flatMap(
        (group) =>
          reference(`${path}/samengestelde_groepen`, group, groupKeys, isComposite, 'samengestelde_groep') ?? [],
      ),
    };
  });
  const staffEckId = eckIdIn(new Set());
  const dutiesOf = (path: string, duties: readonly string[]): string[] =>
    duties.flatMap((duty) => {
      if (isOld && duty !== '') return noPlace(`${path}/rol`) ?? [];
      return listed(`${path}/rol`, duty, form.duties) ?? [];
    });
  const leerkrachten = keyed(
    'leerkrachten/leerkracht',
    'leerkracht',
    roster.staff,
    ({ ref }) => ref?.lasKey ?? '',
    numberOf,
  ).map(([path, given, key]: [string, RosterStaff, string]): Leerkracht => {
    for (const [name, value] of [
      ['geboortedatum', given.person?.birthDate],
      ['geslacht', given.person?.gender],
    ] as const)
      if (value) noPlace(`${path}/${name}`);
    return {
      key,
      ...staffEckId(path, given.ref?.eckId ?? ''),
      ...person(path, given.person),
      rol: dutiesOf(path, given.duties),
      groepen: given.groups.flatMap((group) => {
        const named = reference(
          `${path}/groepen`,
          group.key,
          groupKeys,
          (one) => isBase(one) || isComposite(one),
          'groep',
        );
        return named === undefined ? [] : [{ key: named, rol: dutiesOf(`${path}/groepen`, group.duties) }];
      }),
    };
  });
  const brincode = brinOf(roster.schoolOin);
  const number = flemishNumberOf(roster.schoolOin);
  if (number !== undefined && isOld) noPlace('school/instellingsnummer');
  const instellingsnummer = isOld ? undefined : number;
  const isOnlyKnownHere = roster.schoolOin !== '' && brincode === undefined && instellingsnummer === undefined;
  if (isOnlyKnownHere) lose('school/schoolkey', 'it says how the school is known here', 'stand_in');
  if (roster.administration !== '') noPlace('school/administratie');
  if (brincode === undefined && roster.siteCode !== '') noPlace('school/dependancecode');
  if (isOld && roster.asOf !== '') noPlace('school/peildatum');
  const isMoment = MOMENT.test(roster.madeAt) && !Number.isNaN(Date.parse(roster.madeAt));
  if (roster.madeAt !== '' && !isMoment) lose('school/aanmaakdatum', 'it is no moment');
  const school: School = {
    schooljaar: roster.schoolYear,
    ...present({
      peildatum: isOld ? undefined : dayAt('school/peildatum', roster.asOf),
      brincode,
      dependancecode: brincode !== undefined && roster.siteCode !== '' ? roster.siteCode : undefined,
      instellingsnummer,
      schoolkey: isOnlyKnownHere ? roster.schoolOin : undefined,
      aanmaakdatum: isMoment ? roster.madeAt : undefined,
    }),
    xsdversie: version,
  };
  if (!isSchoolYear(roster.schoolYear) || roster.schoolYear < '1991') {
    lose('school/schooljaar', 'the standard begins with 1991');
    return { wire: undefined, losses };
  }
  const wire = leerlingen.length === 0 ? undefined : { school, vestigingen, groepen, leerlingen, leerkrachten };
  return { wire, losses };
}

/** What stands for a name that nobody holds. */
const UNNAMED = 'onbekend';

const described = (omschrijving: string | undefined): Pick<Vestiging, 'omschrijving'> =>
  omschrijving === undefined ? {} : { omschrijving };

const namesIn = (some: readonly { key: string }[]): ((key: string) => boolean) => {
  const keys = new Set(some.map(({ key }) => key));
  return (key) => keys.has(key);
};

/** Without what is absent. */
const present = <Of extends object>(of: Of): { [K in keyof Of]?: Exclude<Of[K], undefined> } =>
  Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as never;

/** A file of a version, made of what `fromCore` gave for that version and judged by its schema before it leaves. */
export function writeValid(wire: EDEX, author?: string): string {
  const text = write(wire, author);
  try {
    readXml(Buffer.from(text), { schema: schemas[wire.school.xsdversie as Version] });
  } catch (cause) {
    throw new GatewayError('gateway.bug', 'A file on its way out breaks its schema.', { cause });
  }
  return text;
}

/** Wire → an EDEXML file of the version that it says (`xsdversie`). `author`: who made it. */
export function write({ school, vestigingen, groepen, leerlingen, leerkrachten }: EDEX, author?: string): string {
  const isBase = namesIn(groepen.filter(({ jaargroep }) => jaargroep !== undefined));
  const some = <One>(all: readonly One[], as: (one: One) => XmlObject): XmlObject[] | undefined =>
    all.length === 0 ? undefined : all.map(as);
  const within = (of: XmlObject): XmlObject | undefined =>
    Object.values(of).every((value) => value === undefined) ? undefined : of;
  const group = ({ key, naam, jaargroep, omschrijving }: Groep): XmlObject => ({
    '@key': key,
    naam,
    jaargroep,
    omschrijving,
  });
  const bases = groepen.filter(({ key }) => isBase(key));
  const composites = groepen.filter(({ key }) => !isBase(key));
  return writeXml({
    EDEX: {
      school: {
        schooljaar: school.schooljaar,
        peildatum: school.peildatum,
        brincode: school.brincode,
        dependancecode: school.dependancecode,
        instellingsnummer: school.instellingsnummer,
        schoolkey: school.schoolkey,
        aanmaakdatum: school.aanmaakdatum,
        auteur: author,
        xsdversie: school.xsdversie,
      },
      vestigingen: within({ vestiging: some(vestigingen, group) }),
      groepen: within({ groep: some(bases, group), samengestelde_groep: some(composites, group) }),
      leerlingen: { leerling: leerlingen.map(leerlingXml) },
      leerkrachten: within({ leerkracht: some(leerkrachten, (one) => leerkrachtXml(one, isBase)) }),
    },
  });
}

const personXml = (it: Leerling | Leerkracht): XmlObject => ({
  '@key': it.key,
  '@eckid': it.eckid,
  achternaam: it.achternaam,
  voorvoegsel: it.voorvoegsel,
  voornamen: it.voornamen,
  'voorletters-1': it['voorletters-1'],
  roepnaam: it.roepnaam,
});

const named = (key: string): XmlObject => ({ '@key': key });

const leerlingXml = (it: Leerling): XmlObject => ({
  ...personXml(it),
  geboortedatum: it.geboortedatum,
  geslacht: it.geslacht,
  jaargroep: it.jaargroep,
  groep: it.groep === undefined ? undefined : named(it.groep),
  samengestelde_groepen:
    it.samengestelde_groepen.length === 0 ? undefined : { samengestelde_groep: it.samengestelde_groepen.map(named) },
  vestiging: it.vestiging === undefined ? undefined : named(it.vestiging),
  gebruikersnaam: it.gebruikersnaam,
  emailadres: it.emailadres,
  instroomdatum: it.instroomdatum,
  uitstroomdatum: it.uitstroomdatum,
});

function leerkrachtXml(it: Leerkracht, isBase: (key: string) => boolean): XmlObject {
  const groups = (some: Leerkracht['groepen']): XmlObject[] | undefined =>
    some.length === 0
      ? undefined
      : some.map(({ key, rol }) => ({ '@key': key, rol: rol.length === 0 ? undefined : rol }));
  return {
    ...personXml(it),
    gebruikersnaam: it.gebruikersnaam,
    emailadres: it.emailadres,
    rol: it.rol.length === 0 ? undefined : it.rol,
    groepen:
      it.groepen.length === 0
        ? undefined
        : {
            samengestelde_groep: groups(it.groepen.filter(({ key }) => !isBase(key))),
            groep: groups(it.groepen.filter(({ key }) => isBase(key))),
          },
  };
}
