/** Writes the school as an administration exports it: EDEXML 2.1, one file for a school and school year. */
import type { Group, Pupil, School, Teacher } from './school.ts';
import { element as el, text } from './xml.ts';

/** `madeAt` is RFC 3339, `asOf` a day. */
export function writeEdexml(school: School, { madeAt, asOf }: { madeAt: string; asOf: string }): string {
  const composite = new Set(school.groups.filter((group) => group.composite).map(({ key }) => key));
  return `<?xml version="1.0" encoding="UTF-8"?>\n${el('EDEX', {}, [
    el('school', {}, [
      el('schooljaar', {}, text(school.schoolYear)),
      el('peildatum', {}, text(asOf)),
      el('brincode', {}, text(school.brin)),
      el('aanmaakdatum', {}, text(madeAt)),
      el('auteur', {}, text(`Leerlingadministratie ${school.name}`)),
      el('xsdversie', {}, text('2.1')),
    ]),
    el('groepen', {}, school.groups.map(groep)),
    el('leerlingen', {}, school.pupils.map(leerling)),
    el(
      'leerkrachten',
      {},
      school.staff.map((teacher) => leerkracht(teacher, composite)),
    ),
  ])}\n`;
}

const groep = ({ key, name, yearGroup, composite }: Group): string =>
  composite
    ? el('samengestelde_groep', { key }, [el('naam', {}, text(name))])
    : el('groep', { key }, [el('naam', {}, text(name)), el('jaargroep', {}, text(yearGroup))]);

const leerling = (pupil: Pupil): string =>
  el('leerling', { key: pupil.lasKey, eckid: pupil.eckId }, [
    el('achternaam', {}, text(pupil.familyName)),
    pupil.familyNamePrefix === '' ? '' : el('voorvoegsel', {}, text(pupil.familyNamePrefix)),
    el('roepnaam', {}, text(pupil.callName)),
    el('geboortedatum', {}, text(pupil.birthDate)),
    el('geslacht', {}, text(pupil.gender)),
    el('jaargroep', {}, text(pupil.yearGroup)),
    el('groep', { key: pupil.groupKey }),
    pupil.compositeGroupKeys.length === 0
      ? ''
      : el(
          'samengestelde_groepen',
          {},
          pupil.compositeGroupKeys.map((key) => el('samengestelde_groep', { key })),
        ),
    el('gebruikersnaam', {}, text(pupil.accountName)),
    el('emailadres', {}, text(pupil.email)),
  ]);

const leerkracht = (teacher: Teacher, composite: ReadonlySet<string>): string =>
  el('leerkracht', { key: teacher.lasKey, eckid: teacher.eckId }, [
    el('achternaam', {}, text(teacher.familyName)),
    el('roepnaam', {}, text(teacher.callName)),
    el('emailadres', {}, text(teacher.email)),
    ...teacher.duties.map((duty) => el('rol', {}, text(duty))),
    teacher.groupKeys.length === 0
      ? ''
      : el(
          'groepen',
          {},
          teacher.groupKeys.map((key) => el(composite.has(key) ? 'samengestelde_groep' : 'groep', { key })),
        ),
  ]);
