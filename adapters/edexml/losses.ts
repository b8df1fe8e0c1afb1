/** What EDEXML and the core have no place for in each other. */
import type { LossReason, LossRow, LossTable } from '#adapters/contract';

/** Versions of the standard that are written. Reading takes all of them by the rules of the last. */
export const versions = ['1.03', '2.0', '2.1'] as const;
export type Version = (typeof versions)[number];
export const isVersion = (text: string): text is Version => (versions as readonly string[]).includes(text);

const row = (reason: LossReason, why: string, ...elements: string[]): LossRow[] =>
  elements.map((element) => ({ element, reason, why }));

/** EDEXML → core, by the name of the element, wherever it stands. */
export const readRows = [
  ...row('minimised', 'A photo is not needed to learn.', 'fotourl'),
  ...row('minimised', 'Special data of a person.', 'etniciteit', 'land', 'land_vader', 'land_moeder'),
  ...row('minimised', 'The weight says something of the parents.', 'gewicht', 'gewicht_nieuw'),
  ...row('minimised', 'Where somebody lives is not needed to learn.', 'postcodenl', 'postnummerbe', 'postcodeoverig'),
  ...row('minimised', 'No part of a personal number is taken in.', 'bsn_ondwnr-4'),
  ...row('minimised', 'Private blocks: what is in them, only their sender knows.', 'toevoegingen'),
  ...row('no_place', 'Nothing here uses it.', 'start_ondw_jgr3', 'mutatiedatum'),
  ...row('no_place', 'A duty in a school’s own words; those with a code are taken.', 'rolomschrijving'),
  ...row('no_place', 'It says something of the file, not of the school.', 'auteur', 'commentaar', 'xsdversie'),
  ...row(
    'no_place',
    'The school is known by its brincode or instellingsnummer, or was named with the file.',
    'schoolkey',
  ),
] as const satisfies readonly LossRow[];

const lost: ReadonlyMap<string, LossReason> = new Map(readRows.map(({ element, reason }) => [element, reason]));
/** Why an element is not taken; undefined where it is. */
export const lostOnReading = (element: string): LossReason | undefined => lost.get(element);

const everyWritten: readonly LossRow[] = [
  ...row('no_place', 'A file cannot name the administration of a school.', 'administratie'),
  ...row(
    'unfit',
    'Longer than the standard allows, or with a character that XML cannot carry.',
    'naam',
    'omschrijving',
    'achternaam',
    'voorvoegsel',
    'voornamen',
    'voorletters-1',
    'roepnaam',
    'gebruikersnaam',
    'emailadres',
  ),
  ...row('unfit', 'Not a day.', 'peildatum', 'geboortedatum', 'instroomdatum', 'uitstroomdatum'),
  ...row('unfit', 'Not on the list of this version.', 'geslacht', 'jaargroep', 'rol'),
  ...row(
    'unfit',
    'It names what is not in the file; a group of a year that 1.03 does not know is not in it either.',
    'groep',
    'samengestelde_groep',
    'vestiging',
  ),
  ...row(
    'unfit',
    'No moment, or a school year from before the standard; of the latter there is no file.',
    'aanmaakdatum',
    'schooljaar',
  ),
  ...row('no_place', 'Of a teacher the standard has none.', 'geboortedatum', 'geslacht'),
  ...row('no_place', 'A file is of one site at most, and only with a BRIN.', 'dependancecode'),
  ...row('unfit', 'Another one in the file has the same key.', 'leerling', 'leerkracht'),
  ...row('unfit', 'Longer than the standard allows, or another one in the file has it.', 'eckid'),
  ...row('no_place', 'Without achternaam only roepnaam stands.', 'voorvoegsel', 'voornamen', 'voorletters-1'),
  ...row(
    'stand_in',
    'There is no key, or none that this version can carry; a key that begins with # promises nothing.',
    'key',
  ),
  ...row('stand_in', 'There is no name, or none that may be given.', 'roepnaam', 'naam'),
  ...row('stand_in', 'A group must have a jaargroep; N is a group of none.', 'jaargroep'),
  ...row('stand_in', 'Of a school without BRIN and instellingsnummer, how it is known here.', 'schoolkey'),
];

/** What a version lacks, besides what all lack. */
const lacks: Readonly<Record<Version, readonly LossRow[]>> = {
  '2.1': [],
  '2.0': row('no_place', 'Since 2.1.', 'eckid'),
  '1.03': [
    ...row(
      'no_place',
      'Since 2.0.',
      'peildatum',
      'instellingsnummer',
      'vestiging',
      'samengestelde_groep',
      'omschrijving',
      'voornamen',
      'gebruikersnaam',
      'emailadres',
      'rol',
    ),
    ...row('no_place', 'Since 2.1.', 'eckid'),
    ...row('no_place', 'A pupil has a groep or a jaargroep, not both.', 'jaargroep'),
  ],
};

export const writtenRows = (version: Version): readonly LossRow[] => [...lacks[version], ...everyWritten];

export const lossTables: readonly LossTable[] = [
  { from: 'EDEXML 1.03, 2.0, 2.1', to: 'core', rows: readRows },
  ...versions.map((version) => ({ from: 'core', to: `EDEXML ${version}`, rows: writtenRows(version) })),
];
