import {
  type Clear,
  clear,
  flemishSchoolOin,
  GatewayError,
  isBrin,
  isSchoolOin,
  keyedSchoolOin,
  schoolOin,
} from '#kernel';
import type { Person, Roster, RosterGroup, RosterLearner, RosterSite, RosterStaff } from '#proto/eduk/core/v1/learner';
import type { EDEX, Groep, Leerkracht, Leerling, School, Vestiging } from './wire.ts';

/**
 * | EDEXML | core |
 * | --- | --- |
 * | `school/brincode` | `school_oin`, the OIN of that BRIN |
 * | `school/instellingsnummer` | `school_oin`, of a school in Flanders |
 * | `school/schoolkey` | without either: `school_oin`, by what the sender calls that school; an OIN of ours means itself |
 * | `school/schooljaar`, `peildatum`, `aanmaakdatum`, `dependancecode` | `school_year`, `as_of`, `made_at`, `site_code` |
 * | `vestiging` | `sites` |
 * | `groep`, `samengestelde_groep` | `groups`, the latter with `composite` |
 * | `leerling` | `learners` |
 * | `leerkracht` | `staff`; `rolomschrijving`, a school's own word, has no place |
 *
 * White space at the ends of a key means nothing (EDEXML 2.1), so it goes from keys and references alike.
 *
 * `as.schoolOin` names the school, whatever the file says. `as.sender` is whose `schoolkey` it is; without one that names no
 * school.
 */
export function toCore(wire: EDEX, as: { sender?: string; schoolOin?: string } = {}): Clear<Roster> {
  const groups = wire.groepen.map(groupOf);
  const yearOf = new Map(groups.map((group) => [group.key, group.yearGroup]));
  const roster: Roster = {
    schoolOin: as.schoolOin || schoolIn(wire.school, as.sender),
    schoolYear: wire.school.schooljaar,
    asOf: dayOf(wire.school.peildatum),
    madeAt: momentOf(wire.school.aanmaakdatum),
    siteCode: wire.school.dependancecode ?? '',
    sites: wire.vestigingen.map(siteOf),
    groups,
    learners: wire.leerlingen.map((leerling) => learnerOf(leerling, yearOf)),
    staff: wire.leerkrachten.map(staffOf),
    administration: '', // A file cannot say it.
  };
  distinct(roster.sites, (it) => it.key, 'EDEX/vestigingen/vestiging');
  distinct(roster.groups, (it) => it.key, 'EDEX/groepen/*');
  distinct(roster.learners, (it) => it.ref!.lasKey, 'EDEX/leerlingen/leerling');
  distinct(roster.staff, (it) => it.ref!.lasKey, 'EDEX/leerkrachten/leerkracht');
  return clear(roster);
}

/** Keys that differ only in white space would make one pupil of two. */
function distinct<T>(items: readonly T[], keyOf: (item: T) => string, path: string): void {
  const seen = new Set<string>();
  for (const [i, item] of items.entries()) {
    const key = keyOf(item);
    if (key === '' || seen.has(key))
      throw new GatewayError('wire.invalid', `${path}[${i + 1}]: a key is empty or given twice.`, {
        where: `${path}[${i + 1}]/@key`,
      });
    seen.add(key);
  }
}

/** OIN of the school that the header of a file names; empty = it names none. */
export function schoolIn({ brincode, instellingsnummer, schoolkey = '' }: School, sender = ''): string {
  if (brincode !== undefined) {
    if (!isBrin(brincode))
      throw new GatewayError('wire.invalid', 'The school code is no BRIN.', { where: 'EDEX/school/brincode' });
    return schoolOin(brincode);
  }
  if (instellingsnummer !== undefined) return flemishSchoolOin(instellingsnummer);
  const key = schoolkey.trim();
  if (key === '' || isSchoolOin(key)) return key;
  return sender === '' ? '' : keyedSchoolOin(sender, key);
}

const siteOf = ({ key, naam, omschrijving }: Vestiging): RosterSite => ({
  key: key.trim(),
  name: naam,
  description: omschrijving ?? '',
});

const groupOf = ({ key, naam, omschrijving, jaargroep }: Groep): RosterGroup => ({
  key: key.trim(),
  name: naam,
  description: omschrijving ?? '',
  yearGroup: jaargroep ?? '',
  composite: jaargroep === undefined,
});

function learnerOf(leerling: Leerling, yearOf: ReadonlyMap<string, string>): RosterLearner {
  const groupKey = leerling.groep?.trim() ?? '';
  const yearOfGroup = yearOf.get(groupKey) ?? '';
  return {
    ref: { eckId: leerling.eckid?.trim() ?? '', lasKey: leerling.key.trim() },
    person: personOf(leerling, dayOf(leerling.geboortedatum), leerling.geslacht),
    // EDEXML 1.03 gave a pupil a group or a year group, not both; `C` is a group of several years and says nothing of a pupil.
    yearGroup: leerling.jaargroep ?? (yearOfGroup === 'C' ? '' : yearOfGroup),
    groupKey,
    compositeGroupKeys: leerling.samengestelde_groepen.map((key) => key.trim()),
    siteKey: leerling.vestiging?.trim() ?? '',
    entersOn: dayOf(leerling.instroomdatum),
    leavesOn: dayOf(leerling.uitstroomdatum),
    siteCodes: [],
  };
}

const staffOf = (leerkracht: Leerkracht): RosterStaff => ({
  ref: { eckId: leerkracht.eckid?.trim() ?? '', lasKey: leerkracht.key.trim() },
  person: personOf(leerkracht, '', undefined),
  groups: leerkracht.groepen.map(({ key, rol }) => ({ key: key.trim(), duties: rol })),
  duties: leerkracht.rol,
});

const personOf = (it: Leerling | Leerkracht, birthDate: string, geslacht: string | undefined): Person => ({
  familyName: it.achternaam ?? '',
  familyNamePrefix: it.voorvoegsel ?? '',
  givenNames: it.voornamen ?? '',
  initials: it['voorletters-1'] ?? '',
  callName: it.roepnaam ?? '',
  birthDate,
  // The schema knows a number here, so `01` and `+1` are 1.
  gender: geslacht === undefined ? '' : String(Number(geslacht)),
  email: it.emailadres ?? '',
  accountName: it.gebruikersnaam ?? '',
});

/** An `xs:date` may have white space around it and a time zone behind it, which says nothing of a day. */
const dayOf = (date: string | undefined): string =>
  date === undefined ? '' : (/^\s*(\d{4}-\d{2}-\d{2})/.exec(date)?.[1] ?? '');

const amsterdam = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Amsterdam', timeZoneName: 'longOffset' });

/** An `xs:dateTime` as RFC 3339 in UTC. Without a zone it is Dutch time: every file comes from a Dutch or Flemish school. */
function momentOf(moment: string | undefined): string {
  const m =
    moment === undefined ? null : /^\s*(\d{4}-\d{2}-\d{2}T[\d:]+)(?:\.\d+)?(Z|[+-]\d{2}:\d{2})?\s*$/.exec(moment);
  if (!m) return '';
  const asUtc = Date.parse(`${m[1]}${m[2] ?? 'Z'}`);
  if (Number.isNaN(asUtc)) return '';
  let at = asUtc;
  if (m[2] === undefined) {
    // The offset at that wall-clock time; at the change in autumn an hour comes twice, and the later one is taken.
    const hours = (ms: number) => Number(/GMT\+(\d{2})/.exec(amsterdam.format(ms))?.[1] ?? 0);
    at = asUtc - hours(asUtc - 3_600_000) * 3_600_000;
  }
  return new Date(at).toISOString().replace('.000Z', 'Z');
}
