import { writeXml, type XmlObject } from '#adapters/xml';
import { brinOf, isDay, isSchoolOin } from '#kernel';
import type { Person, Roster, RosterGroup, RosterLearner, RosterStaff } from '#proto/eduk/core/v1/learner';
import type { EDEX, Groep, Leerkracht, Leerling, School, Vestiging } from './wire.ts';

/** What of a roster has no place in the file: where it would have stood, and why it does not. */
export interface Loss {
  path: string;
  why: string;
}

/** A file of this roster; undefined where the standard has none, which is a roster without anybody. */
export interface Written {
  wire: EDEX | undefined;
  losses: Loss[];
}

const YEAR_GROUP = /^(?:[0-8]|1[1-6]|[BCDHNSV])$/;
const DUTY = /^(?:AD[JM]|CON|DIR|IB|ICT|KLA|LO[CS]|LRK|O(?:UD|WA)|RT|SMW|STA|TAL|VAK)$/;
const GENDER = /^[0129]$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 has no place for these, not even escaped.
const IMPOSSIBLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/** Core → wire, the other way round than `mapping.ts`. What does not fit the standard is left out whole and listed, never cut. */
export function fromCore(roster: Roster): Written {
  const losses: Loss[] = [];
  const lose = (path: string, why: string): undefined => void losses.push({ path, why });
  /** The value where it fits its element, else a loss. */
  const fitting = (path: string, value: string, most: number): string | undefined => {
    if (value === '') return undefined;
    if (IMPOSSIBLE.test(value) || !value.isWellFormed()) return lose(path, 'XML cannot carry a character of it');
    return [...value].length > most ? lose(path, `it is longer than ${most} characters`) : value;
  };
  const listed = (path: string, value: string, list: RegExp): string | undefined =>
    value === '' ? undefined : list.test(value) ? value : lose(path, 'the code is not on the list');
  const dayAt = (path: string, value: string): string | undefined =>
    value === '' ? undefined : isDay(value) ? value : lose(path, 'it is no day');
  /** Those with a key that is there, fits and is the first of its kind. */
  const keyed = <One>(path: string, all: readonly One[], keyOf: (one: One) => string): [string, One, string][] => {
    const seen = new Set<string>();
    return all.flatMap((one, i): [string, One, string][] => {
      const at = `${path}[${i + 1}]`;
      const key = fitting(`${at}/@key`, keyOf(one).trim(), 256);
      if (key === undefined || seen.has(key)) {
        lose(at, key === undefined ? 'it has no key' : 'another one has its key');
        return [];
      }
      seen.add(key);
      return [[at, one, key]];
    });
  };
  /** ECK iDs that stand in the file, of learners and of staff apart. */
  const eckIdIn = (seen: Set<string>) => (path: string, value: string) => {
    const eckId = fitting(`${path}/@eckid`, value, 256);
    if (eckId === undefined) return {};
    if (seen.has(eckId)) return lose(`${path}/@eckid`, 'another one has it') ?? {};
    seen.add(eckId);
    return { eckid: eckId };
  };
  const nameOf = (path: string, name: string, key: string): string =>
    fitting(`${path}/naam`, name, 64) ??
    (lose(`${path}/naam`, 'its key stands in its place') || [...key].slice(0, 64).join(''));

  const person = (path: string, given: Person | undefined) => {
    const of = (name: string, value: string | undefined, most: number) => {
      const text = fitting(`${path}/${name}`, value ?? '', most);
      return text === undefined ? {} : { [name]: text };
    };
    const called = of('roepnaam', given?.callName, 64);
    const family = of('achternaam', given?.familyName, 200);
    const isNamed = Object.keys(family).length > 0;
    const more = isNamed
      ? {
          ...of('voorvoegsel', given?.familyNamePrefix, 10),
          ...of('voornamen', given?.givenNames, 200),
          ...of('voorletters-1', given?.initials, 6),
        }
      : {};
    if (!isNamed && (given?.familyNamePrefix || given?.givenNames || given?.initials))
      lose(`${path}/achternaam`, 'without it the standard has no other names but roepnaam');
    // The standard wants a name of everybody.
    const names = isNamed || Object.keys(called).length > 0 ? { ...family, ...more, ...called } : { roepnaam: UNNAMED };
    return { ...names, ...of('gebruikersnaam', given?.accountName, 64), ...of('emailadres', given?.email, 256) };
  };

  const vestigingen = keyed('vestigingen/vestiging', roster.sites, ({ key }) => key).map(
    ([path, { name, description }, key]): Vestiging => ({
      key,
      naam: nameOf(path, name, key),
      ...described(fitting(`${path}/omschrijving`, description, 256)),
    }),
  );
  const groepen = keyed('groepen/*', roster.groups, ({ key }) => key).map(
    ([path, { name, description, yearGroup, composite }, key]: [string, RosterGroup, string]): Groep => ({
      key,
      naam: nameOf(path, name, key),
      ...described(fitting(`${path}/omschrijving`, description, 256)),
      // A base group has one; N is a group of none.
      ...(composite ? {} : { jaargroep: listed(`${path}/jaargroep`, yearGroup, YEAR_GROUP) ?? 'N' }),
    }),
  );
  const isSite = namesIn(vestigingen);
  const isBase = namesIn(groepen.filter(({ jaargroep }) => jaargroep !== undefined));
  const isComposite = namesIn(groepen.filter(({ jaargroep }) => jaargroep === undefined));
  const reference = (path: string, key: string, is: (key: string) => boolean): string | undefined =>
    key.trim() === '' ? undefined : is(key.trim()) ? key.trim() : lose(path, 'the file does not have what it names');

  const pupilsEckId = eckIdIn(new Set());
  const leerlingen = keyed('leerlingen/leerling', roster.learners, ({ ref }) => ref?.lasKey ?? '').map(
    ([path, given, key]: [string, RosterLearner, string]): Leerling => {
      const optional = {
        geboortedatum: dayAt(`${path}/geboortedatum`, given.person?.birthDate ?? ''),
        geslacht: listed(`${path}/geslacht`, given.person?.gender ?? '', GENDER),
        jaargroep: listed(`${path}/jaargroep`, given.yearGroup, YEAR_GROUP),
        groep: reference(`${path}/groep`, given.groupKey, isBase),
        vestiging: reference(`${path}/vestiging`, given.siteKey, isSite),
        instroomdatum: dayAt(`${path}/instroomdatum`, given.entersOn),
        uitstroomdatum: dayAt(`${path}/uitstroomdatum`, given.leavesOn),
      };
      return {
        key,
        ...pupilsEckId(path, given.ref?.eckId ?? ''),
        ...person(path, given.person),
        ...present(optional),
        samengestelde_groepen: given.compositeGroupKeys.flatMap(
          (group) => reference(`${path}/samengestelde_groepen`, group, isComposite) ?? [],
        ),
      };
    },
  );
  const staffEckId = eckIdIn(new Set());
  const dutiesOf = (path: string, duties: readonly string[]): string[] =>
    duties.flatMap((duty) => listed(`${path}/rol`, duty, DUTY) ?? []);
  const leerkrachten = keyed('leerkrachten/leerkracht', roster.staff, ({ ref }) => ref?.lasKey ?? '').map(
    ([path, given, key]: [string, RosterStaff, string]): Leerkracht => ({
      key,
      ...staffEckId(path, given.ref?.eckId ?? ''),
      ...person(path, given.person),
      rol: dutiesOf(path, given.duties),
      groepen: given.groups.flatMap((group) => {
        const named = reference(`${path}/groepen`, group.key, (one) => isBase(one) || isComposite(one));
        return named === undefined ? [] : [{ key: named, rol: dutiesOf(`${path}/groepen`, group.duties) }];
      }),
    }),
  );
  const isDutch = isSchoolOin(roster.schoolOin);
  const school: School = {
    schooljaar: roster.schoolYear,
    ...present({
      peildatum: dayAt('school/peildatum', roster.asOf),
      brincode: isDutch ? brinOf(roster.schoolOin) : undefined,
      dependancecode: isDutch && roster.siteCode !== '' ? roster.siteCode : undefined,
      aanmaakdatum: roster.madeAt === '' ? undefined : roster.madeAt,
    }),
    xsdversie: '2.1',
  };
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

/** Wire → an EDEXML 2.1 file. `author`: who made it. */
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
